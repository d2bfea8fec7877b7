/**
 * How a member dials another one: with TLS if this node has certificates, and then the other one's is checked as usual,
 * against caFile and against the host that was dialled. When it does not come to a connection it is made out why.
 */
import { type createConnection, isIP } from 'node:net'
import { connect, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls'
import { WebSocket } from 'ws'
import {
  certificateRefusal,
  handshakeRefusal,
  isCertificateFault,
  ONE_SIDED,
  type TlsRefusal,
  tlsReason,
} from '../../core/log/tls-refusal.ts'
import { PEER_FRAME_BYTES_MAX, PEER_PATH, PEER_SUBPROTOCOL } from '../../wire/messages/peer.ts'
import { type PeerTls, secureOptionsOf } from '../peer-certificates.ts'
import { failureOf, REFUSAL_HEADER } from './peer-door.ts'
import type { SessionEnd } from './peer-session.ts'

const DIAL_MS_MAX = 3_000

export interface Dialled {
  readonly socket: WebSocket
  /** For the error that it ended with before it was open. */
  whyNot(cause: Error): SessionEnd
}

/** What the other end has answered instead of opening a WebSocket. */
interface Answer {
  readonly status: number
  readonly upgrade: string
  readonly refusal: string
}

export class PeerDialer {
  readonly #context: SecureContext | null

  constructor(tls: PeerTls | null) {
    this.#context = tls === null ? null : createSecureContext(secureOptionsOf(tls))
  }

  /** `address`: host:port; the host of an IPv6 address may come without its brackets. */
  dial(address: string): Dialled {
    const colon = address.lastIndexOf(':')
    const host = address.slice(0, colon).replace(/^\[|\]$/g, '')
    const port = Number(address.slice(colon + 1))
    const secureContext = this.#context
    const open = (): TLSSocket => {
      const servername = isIP(host) ? '' : host
      const socket = connect({ host, port, servername, secureContext: secureContext!, rejectUnauthorized: true })
      // One that comes after the first is nobody's any more.
      return socket.on('error', () => {})
    }
    const scheme = secureContext === null ? 'ws' : 'wss'
    const socket = new WebSocket(
      `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}${PEER_PATH}`,
      [PEER_SUBPROTOCOL],
      {
        perMessageDeflate: false,
        maxPayload: PEER_FRAME_BYTES_MAX,
        handshakeTimeout: DIAL_MS_MAX,
        generateMask: unmasked,
        ...(secureContext === null ? {} : { createConnection: open as typeof createConnection }),
      },
    )
    socket.on('error', () => {})
    let answer: Answer | null = null
    socket.once('unexpected-response', (_request, { statusCode, headers }) => {
      const { upgrade, [REFUSAL_HEADER]: refusal } = headers
      answer = { status: statusCode ?? 0, upgrade: upgrade ?? '', refusal: String(refusal ?? '') }
      socket.terminate()
    })
    return { socket, whyNot: cause => (answer === null ? failed(cause, host) : refused(answer)) }
  }
}

const byUs = (refusal: TlsRefusal): SessionEnd => ({ refusal, refusedBy: 'us', reason: refusal.text })
const byThem = (refusal: TlsRefusal): SessionEnd => ({ refusal, refusedBy: 'them', reason: refusal.text })

function refused({ status, upgrade, refusal }: Answer): SessionEnd {
  if (status === 426 && upgrade.startsWith('TLS')) return byThem(ONE_SIDED.ownIsPlain)
  if (status === 403 && /^[A-Z_]{1,64}$/.test(refusal))
    return byThem(certificateRefusal({ whose: 'own', reason: refusal }))
  return { refusal: null, refusedBy: null, reason: `it has answered HTTP status ${status}` }
}

function failed(cause: Error, host: string): SessionEnd {
  const failure = failureOf(cause)
  if (isCertificateFault(failure.code)) {
    const names = (cause as { cert?: { subjectaltname?: string } }).cert?.subjectaltname?.slice(0, 300)
    const certificate = { whose: 'peer', reason: failure.code, host } as const
    return byUs(certificateRefusal(names === undefined ? certificate : { ...certificate, names }))
  }
  const refusal = handshakeRefusal(failure)
  if (refusal !== null) return byUs(refusal)
  return { refusal: null, refusedBy: null, reason: tlsReason(failure) }
}

/**
 * A key of zeros changes nothing, and ws then leaves the masking out. Masks keep a script in a browser from sending what a
 * careless proxy takes for HTTP; here neither is there, and each byte would be touched once more at both ends.
 */
function unmasked(mask: Buffer): void {
  mask.fill(0)
}
