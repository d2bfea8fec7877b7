/**
 * Where the other members come in. Whoever connects is a stranger until its session is open: there may be only so many of
 * them, each has so long, and none gets further than one small HTTP request before that. With TLS a stranger first shows
 * its certificate; one that is refused never reaches HTTP, and is told why. A node of the other kind, with TLS where there
 * is none here or the other way round, is known by its first byte and told so too.
 */
import { createServer as createHttpServer, type IncomingMessage, type Server } from 'node:http'
import { createServer as createTcpServer, type Socket, type Server as TcpServer } from 'node:net'
import type { Duplex } from 'node:stream'
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls'
import type { Logger, Metrics } from '../../actors/ports.ts'
import {
  certificateRefusal,
  handshakeRefusal,
  ONE_SIDED,
  type TlsFailure,
  type TlsRefusal,
} from '../../core/log/tls-refusal.ts'
import { type PeerTls, secureOptionsOf } from '../peer-certificates.ts'
import type { Origin } from './peer-refusals.ts'

/** Connections that have not proved themselves yet. */
const STRANGERS_MAX = 32
/** From the connection to the request for a WebSocket, TLS included. */
const REQUEST_MS_MAX = 5_000
/** From there to the open session, with a second for the goodbye of one that has taken too long. */
const SESSION_MS_MAX = 6_000
/** A request of a member has some 300 bytes. */
const HEADER_BYTES_MAX = 4_096
/** The first byte of every TLS connection: a handshake record. */
const TLS_HANDSHAKE = 22
/** Names the fault of a certificate to the node that has shown it. */
export const REFUSAL_HEADER = 'daybreak-refusal'

export interface PeerDoorOptions {
  /** Null: without TLS. */
  readonly tls: PeerTls | null
  readonly log: Logger
  readonly metrics: Metrics
  readonly onUpgrade: (request: IncomingMessage, socket: Duplex, head: Buffer, origin: Origin) => void
  readonly onRefused: (origin: Origin, refusal: TlsRefusal) => void
}

interface Stranger {
  readonly socket: Socket
  deadline: NodeJS.Timeout
  /** It has asked for a WebSocket: from then on there is a session that says goodbye. */
  hasAsked: boolean
}

export class PeerDoor {
  readonly #options: PeerDoorOptions
  readonly #tcp: TcpServer
  readonly #tls: TlsServer | null
  readonly #http: Server
  readonly #strangers = new Map<Origin, Stranger>()
  #wasFull = false
  #stopped = false

  constructor(options: PeerDoorOptions) {
    this.#options = options
    this.#tcp = createTcpServer(socket => this.#onConnection(socket))
    this.#tls = options.tls === null ? null : this.#tlsServer(options.tls)
    // Neither of the two listens by itself: connections are handed to them.
    this.#http = createHttpServer({ maxHeaderSize: HEADER_BYTES_MAX }, (_request, response) => {
      response
        .writeHead(426, { 'content-type': 'text/plain', upgrade: 'websocket', connection: 'close' })
        .end('scheduler nodes of Daybreak speak WebSocket here\n')
    })
    this.#http.on('upgrade', (request, socket, head) => this.#onUpgrade(request, socket, head))
  }

  /** Rejects with what the system says, or PeerPlaceRefused in words. */
  async listen(host: string, port: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#tcp.once('error', cause => reject(placeRefused(cause, host, port)))
      this.#tcp.listen(port, host.replace(/^\[|\]$/g, ''), resolve)
    })
    // Such as no file descriptor for one more connection: those that are there go on.
    this.#tcp.on('error', cause => this.#options.log.warn('log-peer-accept', { cause }))
  }

  /** Its session is open: no stranger any more. */
  admit(origin: Origin): void {
    const stranger = this.#strangers.get(origin)
    if (stranger === undefined) return
    clearTimeout(stranger.deadline)
    this.#strangers.delete(origin)
    if (this.#strangers.size <= STRANGERS_MAX / 2) this.#wasFull = false
  }

  /** Settles when all that has come in has gone. */
  stop(): Promise<void> {
    this.#stopped = true
    for (const { socket, hasAsked } of this.#strangers.values()) if (!hasAsked) socket.destroy()
    return new Promise(resolve => this.#tcp.close(() => resolve()))
  }

  /** Strangers that do not go by themselves. */
  terminate(): void {
    for (const { socket } of this.#strangers.values()) socket.destroy()
  }

  #onConnection(socket: Socket): void {
    const origin = originOf(socket)
    socket.on('error', () => socket.destroy())
    if (this.#stopped || this.#strangers.size >= STRANGERS_MAX) {
      if (!this.#stopped) this.#onFull(origin)
      return void socket.destroy()
    }
    this.#strangers.set(origin, { socket, deadline: this.#deadline(socket, REQUEST_MS_MAX), hasAsked: false })
    socket.once('close', () => this.admit(origin))
    socket.once('readable', () => {
      const first = socket.read() as Buffer | null
      if (first === null) return void socket.destroy()
      socket.unshift(first)
      this.#route(socket, origin, first[0] === TLS_HANDSHAKE)
    })
  }

  #route(socket: Socket, origin: Origin, speaksTls: boolean): void {
    if (this.#tls !== null && speaksTls) this.#tls.emit('connection', socket)
    else if (this.#tls === null && !speaksTls) this.#http.emit('connection', socket)
    else if (speaksTls) {
      this.#options.onRefused(origin, ONE_SIDED.ownIsPlain)
      // Whoever expects TLS finds out by any answer that is none.
      answer(socket, '400 Bad Request')
    } else {
      this.#options.onRefused(origin, ONE_SIDED.peerIsPlain)
      answer(socket, '426 Upgrade Required', 'Upgrade: TLS/1.2, HTTP/1.1')
    }
  }

  /**
   * A handshake goes through whatever certificate is shown, and the check of it is looked at before anything is read. (To
   * let the server end it, `rejectUnauthorized`, was rejected: then nobody can say who was refused, nor tell it why.)
   */
  #tlsServer(tls: PeerTls): TlsServer {
    const server = createTlsServer({
      ...secureOptionsOf(tls),
      requestCert: true,
      rejectUnauthorized: false,
      handshakeTimeout: REQUEST_MS_MAX,
    })
    server.on('secureConnection', socket => {
      socket.on('error', () => socket.destroy())
      const fault = certificateFault(socket)
      if (fault === null) return void this.#http.emit('connection', socket)
      const { reason, subject } = fault
      this.#options.onRefused(
        originOf(socket),
        certificateRefusal({ whose: 'peer', reason, ...(subject === undefined ? {} : { subject }) }),
      )
      answer(socket, '403 Forbidden', `${REFUSAL_HEADER}: ${reason}`)
    })
    server.on('tlsClientError', (cause, socket) => {
      const refusal = handshakeRefusal(failureOf(cause))
      if (refusal !== null) this.#options.onRefused(originOf(socket), refusal)
    })
    return server
  }

  #onUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy())
    const origin = originOf(request.socket)
    const stranger = this.#strangers.get(origin)
    if (stranger === undefined) return void socket.destroy()
    clearTimeout(stranger.deadline)
    stranger.deadline = this.#deadline(stranger.socket, SESSION_MS_MAX)
    stranger.hasAsked = true
    this.#options.onUpgrade(request, socket, head, origin)
  }

  #deadline(socket: Socket, ms: number): NodeJS.Timeout {
    return setTimeout(() => {
      this.#options.metrics.count('log_peer_trouble', 1, { what: 'slowStranger' })
      socket.destroy()
    }, ms).unref()
  }

  #onFull(origin: Origin): void {
    this.#options.metrics.count('log_peer_trouble', 1, { what: 'tooManyStrangers' })
    if (this.#wasFull) return
    this.#wasFull = true
    this.#options.log.warn('log-peer-strangers', {
      refused: origin,
      because: `${STRANGERS_MAX} connections to this port have not shown yet whose they are: members may have to wait for up to 5 s`,
    })
  }
}

/** As an error of a connection tells it. */
export function failureOf(cause: Error): TlsFailure {
  return { code: (cause as NodeJS.ErrnoException).code ?? '', message: cause.message }
}

/** That there is a certificate is asked first: a session that goes on from another one counts as authorized without. */
function certificateFault(socket: TLSSocket): { readonly reason: string; readonly subject?: string } | null {
  const certificate = socket.getPeerX509Certificate()
  if (certificate === undefined) return { reason: 'NONE' }
  if (socket.authorized) return null
  // What is called an Error in the types is the code of the check.
  return {
    reason: String(socket.authorizationError ?? 'CERT_REJECTED'),
    subject: certificate.subject.trim().replaceAll('\n', ', ').slice(0, 200),
  }
}

/** And no more: what the other end still sends is taken and dropped until it goes, or its time is up. */
function answer(socket: Socket, status: string, header?: string): void {
  const lines = [`HTTP/1.1 ${status}`, ...(header === undefined ? [] : [header]), 'Connection: close']
  socket.resume()
  socket.end(`${lines.join('\r\n')}\r\nContent-Length: 0\r\n\r\n`)
}

/** The same for a connection and for the TLS that runs over it. */
const originOf = ({ remoteAddress = 'gone', remotePort = 0 }: Socket): Origin =>
  `${remoteAddress.replace(/^::ffff:/, '')}:${remotePort}`

function placeRefused(cause: Error, host: string, port: number): Error {
  const code = (cause as NodeJS.ErrnoException).code
  if (code === 'EADDRINUSE') {
    return placeError(
      `port ${port} on ${host} is taken: stop what listens there, or set peer.port and members to another`,
    )
  }
  if (code === 'EADDRNOTAVAIL')
    return placeError(`this machine has no address ${host}: set peer.host to one of its own`)
  if (code === 'EACCES')
    return placeError(`port ${port} may not be opened by this user: set peer.port to one above 1023`)
  return cause
}

/** The name outlives the way to the other thread, the class does not. */
function placeError(text: string): Error {
  const error = new Error(text)
  error.name = 'PeerPlaceRefused'
  return error
}
