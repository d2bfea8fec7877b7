/**
 * A WebSocket as a message-level connection: messages of one turn leave together, in as few frames as the limits of a
 * frame allow, and no faster than the peer reads; frames are checked on the way in, and a peer that does not read at all
 * is cut off instead of filling memory. The owner sees messages and one close.
 */
import type { WebSocket } from 'ws'
import type { Connection } from '../actors/ports.ts'
import { FRAME_HEADER_BYTES, FRAME_MESSAGES_MAX, type FrameCodec, frameOf } from '../wire/frame.ts'
import { BUFFERED_BYTES_MAX, CLOSE, FRAME_BYTES_MAX } from '../wire/messages/agent.ts'

/** A reader this many messages behind is taken for gone. */
const QUEUED_MESSAGES_MAX = 100_000
const CLOSE_REASON_BYTES_MAX = 120

export interface ConnectionCounters {
  badFrames: number
  unsupported: number
}

/** A message that waits, packed only when its turn has come; afterwards the bytes, if its frame was full. */
interface Queued {
  readonly type: string
  readonly pack: () => Uint8Array
  packed?: Uint8Array
}

export function wsConnection<In, Out extends { readonly type: string }>(
  socket: WebSocket,
  codec: FrameCodec<In, Out>,
  options: { remote: string; counters: ConnectionCounters },
): Connection<In, Out> {
  let queued: Queued[] = []
  let flushing = false
  let closed: { code: number; reason: string } | null = null
  // What comes before the owner has set its handlers waits here.
  let early: In[] | null = []
  let messageHandler: ((message: In) => void) | null = null
  let closeHandler: ((code: number, reason: string) => void) | null = null

  const deliver = (messages: readonly In[]): void => {
    for (const message of messages) {
      if (closed !== null) return
      if (messageHandler === null) early?.push(message)
      else messageHandler(message)
    }
  }
  const close = (code: number, reason: string): void => {
    if (closed !== null) return
    flush()
    socket.close(code, clip(reason))
    ended(code, reason)
  }
  const ended = (code: number, reason: string): void => {
    if (closed !== null) return
    closed = { code, reason }
    queued = []
    closeHandler?.(code, reason)
  }
  const enqueue = (item: Queued): void => {
    if (closed !== null) return
    if (queued.push(item) > QUEUED_MESSAGES_MAX) {
      socket.terminate()
      return ended(CLOSE.goingAway, 'the peer does not read what it is sent')
    }
    if (flushing) return
    flushing = true
    queueMicrotask(flush)
  }
  /** Sends until enough is buffered; goes on when that has left. */
  const flush = (): void => {
    flushing = false
    let sent = 0
    while (sent < queued.length && closed === null && socket.bufferedAmount < BUFFERED_BYTES_MAX) {
      const parts = nextParts(sent)
      if (parts === null) return
      sent += parts.length
      socket.send(frameOf(parts), drained)
    }
    queued.splice(0, sent)
  }
  const drained = (): void => {
    if (queued.length > 0 && !flushing) flush()
  }
  /** What the next frame takes: small messages together, a large one alone. Null: one fits no frame at all. */
  const nextParts = (from: number): Uint8Array[] | null => {
    const parts: Uint8Array[] = []
    let bytes = FRAME_HEADER_BYTES
    for (let at = from; at < queued.length && parts.length < FRAME_MESSAGES_MAX; at++) {
      const item = queued[at] as Queued
      item.packed ??= item.pack()
      const { length } = item.packed
      if (FRAME_HEADER_BYTES + length > FRAME_BYTES_MAX) {
        const reason = `${item.type} has ${length} bytes, over the limit of a frame`
        socket.close(CLOSE.tooLarge, reason)
        ended(CLOSE.tooLarge, reason)
        return null
      }
      if (parts.length > 0 && bytes + length > BUFFERED_BYTES_MAX) break
      parts.push(item.packed)
      bytes += length
    }
    return parts
  }

  socket.binaryType = 'nodebuffer'
  socket.on('message', (data: Buffer, isBinary: boolean) => {
    if (closed !== null) return
    if (!isBinary) return close(CLOSE.textFrame, 'this protocol has binary frames only')
    const decoded = codec.decode(data)
    if (!decoded.ok) {
      options.counters.badFrames++
      return close(CLOSE.badFrame, decoded.reason)
    }
    if (decoded.unsupported.length > 0) {
      options.counters.unsupported += decoded.unsupported.length
      for (const one of decoded.unsupported) enqueue({ type: 'UNSUPPORTED', pack: () => codec.packUnsupported(one) })
    }
    deliver(decoded.messages)
  })
  socket.on('close', (code, reason) => ended(code, reason.toString('utf8')))
  socket.on('error', cause => {
    // ws closes the socket after an error; an oversized frame arrives here with its own close code.
    ended(CLOSE.goingAway, cause.message)
    socket.terminate()
  })

  return {
    remote: options.remote,
    send(message) {
      enqueue({ type: message.type, pack: () => codec.pack(message) })
    },
    get bufferedBytes() {
      return socket.bufferedAmount
    },
    close,
    get onMessage() {
      return messageHandler ?? (() => {})
    },
    set onMessage(handler) {
      messageHandler = handler
      const waiting = early ?? []
      early = null
      deliver(waiting)
    },
    get onClose() {
      return closeHandler ?? (() => {})
    },
    set onClose(handler) {
      closeHandler = handler
      if (closed !== null) handler(closed.code, closed.reason)
    },
  }
}

/** A close reason has at most 123 bytes. */
function clip(reason: string): string {
  const bytes = Buffer.from(reason, 'utf8')
  return bytes.length <= CLOSE_REASON_BYTES_MAX
    ? reason
    : `${bytes
        .subarray(0, CLOSE_REASON_BYTES_MAX - 3)
        .toString('utf8')
        .replace(/\uFFFD$/, '')}…`
}
