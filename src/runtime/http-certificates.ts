/**
 * The files of `http.tls`, read and checked before the port is opened: what would make every client fail is told here,
 * with the key, the file and what to do. Clients show no certificates, so there is no CA for them.
 */
import { checkServerIdentity, createSecureContext } from 'node:tls'
import { certificatesIn, Fault, messageOf, nameOf, privateKeyIn, refuseOutdated, type TlsFiles } from './pem-files.ts'

export interface HttpTls {
  /** What the port is served with, PEM; null: http. */
  readonly own: { readonly cert: string; readonly key: string } | null
  /** By which https scheduler nodes are known, PEM; null: those that come with Node.js. */
  readonly ca: string | null
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
  return { cert, key }
}
