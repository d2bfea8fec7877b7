/**
 * One connection between two members, either end: HELLO and PROOF from both, then WELCOME from both, or one REFUSE and the
 * end. Until then nothing but these small messages is taken, and not for long. Afterwards batches of messages flow from
 * the dialer to the acceptor, PRESENCE both ways, and pings of the dialer show in seconds that a peer is gone, however
 * long TCP would go on hoping.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { WebSocket } from 'ws'
import { judgePeer, type PeerFacts, type PeerRecord, type Refusal } from '../../core/log/handshake.ts'
import type { PeerMessage, Sender } from '../../core/log/messages.ts'
import type { TlsRefusal } from '../../core/log/tls-refusal.ts'
import {
  decodePeerFrame,
  encodeBatch,
  encodeControl,
  HANDSHAKE_BYTES_MAX,
  messageBytes,
  PEER_CLOSE,
  PEER_FRAME_BYTES_AIM,
  type PeerControl,
} from '../../wire/messages/peer.ts'
import { type PeerSide, peerKey, peerProof } from '../../wire/peer-proof.ts'

const HANDSHAKE_MS_MAX = 5_000
const PING_EVERY_MS = 1_000
/** So many pings without an answer, and the peer is taken for gone. */
const PINGS_UNANSWERED_MAX = 3
/** The other end pings every second; so long without a sign, and it is gone. */
const SILENCE_MS_MAX = 8_000
/** More than this unsent, and entries are dropped: the leader sends again what matters. */
const BUFFERED_BYTES_MAX = 16 * 1024 * 1024
const CLOSE_REASON_BYTES_MAX = 120

export interface SessionEnd {
  /** By which side, if it was refused; over TLS that may be before there is a session. */
  readonly refusal: Refusal | TlsRefusal | null
  readonly refusedBy: 'us' | 'them' | null
  readonly reason: string
}

export interface SessionOptions {
  readonly side: PeerSide
  readonly secret: string
  /** What this node says about itself, now. */
  readonly own: () => PeerFacts
  /** What is known of disks by incarnation, as of before this connection was begun: the HELLO is not older. */
  readonly records: ReadonlyMap<string, PeerRecord>
  readonly expectedId?: number
  /** Both have said WELCOME. */
  readonly onOpen: (peer: PeerFacts) => void
  /** Something about the peer has changed. */
  readonly onPresence: (peer: PeerFacts) => void
  /** What the peer says that disks have shown to it. */
  readonly onShown: (records: Readonly<Record<string, PeerRecord>>) => void
  readonly onMessages: (messages: readonly PeerMessage[]) => void
  readonly onTrouble: (what: 'badFrame' | 'unknownType' | 'foreignSender' | 'dropped', count: number) => void
  readonly onEnd: (end: SessionEnd) => void
}

const hmac = (key: Uint8Array | string, text: string): string => createHmac('sha256', key).update(text).digest('hex')

export class PeerSession {
  readonly #socket: WebSocket
  readonly #options: SessionOptions
  readonly #nonce = randomBytes(24).toString('base64url')
  #peerNonce: string | null = null
  #peer: PeerFacts | null = null
  #proven = false
  #judged = false
  #welcomed = false
  #open = false
  #ended = false
  #queue: PeerMessage[] = []
  #isFlushDue = false
  readonly #deadline: NodeJS.Timeout
  #watch: NodeJS.Timeout | null = null
  #unanswered = 0
  #pingedAtMs = 0
  #heardAtMs = performance.now()
  /** Of the last ping; null before the first answer. */
  rttMs: number | null = null

  constructor(socket: WebSocket, options: SessionOptions) {
    this.#socket = socket
    this.#options = options
    socket.binaryType = 'nodebuffer'
    socket.on('message', (data: Buffer, isBinary: boolean) => this.#onFrame(data, isBinary))
    socket.on('close', (_code, reason) =>
      this.#end({ refusal: null, refusedBy: null, reason: reason.toString('utf8') }),
    )
    socket.on('error', cause => {
      this.#end({ refusal: null, refusedBy: null, reason: cause.message })
      socket.terminate()
    })
    socket.on('ping', () => {
      this.#heardAtMs = performance.now()
    })
    socket.on('pong', () => {
      this.#unanswered = 0
      this.rttMs = performance.now() - this.#pingedAtMs
    })
    this.#deadline = setTimeout(() => this.close('the handshake took too long'), HANDSHAKE_MS_MAX)
    this.#deadline.unref()
    this.#control({ type: 'hello', nonce: this.#nonce, facts: options.own() })
  }

  /** The other end, once it has proved who it is. */
  get peer(): PeerFacts | null {
    return this.#proven ? this.#peer : null
  }
  get isOpen(): boolean {
    return this.#open
  }

  /** Leaves with the other messages of this turn. Dropped when the connection is not open, or the peer does not read. */
  send(message: PeerMessage): void {
    if (!this.#open) return
    this.#queue.push(message)
    if (this.#isFlushDue) return
    this.#isFlushDue = true
    queueMicrotask(() => this.#flush())
  }

  tellPresence(): void {
    if (this.#open) this.#control({ type: 'presence', facts: this.#options.own() })
  }

  tellShown(records: ReadonlyMap<string, PeerRecord>): void {
    if (this.#open && records.size > 0) this.#control({ type: 'shown', records: Object.fromEntries(records) })
  }

  close(reason: string, code: number = PEER_CLOSE.goingAway): void {
    if (this.#ended) return
    this.#flush()
    this.#socket.close(code, clip(reason))
    this.#end({ refusal: null, refusedBy: null, reason })
  }

  #flush(): void {
    this.#isFlushDue = false
    const queue = this.#queue
    if (queue.length === 0 || this.#ended) return
    this.#queue = []
    // Whoever does not read must not fill the memory; any message may be lost.
    if (this.#socket.bufferedAmount > BUFFERED_BYTES_MAX) return this.#options.onTrouble('dropped', queue.length)
    const { configVersion } = this.#options.own()
    const { from } = queue[0]!
    for (let at = 0; at < queue.length; ) {
      const start = at
      for (let bytes = 0; at < queue.length && bytes < PEER_FRAME_BYTES_AIM; at++) bytes += messageBytes(queue[at]!)
      this.#socket.send(encodeBatch(from, configVersion, queue.slice(start, at)))
    }
  }

  #onFrame(data: Buffer, isBinary: boolean): void {
    if (this.#ended) return
    this.#heardAtMs = performance.now()
    if (!isBinary) return this.#refuseFrame('this protocol has binary frames only')
    if (!this.#open && data.length > HANDSHAKE_BYTES_MAX) return this.#refuseFrame('too much before the handshake')
    const decoded = decodePeerFrame(data)
    if (!decoded.ok) return this.#refuseFrame(decoded.reason)
    const { frame } = decoded
    if (frame.type === 'control') return this.#onControl(frame.control)
    // The WELCOME of the other side may still be on its way to us, but ours is what it needs.
    if (!this.#open) return this.#refuseFrame('a batch before the handshake')
    if (frame.unknown > 0) this.#options.onTrouble('unknownType', frame.unknown)
    if (!this.#isPeer(frame.from)) return this.#options.onTrouble('foreignSender', frame.messages.length)
    this.#options.onMessages(frame.messages)
  }

  #onControl(control: PeerControl): void {
    switch (control.type) {
      case 'hello': {
        if (this.#peerNonce !== null) return this.#refuseFrame('a second HELLO')
        this.#peerNonce = control.nonce
        this.#peer = control.facts
        const { side, secret } = this.#options
        return this.#control({ type: 'proof', proof: peerProof(hmac, peerKey(hmac, secret), side, this.#nonces()) })
      }
      case 'proof': {
        if (this.#peer === null || this.#judged) return this.#refuseFrame('PROOF out of turn')
        return this.#judge(control.proof)
      }
      case 'welcome':
        this.#welcomed = true
        return this.#openUp()
      case 'refuse': {
        const { code, text } = control
        this.#socket.close(PEER_CLOSE.refused, code)
        return this.#end({ refusal: { code, text }, refusedBy: 'them', reason: text })
      }
      case 'presence':
        return this.#onPresence(control.facts)
      case 'shown':
        return this.#open ? this.#options.onShown(control.records) : this.#refuseFrame('SHOWN out of turn')
    }
  }

  #judge(proof: string): void {
    const { side, secret, own, records, expectedId } = this.#options
    const peer = this.#peer!
    const other = side === 'dialer' ? 'acceptor' : 'dialer'
    this.#proven = sameText(proof, peerProof(hmac, peerKey(hmac, secret), other, this.#nonces()))
    this.#judged = true
    const record = records.get(peer.incarnation ?? '') ?? null
    const refusal = judgePeer({
      own: own(),
      peer,
      proven: this.#proven,
      record,
      ...(expectedId === undefined ? {} : { expectedId }),
    })
    if (refusal !== null) return this.#refuse(refusal)
    this.#control({ type: 'welcome' })
    this.#openUp()
  }

  #openUp(): void {
    if (!this.#judged || !this.#welcomed || this.#open || this.#ended) return
    this.#open = true
    clearTimeout(this.#deadline)
    this.#watch = setInterval(() => this.#look(), PING_EVERY_MS)
    this.#watch.unref()
    this.#options.onOpen(this.#peer!)
  }

  /** The member may have been initialized, or begun to vote; it must still belong here. */
  #onPresence(facts: PeerFacts): void {
    if (!this.#open || facts.memberId !== this.#peer?.memberId) return this.#refuseFrame('PRESENCE out of turn')
    this.#peer = facts
    const refusal = judgePeer({ own: this.#options.own(), peer: facts, proven: true, record: null })
    if (refusal !== null) return this.#refuse(refusal)
    this.#options.onPresence(facts)
  }

  #look(): void {
    if (this.#options.side === 'acceptor') {
      if (performance.now() - this.#heardAtMs > SILENCE_MS_MAX) this.#cutOff('silent for too long')
      return
    }
    if (this.#unanswered >= PINGS_UNANSWERED_MAX) return this.#cutOff('pings are not answered')
    // Only the newest counts for the round trip.
    this.#unanswered++
    this.#pingedAtMs = performance.now()
    this.#socket.ping()
  }

  #cutOff(reason: string): void {
    this.#socket.terminate()
    this.#end({ refusal: null, refusedBy: null, reason })
  }

  #refuse(refusal: Refusal): void {
    this.#control({ type: 'refuse', code: refusal.code, text: refusal.text.slice(0, 8_000) })
    this.#socket.close(PEER_CLOSE.refused, refusal.code)
    this.#end({ refusal, refusedBy: 'us', reason: refusal.text })
  }

  #refuseFrame(reason: string): void {
    this.#options.onTrouble('badFrame', 1)
    this.close(`bad frame: ${reason}`, PEER_CLOSE.badFrame)
  }

  #end(end: SessionEnd): void {
    if (this.#ended) return
    this.#ended = true
    this.#open = false
    this.#queue = []
    clearTimeout(this.#deadline)
    if (this.#watch !== null) clearInterval(this.#watch)
    this.#options.onEnd(end)
  }

  #control(message: PeerControl): void {
    this.#socket.send(encodeControl(message))
  }

  #isPeer(from: Sender): boolean {
    return from.memberId === this.#peer?.memberId && from.incarnation === this.#peer.incarnation
  }

  #nonces() {
    const [own, other] = [this.#nonce, this.#peerNonce ?? '']
    return this.#options.side === 'dialer' ? { dialer: own, acceptor: other } : { dialer: other, acceptor: own }
  }
}

function sameText(a: string, b: string): boolean {
  const [x, y] = [Buffer.from(a), Buffer.from(b)]
  return x.length === y.length && timingSafeEqual(x, y)
}

/** A close reason has at most 123 bytes. */
function clip(reason: string): string {
  return Buffer.from(reason, 'utf8')
    .subarray(0, CLOSE_REASON_BYTES_MAX)
    .toString('utf8')
    .replace(/\uFFFD$/, '')
}
