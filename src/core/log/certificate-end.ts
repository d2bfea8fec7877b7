/**
 * When a node should say that a certificate ends. Connections that are open outlive their certificates, so nothing is
 * noticed on the day itself; the next reconnection fails, and that of all nodes if they were made together. So it is said
 * early, and daily.
 */

const DAY_MS = 86_400_000
const SAID_DAYS_BEFORE = 30

export interface CertificateEnds {
  /** Unix time, ms: of this node's certificate and what it was signed with. */
  readonly certEndsAtMs: number
  /** Of the CA in caFile that it was signed with. */
  readonly caEndsAtMs: number
}

export interface CertificateEnding {
  readonly key: 'peer.tls.certFile' | 'peer.tls.caFile'
  readonly endsAtMs: number
  /** Whole days; negative when it has ended. */
  readonly daysLeft: number
}

/** Those that end soon or have ended. */
export function certificateEndings({ certEndsAtMs, caEndsAtMs }: CertificateEnds, wallMs: number): CertificateEnding[] {
  const all = [
    { key: 'peer.tls.certFile', endsAtMs: certEndsAtMs },
    { key: 'peer.tls.caFile', endsAtMs: caEndsAtMs },
  ] as const
  return all
    .map(({ key, endsAtMs }) => ({ key, endsAtMs, daysLeft: Math.floor((endsAtMs - wallMs) / DAY_MS) }))
    .filter(({ daysLeft }) => daysLeft < SAID_DAYS_BEFORE)
}
