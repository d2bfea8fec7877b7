/** Says daily, in the log and as a metric, when the certificates of this node end; they are read at its start only. */
import type { Logger, Metrics } from '../../actors/ports.ts'
import { type CertificateEnds, certificateEndings } from '../../core/log/certificate-end.ts'

const LOOK_EVERY_MS = 86_400_000

export interface CertificateWatchOptions {
  readonly log: Logger
  readonly metrics: Metrics
}

export class CertificateWatch {
  readonly #ends: CertificateEnds
  readonly #options: CertificateWatchOptions
  #timer: NodeJS.Timeout | null = null

  constructor(ends: CertificateEnds, options: CertificateWatchOptions) {
    this.#ends = ends
    this.#options = options
  }

  start(): void {
    const { certEndsAtMs, caEndsAtMs } = this.#ends
    this.#options.metrics.gauge('log_peer_certificate_end_seconds', Math.min(certEndsAtMs, caEndsAtMs) / 1_000)
    this.#look()
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS)
    this.#timer.unref()
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
  }

  #look(): void {
    for (const { key, endsAtMs, daysLeft } of certificateEndings(this.#ends, Date.now())) {
      this.#options.log.warn('log-peer-certificate-ends', {
        key,
        ends: new Date(endsAtMs).toISOString(),
        daysLeft,
        because: 'without a new one and a restart of this node it reaches no other after that',
      })
    }
  }
}
