/**
 * Whoever listens to the ledger. A listener or an output that throws is a bug of whoever gave it: it is logged and
 * counted, and the others are told all the same.
 */
import type { Rejection } from '../../core/base/rejection.ts'
import type { LedgerChange } from '../ledger.ts'
import type { LeaderView, Logger, Metrics } from '../ports.ts'

export class Audience {
  readonly staged: Listeners<LedgerChange>
  readonly committed: Listeners<LedgerChange>
  readonly opened: Listeners<LeaderView>
  readonly closed: Listeners<Rejection>
  readonly #logger: Logger
  readonly #metrics: Metrics

  constructor(logger: Logger, metrics: Metrics) {
    this.#logger = logger
    this.#metrics = metrics
    const guard = (run: () => void): void => this.#guarded('ledgerListenerFailed', run)
    this.staged = new Listeners(guard)
    this.committed = new Listeners(guard)
    this.opened = new Listeners(guard)
    this.closed = new Listeners(guard)
  }

  /** Runs what someone wanted run after a commit, or after its loss. */
  output(run: () => void): void {
    this.#guarded('ledgerOutputFailed', run)
  }

  #guarded(event: string, run: () => void): void {
    try {
      run()
    } catch (cause) {
      this.#metrics.count('ledger_output_failures')
      this.#logger.error(event, { cause })
    }
  }
}

export class Listeners<T> {
  readonly #listeners = new Set<(what: T) => void>()
  readonly #guard: (run: () => void) => void

  constructor(guard: (run: () => void) => void) {
    this.#guard = guard
  }

  /** Answers the way to leave. */
  add(listener: (what: T) => void): () => void {
    this.#listeners.add(listener)
    return () => {
      this.#listeners.delete(listener)
    }
  }

  /** One that joins meanwhile is told too. */
  tell(what: T): void {
    for (const listener of this.#listeners) this.#guard(() => listener(what))
  }

  /** Only those who listen now. */
  tellPresent(what: T): void {
    for (const listener of [...this.#listeners]) this.#guard(() => listener(what))
  }
}
