/**
 * Why two members do not come together over TLS, in words. What the machinery says ("wrong version number",
 * UNABLE_TO_VERIFY_LEAF_SIGNATURE) becomes a code, what is wrong, and what to do on which of the two nodes; what is no
 * matter of TLS, such as a connection that broke, is no refusal. These refusals come before a HELLO, so they never travel
 * as REFUSE.
 */

export type TlsRefusalCode = 'TLS_ONE_SIDED' | 'TLS_CERTIFICATE' | 'TLS_VERSION'

export interface TlsRefusal {
  readonly code: TlsRefusalCode
  readonly text: string
}

/** Of the refusals between members: whether it is one of these. */
export const isTlsRefusal = ({ code }: { readonly code: string }): boolean => code.startsWith('TLS_')

/** A failure as it was met: a code of the system or of the check of a certificate, and the words of OpenSSL. */
export interface TlsFailure {
  readonly code: string
  readonly message: string
}

/** The certificate that is judged: the other node's by this one, or this node's by the other one. */
export interface JudgedCertificate {
  readonly whose: 'peer' | 'own'
  /** As the check of certificates says it; `NONE`: there was no certificate. */
  readonly reason: string
  /** Whom it names, if that is known. */
  readonly subject?: string
  /** Where the peer is listed, and what its certificate is for instead; for a name that does not fit. */
  readonly host?: string
  readonly names?: string
}

const NO_CERTIFICATE = 'NONE'

const NOT_SIGNED: ReadonlySet<string> = new Set([
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'INVALID_CA',
])
const OTHER_FAULTS: ReadonlySet<string> = new Set([
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'INVALID_PURPOSE',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'CERT_CHAIN_TOO_LONG',
  'PATH_LENGTH_EXCEEDED',
  'CERT_REJECTED',
  'HOSTNAME_MISMATCH',
])

/** Whether that is the end of a check of a certificate. */
export const isCertificateFault = (code: string): boolean => NOT_SIGNED.has(code) || OTHER_FAULTS.has(code)

export const ONE_SIDED = {
  /** Told to a node with TLS: the other one speaks without. */
  peerIsPlain: {
    code: 'TLS_ONE_SIDED',
    text: 'it speaks without TLS and this node with it: set peer.tls on that node and restart it',
  },
  /** Told to a node without. */
  ownIsPlain: {
    code: 'TLS_ONE_SIDED',
    text: 'it speaks TLS and this node does not: set peer.tls on this node and restart it',
  },
} as const satisfies Record<string, TlsRefusal>

export function certificateRefusal({ whose, reason, subject, host, names }: JudgedCertificate): TlsRefusal {
  const named = subject === undefined ? '' : ` (${subject})`
  const [certificate, there, node] =
    whose === 'peer'
      ? [`its certificate${named}`, 'of this node', 'that node']
      : ["this node's certificate (peer.tls.certFile)", 'there', 'this node']
  const text = (): string => {
    if (reason === NO_CERTIFICATE) return `no certificate was shown: set peer.tls on ${node} and restart it`
    if (NOT_SIGNED.has(reason)) {
      return `${certificate} is not signed by peer.tls.caFile ${there}: give both nodes certificates of one CA and its caFile`
    }
    switch (reason) {
      case 'CERT_HAS_EXPIRED':
        return `${certificate} has expired, or that of its CA: make a new one and restart ${node}`
      case 'CERT_NOT_YET_VALID':
        return `${certificate} is not valid yet: compare the clocks of both machines`
      case 'INVALID_PURPOSE':
        return `${certificate} may not be used for this: make one with extendedKeyUsage = serverAuth, clientAuth`
      case 'ERR_TLS_CERT_ALTNAME_INVALID':
        return `${certificate} is for ${names ?? 'another host'}, not for ${host ?? 'it'}, where members say it is reached: make one with that name in subjectAltName and restart ${node}`
      default:
        return `${certificate} is refused (${reason})`
    }
  }
  return { code: 'TLS_CERTIFICATE', text: text() }
}

/** What a dialler or an acceptor has met during the TLS handshake; null: nothing that a refusal could be made of. */
export function handshakeRefusal(failure: TlsFailure): TlsRefusal | null {
  const reason = tlsReason(failure)
  // What an answer in clear looks like to somebody who expects TLS.
  if (/wrong version number|packet length too long|^http request/.test(reason)) return ONE_SIDED.peerIsPlain
  if (/protocol version|unsupported protocol|no shared cipher|handshake failure|no protocols/.test(reason)) {
    const text = `the two nodes have no version or cipher of TLS in common (${reason}): TLS 1.2 is the least`
    return { code: 'TLS_VERSION', text }
  }
  return null
}

/** `tlsv1 alert protocol version`: in the words of OpenSSL where it has spoken, else the message as it is. */
export function tlsReason({ code, message }: TlsFailure): string {
  const told = /:SSL routines:[^:]*:([^:]+):/.exec(message)?.[1]
  return told ?? (code.startsWith('ERR_SSL_') ? code.slice(8).toLowerCase().replaceAll('_', ' ') : message)
}
