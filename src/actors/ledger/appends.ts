/**
 * Batches on their way to the log. Every result comes back as a message; until the last has, nobody can know which of
 * the appends took effect, so they are counted across openings.
 */
import type { Pipeline } from '../../core/ledger/pipeline.ts'
import type { Context } from '../actor.ts'
import type { AppendResult, Ballot, LogPort, Metrics } from '../ports.ts'

export type Appended = {
  readonly type: 'appended'
  /** The opening of the ledger that sent it. */
  readonly term: number
  readonly batch: number
  readonly result: AppendResult
}

export class Appends {
  /** Results that are still to come, of whatever opening. */
  outstanding = 0
  readonly #log: LogPort
  readonly #metrics: Metrics
  /** Of the batches in flight, monotonic ms. */
  readonly #sentAtMs = new Map<number, number>()

  constructor(log: LogPort, metrics: Metrics) {
    this.#log = log
    this.#metrics = metrics
  }

  /** All batches that may leave now. `ballot` and `term`: the leadership under which their rows were computed. */
  send(
    context: Context<Appended>,
    pipeline: Pipeline,
    { ballot, term }: { readonly ballot: Ballot | null; readonly term: number },
    nowMonoMs: number,
  ): void {
    const basis = ballot === null ? undefined : { ballot, opening: term }
    for (let batch = pipeline.next(nowMonoMs); batch !== null; batch = pipeline.next(nowMonoMs)) {
      const { id, payloads, transactions } = batch
      this.#sentAtMs.set(id, nowMonoMs)
      this.#metrics.count('ledger_batches')
      this.#metrics.count('ledger_transactions', transactions)
      for (const payload of payloads) {
        this.outstanding++
        context.pipe(this.#log.append(payload, basis), settled => {
          if (settled.ok) return { type: 'appended', term, batch: id, result: settled.value }
          context.log.error('ledger-append-failed', { cause: settled.cause })
          return { type: 'appended', term, batch: id, result: { type: 'unknown' } }
        })
      }
    }
  }

  committed(batch: number, nowMonoMs: number): void {
    this.#metrics.observe('ledger_commit_seconds', (nowMonoMs - (this.#sentAtMs.get(batch) ?? 0)) / 1_000)
    this.#sentAtMs.delete(batch)
  }

  /** The ledger has closed: what is in flight is of no use to it any more, but is still waited for. */
  forget(): void {
    this.#sentAtMs.clear()
  }
}
