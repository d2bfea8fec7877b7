/**
 * Certificates and keys in PEM, as operators keep them in files: read, and refused with the key of the config, the file
 * and what to do. What has to hold between the files of one place is said by whoever reads them all.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'

/** Paths, as in the config. */
export interface TlsFiles {
  readonly certFile: string | null
  readonly keyFile: string | null
  readonly caFile: string | null
}

const CERTIFICATES = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g

/** Ends a check at its first fault; all texts name the file. */
export class Fault extends Error {
  readonly key: keyof TlsFiles
  constructor(key: keyof TlsFiles, text: string) {
    super(text)
    this.key = key
  }
}

export interface CertificateFile {
  readonly pem: string
  readonly certificates: readonly X509Certificate[]
}

function textOf(key: keyof TlsFiles, path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new Fault(key, `cannot be read: ${messageOf(cause)}`)
  }
}

export function certificatesIn(key: 'certFile' | 'caFile', path: string): CertificateFile {
  const pem = textOf(key, path)
  const blocks = pem.match(CERTIFICATES) ?? []
  if (blocks.length === 0) {
    const why = /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(pem)
      ? 'holds a private key and no certificate: has it changed places with keyFile?'
      : 'holds no certificate in PEM (-----BEGIN CERTIFICATE-----); one in DER becomes PEM by `openssl x509 -inform der`'
    throw new Fault(key, `${path} ${why}`)
  }
  const certificates = blocks.map((block, at) => {
    try {
      return new X509Certificate(block)
    } catch (cause) {
      throw new Fault(key, `certificate ${at + 1} in ${path} is damaged: ${messageOf(cause)}`)
    }
  })
  return { pem, certificates }
}

export interface KeyFile {
  readonly pem: string
  readonly fits: (certificate: X509Certificate) => boolean
}

export function privateKeyIn(path: string): KeyFile {
  const pem = textOf('keyFile', path)
  if (/-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m.test(pem)) {
    const text = `${path} is behind a passphrase, and there is nobody to ask for it: write the key without, \`openssl pkey -in ${path} -out FILE\``
    throw new Fault('keyFile', text)
  }
  if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(pem)) {
    const why = pem.includes('-----BEGIN CERTIFICATE-----')
      ? 'holds a certificate and no private key: has it changed places with certFile?'
      : 'holds no private key in PEM (-----BEGIN PRIVATE KEY-----)'
    throw new Fault('keyFile', `${path} ${why}`)
  }
  try {
    const key = createPrivateKey(pem)
    return { pem, fits: certificate => certificate.checkPrivateKey(key) }
  } catch (cause) {
    throw new Fault('keyFile', `the key in ${path} is damaged: ${messageOf(cause)}`)
  }
}

export function refuseOutdated(
  key: 'certFile' | 'caFile',
  path: string,
  certificate: X509Certificate,
  wallMs: number,
): void {
  const { validFrom, validTo } = certificate
  const which = `the certificate in ${path} (${nameOf(certificate)})`
  if (Date.parse(validTo) <= wallMs) throw new Fault(key, `${which} expired on ${dayOf(validTo)}: make a new one`)
  if (Date.parse(validFrom) > wallMs) {
    throw new Fault(key, `${which} is valid from ${dayOf(validFrom)} only: is the clock of this machine right?`)
  }
}

const dayOf = (date: string): string => new Date(Date.parse(date)).toISOString().slice(0, 10)
export const nameOf = ({ subject }: X509Certificate): string => oneLine(subject)
/** A distinguished name comes as a line for each part. */
export const oneLine = (name: string | undefined): string =>
  (name ?? '').trim().replaceAll('\n', ', ') || 'without a name'
export const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))
