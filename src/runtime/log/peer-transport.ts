/**
 * The peers of a member over WebSockets: every member dials every other, and speaks on the connections it has dialled.
 * (One connection per pair was rejected: two that dial at once must agree on which one lives, and only one of the two
 * could try again. This way a sender owns its connection, its queue and its pauses, and needs to agree with nobody.)
 *
 * Messages may be lost at any time; the log sends again what matters. A connection that breaks is dialled again at once,
 * then with growing pauses; a refused one with long pauses, and each refusal is logged once and counted. When a peer has
 * dialled us it is there, so it is dialled at once too. Without a secret this end binds to loopback only. With
 * certificates all of it is TLS: `peer-dial.ts` has the way out, `peer-door.ts` the way in.
 */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import type { LogTransport } from '../../actors/log-ports.ts'
import type { Logger, Metrics } from '../../actors/ports.ts'
import type { ListedMember } from '../../core/log/descriptor.ts'
import { factsText, type PeerFacts, type PeerRecord } from '../../core/log/handshake.ts'
import type { PeerMessage } from '../../core/log/messages.ts'
import { isTlsRefusal } from '../../core/log/tls-refusal.ts'
import { HANDSHAKE_BYTES_MAX, PEER_FRAME_BYTES_MAX, PEER_PATH, PEER_SUBPROTOCOL } from '../../wire/messages/peer.ts'
import { isLoopback } from '../config-rules.ts'
import type { PeerTls } from '../peer-certificates.ts'
import { CertificateWatch } from './certificate-watch.ts'
import { LogRefused } from './log-refused.ts'
import { PeerDialer } from './peer-dial.ts'
import { PeerDoor } from './peer-door.ts'
import { hostOf, type Origin, PeerRefusals } from './peer-refusals.ts'
import { PeerSession, type SessionEnd, type SessionOptions } from './peer-session.ts'

/** After a break: 50 ms, doubling up to 2 s, less up to a half by chance. A try costs one packet. */
const REDIAL_MS_MIN = 50
const REDIAL_MS_MAX = 2_000
/** After a refusal somebody has to change something first. */
const REFUSED_MS_MIN = 1_000
const REFUSED_MS_MAX = 30_000
const STOP_MS_MAX = 500

export interface PeerTransportOptions {
  readonly memberId: number
  readonly members: readonly ListedMember[]
  readonly host: string
  readonly port: number
  /** Empty: none. */
  readonly secret: string
  /** Certificates, and then this node speaks TLS only; absent: in clear. */
  readonly tls?: PeerTls
  readonly log: Logger
  readonly metrics: Metrics
  readonly random: () => number
  readonly own: () => PeerFacts
  /** What disks have shown so far, by incarnation; a copy that stays as it is. */
  readonly records: () => ReadonlyMap<string, PeerRecord>
  /** A peer has come, gone or changed. */
  readonly onPeers: () => void
  /** What a peer's disk has shown. */
  readonly onShown: (facts: PeerFacts) => void
  /** What disks have shown to a peer. */
  readonly onTold: (records: Readonly<Record<string, PeerRecord>>) => void
}

/** One peer as this node sees it. */
export interface PeerState {
  readonly memberId: number
  /** Both ways, and both have agreed. */
  readonly connected: boolean
  readonly facts: PeerFacts | null
  readonly rttMs: number | null
  /** Why it is not connected, in words. */
  readonly trouble: string | null
  /** Why one has refused the other at the last try. */
  readonly refusal: { readonly code: string; readonly by: 'us' | 'them' } | null
}

export class PeerTransport implements LogTransport {
  onMessage: (message: PeerMessage) => void = () => {}
  readonly #options: PeerTransportOptions
  readonly #links = new Map<number, PeerLink>()
  readonly #accepted = new Map<number, PeerSession>()
  readonly #strangers = new Set<PeerSession>()
  readonly #door: PeerDoor
  readonly #sockets: WebSocketServer
  readonly #refusals: PeerRefusals
  readonly #certificates: CertificateWatch | null
  readonly dialer: PeerDialer
  #stopped = false

  constructor(options: PeerTransportOptions) {
    this.#options = options
    const { log, metrics, tls = null } = options
    this.#refusals = new PeerRefusals(options)
    this.#certificates = tls === null ? null : new CertificateWatch(tls, options)
    this.dialer = new PeerDialer(tls)
    this.#door = new PeerDoor({
      tls,
      log,
      metrics,
      onUpgrade: (request, socket, head, origin) => this.#onUpgrade(request, socket, head, origin),
      onRefused: (origin, refusal) => this.refused(origin, { refusal, refusedBy: 'us', reason: refusal.text }),
    })
    this.#sockets = new WebSocketServer({
      noServer: true,
      clientTracking: true,
      perMessageDeflate: false,
      maxPayload: PEER_FRAME_BYTES_MAX,
      handleProtocols: protocols => (protocols.has(PEER_SUBPROTOCOL) ? PEER_SUBPROTOCOL : false),
    })
    for (const member of options.members) {
      if (member.memberId !== options.memberId) this.#links.set(member.memberId, new PeerLink(this, options, member))
    }
  }

  /** Binds, then dials. Rejects with LogRefused when the place cannot be had or must not be used. */
  async start(): Promise<void> {
    const { host, port, secret, tls, log } = this.#options
    if (!isLoopback(host)) {
      if (secret === '') {
        throw new LogRefused(
          `peer.host ${host} is not a loopback address and there is no secret: set cluster.secretFile, or use 127.0.0.1`,
        )
      }
      if (tls === undefined) {
        const because = 'the secret is proved, but what follows is not encrypted: set peer.tls'
        log.warn('log-peers-in-clear', { host, because })
      }
    }
    await this.#door.listen(host, port)
    this.#certificates?.start()
    for (const link of this.#links.values()) link.dial()
  }

  send(to: number, message: PeerMessage): void {
    this.#links.get(to)?.session?.send(message)
  }

  /** Something about this node has changed that its peers must know. */
  tellPresence(): void {
    for (const link of this.#links.values()) link.session?.tellPresence()
  }

  tellShown(records: ReadonlyMap<string, PeerRecord>): void {
    for (const link of this.#links.values()) link.session?.tellShown(records)
  }

  peers(): readonly PeerState[] {
    return [...this.#links.values()].map(link => {
      const { memberId } = link.member
      const incoming = this.#accepted.get(memberId)
      const facts = incoming?.peer ?? link.known
      const connected = link.session?.isOpen === true && incoming?.isOpen === true
      const trouble = connected ? null : (link.trouble ?? 'it has not connected to this node yet')
      return { memberId, connected, facts, rttMs: link.session?.rttMs ?? null, trouble, refusal: link.refusal }
    })
  }

  /** What was sent is handed to the system first. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#certificates?.stop()
    for (const link of this.#links.values()) link.stop()
    for (const session of [...this.#accepted.values(), ...this.#strangers]) session.close('this node stops')
    const closed = this.#door.stop()
    const late = setTimeout(() => {
      for (const socket of this.#sockets.clients) socket.terminate()
      for (const link of this.#links.values()) link.terminate()
      this.#door.terminate()
    }, STOP_MS_MAX)
    await Promise.all([closed, ...[...this.#links.values()].map(link => link.closed)])
    clearTimeout(late)
  }

  // ---- What links ask of it ----

  sessionOptions(
    side: SessionOptions['side'],
    remote: string,
  ): Omit<SessionOptions, 'onOpen' | 'onEnd' | 'onMessages'> {
    const { secret, own, records, metrics } = this.#options
    return {
      side,
      secret,
      own,
      records: records(),
      onPresence: facts => this.shown(facts),
      onShown: told => this.#options.onTold(told),
      onTrouble: (what, count) => {
        metrics.count('log_peer_trouble', count, { what })
        if (what === 'badFrame') this.#options.log.warn('log-peer-bad-frame', { remote })
      },
    }
  }

  shown(facts: PeerFacts): void {
    if (this.#stopped) return
    this.#refusals.forget(facts.memberId)
    this.#options.onShown(facts)
    this.#options.onPeers()
  }

  changed(): void {
    if (!this.#stopped) this.#options.onPeers()
  }

  refused(who: number | Origin, end: SessionEnd): void {
    if (!this.#stopped) this.#refusals.note(who, end)
  }

  // ---- The accepting end ----

  #onUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer, origin: Origin): void {
    const isOurs = (request.url ?? '').split('?')[0] === PEER_PATH
    // Any page may open a WebSocket to loopback; a browser always says whose page it is.
    const isPage = request.headers.origin !== undefined
    const mayCome = !isPage && (this.#options.secret !== '' || isLoopback(hostOf(origin)))
    if (this.#stopped || !isOurs || !mayCome) {
      const status = isOurs ? '503 Service Unavailable' : '404 Not Found'
      socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
      return
    }
    // ws gathers a whole frame before it shows it: a stranger gets no room for a large one.
    let isStranger = true
    let bytes = head.length
    const countBytes = (chunk: Buffer): void => {
      bytes += chunk.length
      if (!isStranger) socket.off('data', countBytes)
      else if (bytes > 2 * HANDSHAKE_BYTES_MAX) socket.destroy()
    }
    this.#sockets.handleUpgrade(request, socket, head, accepted => {
      const session: PeerSession = new PeerSession(accepted, {
        ...this.sessionOptions('acceptor', origin),
        onOpen: peer => {
          isStranger = false
          this.#door.admit(origin)
          if (!this.#isShared(hostOf(origin))) this.#refusals.forget(origin)
          this.#strangers.delete(session)
          this.#onAccepted(session, peer)
        },
        onMessages: messages => {
          for (const message of messages) this.onMessage(message)
        },
        onEnd: end => {
          this.#strangers.delete(session)
          const memberId = session.peer?.memberId
          this.refused(memberId ?? origin, end)
          if (memberId === undefined || this.#accepted.get(memberId) !== session) return
          this.#accepted.delete(memberId)
          this.changed()
        },
      })
      this.#strangers.add(session)
      socket.on('data', countBytes)
    })
  }

  /** One machine may run several members: that one of them comes in says nothing of the others there. */
  #isShared(host: string): boolean {
    return this.#options.members.filter(({ address }) => hostOf(address) === host).length > 1
  }

  #onAccepted(session: PeerSession, peer: PeerFacts): void {
    const before = this.#accepted.get(peer.memberId)
    this.#accepted.set(peer.memberId, session)
    before?.close('a newer connection has come')
    this.#links.get(peer.memberId)?.hurry()
    this.shown(peer)
  }
}

/** The way to one peer: dials, waits, dials again. */
class PeerLink {
  readonly member: ListedMember
  session: PeerSession | null = null
  /** What the peer has said last, if it was believed: also after it was refused, or has refused us. */
  known: PeerFacts | null = null
  /** Why there is no connection. */
  trouble: string | null = 'not dialled yet'
  refusal: PeerState['refusal'] = null
  closed: Promise<void> = Promise.resolve()
  readonly #transport: PeerTransport
  readonly #options: PeerTransportOptions
  #socket: WebSocket | null = null
  /** The last one dialled, also when it is no longer used. */
  #closing: WebSocket | null = null
  #timer: NodeJS.Timeout | null = null
  #failures = 0
  #stopped = false

  constructor(transport: PeerTransport, options: PeerTransportOptions, member: ListedMember) {
    this.#transport = transport
    this.#options = options
    this.member = member
  }

  dial(): void {
    if (this.#stopped || this.#socket !== null) return
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    const { address, memberId } = this.member
    const options = this.#transport.sessionOptions('dialer', address)
    const { socket, whyNot } = this.#transport.dialer.dial(address)
    this.#socket = socket
    this.#closing = socket
    this.closed = new Promise(resolve => socket.once('close', () => resolve()))
    const failed = (cause: Error): void => this.#onEnd(whyNot(cause))
    socket.once('error', failed)
    socket.once('open', () => {
      socket.off('error', failed)
      this.session = new PeerSession(socket, {
        ...options,
        expectedId: memberId,
        onOpen: peer => this.#onOpen(peer),
        // Only control comes this way: what a peer has to say it says on its own connection.
        onMessages: () => {},
        onEnd: end => this.#onEnd(end),
      })
    })
  }

  /** The peer is there: no use in waiting longer, unless one of us has refused the other for what a HELLO says. */
  hurry(): void {
    if (this.#socket === null && (this.refusal === null || isTlsRefusal(this.refusal))) this.dial()
  }

  stop(): void {
    this.#stopped = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    if (this.session !== null) this.session.close('this node stops')
    else this.#socket?.terminate()
  }

  terminate(): void {
    this.#closing?.terminate()
  }

  #onOpen(peer: PeerFacts): void {
    this.#failures = 0
    this.refusal = null
    this.known = peer
    this.trouble = null
    this.#options.log.info('log-peer-connected', { peer: factsText(peer), address: this.member.address })
    this.#transport.shown(peer)
  }

  #onEnd(end: SessionEnd): void {
    if (this.#socket === null) return
    const wasOpen = this.trouble === null
    this.known = this.session?.peer ?? this.known
    this.#socket = null
    this.session = null
    this.refusal = end.refusal === null || end.refusedBy === null ? null : { code: end.refusal.code, by: end.refusedBy }
    const why = end.refusal === null ? end.reason || 'the connection ended' : end.refusal.text
    this.trouble = end.refusedBy === 'them' ? `it refuses this node: ${why}` : why
    if (this.#stopped) return
    if (wasOpen) this.#options.log.warn('log-peer-lost', { peer: this.member.memberId, because: why })
    this.#transport.refused(this.member.memberId, end)
    const [min, max] = end.refusal === null ? [REDIAL_MS_MIN, REDIAL_MS_MAX] : [REFUSED_MS_MIN, REFUSED_MS_MAX]
    const pauseMs = Math.min(max, min * 2 ** Math.min(this.#failures, 10))
    this.#failures++
    this.#timer = setTimeout(() => this.dial(), pauseMs * (1 - this.#options.random() / 2))
    this.#timer.unref()
    this.#transport.changed()
  }
}
