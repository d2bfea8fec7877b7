/**
 * What is told about refusals between members: each is counted, and logged when it is new. Whoever is known is known by
 * its member id; a stranger by its address without the port, which is another one with every try.
 */
import type { Logger, Metrics } from '../../actors/ports.ts'
import type { SessionEnd } from './peer-session.ts'

/** More than there are members; whoever tries from ever new addresses must not fill the memory. */
const REMEMBERED_MAX = 128

export interface PeerRefusalsOptions {
  readonly log: Logger
  readonly metrics: Metrics
}

/** Where a stranger comes from, as `address:port`. */
export type Origin = string

export class PeerRefusals {
  readonly #options: PeerRefusalsOptions
  /** The last text by who it is about and what kind it is, the oldest first. */
  readonly #said = new Map<string, string>()

  constructor(options: PeerRefusalsOptions) {
    this.#options = options
  }

  note(who: number | Origin, { refusal, refusedBy }: SessionEnd): void {
    if (refusal === null || refusedBy === null) return
    const { code, text } = refusal
    this.#options.metrics.count('log_handshake_refused', 1, { code })
    // Several members may come from one address, each with a fault of its own.
    const key = `${keyOf(who)} ${refusedBy}${typeof who === 'number' ? '' : ` ${code}`}`
    if (this.#said.get(key) === text) return
    this.#said.delete(key)
    this.#said.set(key, text)
    for (const oldest of this.#said.keys()) {
      if (this.#said.size <= REMEMBERED_MAX) break
      this.#said.delete(oldest)
    }
    const fields = { peer: who, code, because: text }
    if (refusedBy === 'us') this.#options.log.error('log-peer-refused', fields)
    else this.#options.log.error('log-refused-by-peer', fields)
  }

  /** It was let in: what comes after that is news. */
  forget(who: number | Origin): void {
    const about = `${keyOf(who)} `
    for (const key of this.#said.keys()) if (key.startsWith(about)) this.#said.delete(key)
  }
}

/** The address alone. */
export const hostOf = (origin: Origin): string => origin.slice(0, origin.lastIndexOf(':'))

const keyOf = (who: number | Origin): string => (typeof who === 'number' ? `member ${who}` : hostOf(who))
