/**
 * The three files of `peer.tls`, read and checked before anything is opened: whether they can be read, are what they
 * should be, belong together, are valid now, and hold for the host under which the others dial this node. Whatever would
 * make every handshake fail is told here, with the key, the file and what to do.
 */
import { constants, type X509Certificate } from 'node:crypto'
import { checkServerIdentity, createSecureContext, type SecureContextOptions } from 'node:tls'
import type { CertificateEnds } from '../core/log/certificate-end.ts'
import {
  type CertificateFile,
  certificatesIn,
  Fault,
  type KeyFile,
  messageOf,
  nameOf,
  oneLine,
  privateKeyIn,
  refuseOutdated,
  type TlsFiles,
} from './pem-files.ts'

export type PeerTlsFiles = TlsFiles

/** PEM texts. Plain data: it crosses to the log thread. */
export interface PeerTls extends CertificateEnds {
  /** This node's certificate, and behind it those between it and the CA. */
  readonly cert: string
  readonly key: string
  /** One or more certificates that may sign others. */
  readonly ca: string
}

export interface PeerTlsFault {
  readonly key: keyof PeerTlsFiles
  readonly text: string
}

export interface PeerTlsPlace {
  /** Unix time, ms. */
  readonly wallMs: number
  /** Where `members` say that this node is reached; null when nobody dials it. */
  readonly host: string | null
}

/** `tls` null: none of the three is set. */
export type ReadPeerTls =
  | { readonly ok: true; readonly tls: PeerTls | null }
  | { readonly ok: false; readonly faults: readonly PeerTlsFault[] }

const KEYS = ['certFile', 'keyFile', 'caFile'] as const
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'
const CHAIN_LENGTH_MAX = 10

export function readPeerTls(files: PeerTlsFiles, place: PeerTlsPlace): ReadPeerTls {
  const set = KEYS.filter(key => files[key] !== null)
  if (set.length === 0) return { ok: true, tls: null }
  const missing = KEYS.filter(key => files[key] === null)
  if (missing.length > 0) {
    const text = `is not set, but peer.tls.${set[0]} is: set certFile, keyFile and caFile, or none of them`
    return { ok: false, faults: missing.map(key => ({ key, text })) }
  }
  // Each file by itself first, so that the faults of all three are told at once.
  const faults: PeerTlsFault[] = []
  const tried = <T>(run: () => T): T | null => {
    try {
      return run()
    } catch (cause) {
      if (!(cause instanceof Fault)) throw cause
      faults.push({ key: cause.key, text: cause.message })
      return null
    }
  }
  const cert = tried(() => certificatesIn('certFile', files.certFile!))
  const key = tried(() => privateKeyIn(files.keyFile!))
  const ca = tried(() => certificatesIn('caFile', files.caFile!))
  if (cert === null || key === null || ca === null) return { ok: false, faults }
  const tls = tried(() => matched({ cert, key, ca }, files as Record<keyof PeerTlsFiles, string>, place))
  return tls === null ? { ok: false, faults } : { ok: true, tls }
}

/** What either end of a connection is made with. */
export function secureOptionsOf({ cert, key, ca }: PeerTls): SecureContextOptions {
  return {
    cert,
    key,
    ca,
    minVersion: 'TLSv1.2',
    // Each connection shows its certificate anew: none goes on from the session of an earlier one.
    secureOptions: constants.SSL_OP_NO_TICKET,
  }
}

/** What must hold between the files. */
function matched(
  read: { readonly cert: CertificateFile; readonly key: KeyFile; readonly ca: CertificateFile },
  files: Readonly<Record<keyof PeerTlsFiles, string>>,
  { wallMs, host }: PeerTlsPlace,
): PeerTls {
  const { cert, key, ca } = read
  const [own, ...between] = cert.certificates as [X509Certificate, ...X509Certificate[]]
  if (!key.fits(own)) {
    const text = `the key in ${files.keyFile} does not belong to the certificate in ${files.certFile} (${nameOf(own)}): give the key that the certificate was made with; this node's certificate comes first in its file`
    throw new Fault('keyFile', text)
  }
  const { chain, anchor } = chainOf(own, between, ca.certificates, wallMs)
  if (anchor === null) {
    const end = chain.at(-1)!
    const text = `the certificates in ${files.certFile} lead to ${nameOf(end)}, issued by ${issuerOf(end)}, which is not in caFile ${files.caFile} (${ca.certificates.map(nameOf).join('; ')}) or has another key there: put the root there, and those in between behind the own one in certFile`
    throw new Fault('certFile', text)
  }
  for (const certificate of chain) refuseOutdated('certFile', files.certFile, certificate, wallMs)
  refuseOutdated('caFile', files.caFile, anchor, wallMs)
  if (!anchor.ca) {
    const text = `the certificate in ${files.caFile} (${nameOf(anchor)}) may not sign others: make it with basicConstraints = CA:TRUE`
    throw new Fault('caFile', text)
  }
  const uses = own.keyUsage as readonly string[] | undefined
  if (uses !== undefined && !(uses.includes(SERVER_AUTH) && uses.includes(CLIENT_AUTH))) {
    const text = `the certificate in ${files.certFile} may not be used for both ends of a connection: make one with extendedKeyUsage = serverAuth, clientAuth`
    throw new Fault('certFile', text)
  }
  const bare = host?.replace(/^\[|\]$/g, '') ?? null
  if (bare !== null && checkServerIdentity(bare, own.toLegacyObject()) !== undefined) {
    const text = `the certificate in ${files.certFile} is for ${own.subjectAltName ?? nameOf(own)}, not for ${bare}, where members say that this node is reached: make one with it in subjectAltName`
    throw new Fault('certFile', text)
  }
  const tls: PeerTls = {
    cert: cert.pem,
    key: key.pem,
    ca: ca.pem,
    certEndsAtMs: Math.min(...chain.map(certificate => Date.parse(certificate.validTo))),
    caEndsAtMs: Date.parse(anchor.validTo),
  }
  try {
    createSecureContext(secureOptionsOf(tls))
  } catch (cause) {
    throw new Fault('certFile', `${files.certFile} and ${files.keyFile} cannot be used for TLS: ${messageOf(cause)}`)
  }
  return tls
}

/** From the own certificate to what signed it, and the root in caFile that signed the last; null when there is none. */
function chainOf(
  own: X509Certificate,
  between: readonly X509Certificate[],
  cas: readonly X509Certificate[],
  wallMs: number,
): { readonly chain: readonly X509Certificate[]; readonly anchor: X509Certificate | null } {
  const roots = cas.filter(ca => isIssued(ca, ca))
  const chain = [own]
  while (chain.length < CHAIN_LENGTH_MAX) {
    const last = chain.at(-1)!
    const anchors = roots.filter(root => isIssued(last, root))
    // A CA that was renewed under its old key may stand there twice.
    const anchor = anchors.find(root => Date.parse(root.validTo) > wallMs) ?? anchors[0]
    if (anchor !== undefined) return { chain, anchor }
    const next = [...between, ...cas].find(one => one.ca && !chain.includes(one) && isIssued(last, one))
    if (next === undefined) break
    chain.push(next)
  }
  return { chain, anchor: null }
}

const isIssued = (certificate: X509Certificate, by: X509Certificate): boolean =>
  certificate.checkIssued(by) && certificate.verify(by.publicKey)

const issuerOf = ({ issuer }: X509Certificate): string => oneLine(issuer)
