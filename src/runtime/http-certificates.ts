/**
 * The files of `http.tls`, read and checked before the port is opened: what would make every client fail is told here,
 * with the key, the file and what to do. Clients show no certificates, so there is no CA for them.
 */
import { checkServerIdentity, createSecureContext } from 'node:tls'
import type { Logger, Metrics } from '../actors/ports.ts'
import { certificatesIn, Fault, messageOf, nameOf, privateKeyIn, refuseOutdated, type TlsFiles } from './pem-files.ts'

export interface HttpTls {
  /** What the port is served with, PEM; null: http. */
  readonly own: OwnCertificate | null
  /** By which https scheduler nodes are known, PEM; null: those that come with Node.js. */
  readonly ca: string | null
}

export interface OwnCertificate {
  readonly cert: string
  readonly key: string
  /** Unix time, ms. */
  readonly endsAtMs: number
}

export interface HttpTlsFault {
  readonly key: keyof TlsFiles
  readonly text: string
}

export type ReadHttpTls =
  | { readonly ok: true; readonly tls: HttpTls }
  | { readonly ok: false; readonly faults: readonly HttpTlsFault[] }

/** `host`: under which clients reach this node; null when that is not known. */
export function readHttpTls(
  files: TlsFiles,
  place: { readonly wallMs: number; readonly host: string | null },
): ReadHttpTls {
  const faults: HttpTlsFault[] = []
  const tried = <T>(run: () => T): T | null => {
    try {
      return run()
    } catch (cause) {
      if (!(cause instanceof Fault)) throw cause
      faults.push({ key: cause.key, text: cause.message })
      return null
    }
  }
  const { caFile } = files
  const ca = caFile === null ? null : tried(() => certificatesIn('caFile', caFile).pem)
  const own = tried(() => ownOf(files, place))
  return faults.length > 0 ? { ok: false, faults } : { ok: true, tls: { own, ca } }
}

function ownOf(
  { certFile, keyFile }: TlsFiles,
  { wallMs, host }: { readonly wallMs: number; readonly host: string | null },
): HttpTls['own'] {
  if (certFile === null && keyFile === null) return null
  if (certFile === null) throw new Fault('certFile', 'is not set, but http.tls.keyFile is: set both or neither')
  if (keyFile === null) throw new Fault('keyFile', 'is not set, but http.tls.certFile is: set both or neither')
  const { pem: cert, certificates } = certificatesIn('certFile', certFile)
  const { pem: key, fits } = privateKeyIn(keyFile)
  const [own] = certificates
  if (own === undefined || !fits(own)) {
    const text = `the key in ${keyFile} does not belong to the first certificate in ${certFile}: give the key that it was made with`
    throw new Fault('keyFile', text)
  }
  refuseOutdated('certFile', certFile, own, wallMs)
  const bare = host?.replace(/^\[|\]$/g, '') ?? null
  if (bare !== null && checkServerIdentity(bare, own.toLegacyObject()) !== undefined) {
    const text = `the certificate in ${certFile} is for ${own.subjectAltName ?? nameOf(own)}, not for ${bare}, under which clients are sent here: make one with it in subjectAltName, or set http.advertise to a host that it is for`
    throw new Fault('certFile', text)
  }
  try {
    createSecureContext({ cert, key })
  } catch (cause) {
    throw new Fault('certFile', `${certFile} and ${keyFile} cannot be used for TLS: ${messageOf(cause)}`)
  }
  return { cert, key, endsAtMs: Date.parse(own.validTo) }
}

const DAY_MS = 86_400_000
const SAID_DAYS_BEFORE = 30

/** Says daily when the certificate ends soon, as it is read at the start only. Answers how to stop. */
export function watchHttpCertificate(
  { endsAtMs }: OwnCertificate,
  { logger, metrics }: { readonly logger: Logger; readonly metrics: Metrics },
): () => void {
  metrics.gauge('http_certificate_end_seconds', endsAtMs / 1_000)
  const look = (): void => {
    const daysLeft = Math.floor((endsAtMs - Date.now()) / DAY_MS)
    if (daysLeft >= SAID_DAYS_BEFORE) return
    const because = 'without a new one and a restart of this node no client reaches it after that'
    logger.warn('http-certificate-ends', { ends: new Date(endsAtMs).toISOString(), daysLeft, because })
  }
  look()
  const timer = setInterval(look, DAY_MS)
  timer.unref()
  return () => clearInterval(timer)
}
