/**
 * A WebSocket as a message-level connection: messages of one turn leave as one frame, frames are checked on the way in,
 * and a peer that does not read is cut off instead of filling memory. The owner sees messages and one close.
 */
import type { WebSocket } from 'ws'
import type { Connection } from '../actors/ports.ts'
import type { FrameCodec } from '../wire/frame.ts'
import { BUFFERED_BYTES_MAX, CLOSE } from '../wire/messages/agent.ts'

/** A reader this far behind is taken for gone: 16 times what a well-behaved sender lets pile up. */
const BUFFERED_BYTES_HOPELESS = 16 * BUFFERED_BYTES_MAX
const CLOSE_REASON_BYTES_MAX = 120

export interface ConnectionCounters {
  badFrames: number
  unsupported: number
}

export function wsConnection<In, Out>(
  socket: WebSocket,
  codec: FrameCodec<In, Out>,
  options: { remote: string; counters: ConnectionCounters },
): Connection<In, Out> {
  let queued: Out[] = []
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
  const flush = (): void => {
    flushing = false
    if (queued.length === 0 || closed !== null) return
    const batch = queued
    queued = []
    socket.send(codec.encode(batch))
    if (socket.bufferedAmount > BUFFERED_BYTES_HOPELESS) {
      socket.terminate()
      ended(CLOSE.goingAway, 'the peer does not read what it is sent')
    }
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
      socket.send(codec.encodeUnsupported(decoded.unsupported))
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
      if (closed !== null) return
      queued.push(message)
      if (flushing) return
      flushing = true
      queueMicrotask(flush)
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
