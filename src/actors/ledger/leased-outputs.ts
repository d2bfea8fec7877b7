/**
 * Outputs that show state and change nothing: they leave only if the lease of the reign in which they were evaluated runs
 * at a look at the clock after that. While it does not they wait for its renewal, which the next heartbeats bring when a
 * quorum still follows, and are then as true as when they were evaluated, because nobody else has led in between. They
 * need not be evaluated again. When leadership turns out to be lost, the ledger closes and they are refused.
 */
import { type Rejection, rejected } from '../../core/base/rejection.ts'
import type { Context } from '../actor.ts'
import type { Ballot, LeaseView, Metrics } from '../ports.ts'

export type LeaseLook = { readonly type: 'lookAtLease' }

/** An output and what to say instead. Both run as the owner runs outputs. */
interface Waiting {
  readonly output: () => void
  readonly lost: ((reason: Rejection) => void) | undefined
  readonly sinceMonoMs: number
}

/** Looking costs a microsecond; this is how late an answer may leave after the renewal. */
const LOOK_EVERY_MS = 10
const WAITING_MAX = 10_000
/** Without a quorum the log gives up leading within a lease; a log thread that says nothing is not waited for longer. */
const WAIT_LEASES_MAX = 1.5

export class LeasedOutputs {
  readonly #lease: LeaseView
  readonly #metrics: Metrics
  readonly #waitMsMax: number
  readonly #run: (output: () => void) => void
  #waiting: Waiting[] = []

  constructor(parts: {
    readonly lease: LeaseView
    readonly leaseMs: number
    readonly metrics: Metrics
    readonly run: (output: () => void) => void
  }) {
    this.#lease = parts.lease
    this.#metrics = parts.metrics
    this.#waitMsMax = WAIT_LEASES_MAX * parts.leaseMs
    this.#run = parts.run
  }

  get waiting(): number {
    return this.#waiting.length
  }

  /** Runs the output now, or keeps it until the lease is renewed. */
  add(
    context: Context<LeaseLook>,
    reign: Ballot | null,
    { output, lost }: Pick<Waiting, 'output' | 'lost'>,
    sinceMonoMs: number,
  ): void {
    if (reign !== null && this.#lease.holds(reign)) return output()
    if (this.#waiting.length >= WAITING_MAX) {
      this.#count('refused', 1)
      return lost?.(rejected('BUSY', `${WAITING_MAX} answers wait for a quorum to confirm that this node still leads`))
    }
    this.#waiting.push({ output, lost, sinceMonoMs })
    if (this.#waiting.length === 1) this.#lookLater(context)
  }

  look(context: Context<LeaseLook>, reign: Ballot | null, nowMonoMs: number): void {
    const waiting = this.#waiting
    if (reign !== null && this.#lease.holds(reign)) {
      this.#waiting = []
      this.#count('confirmed', waiting.length)
      for (const { output } of waiting) this.#run(output)
      return
    }
    const isLate = ({ sinceMonoMs }: Waiting): boolean => nowMonoMs - sinceMonoMs >= this.#waitMsMax
    this.#waiting = waiting.filter(one => !isLate(one))
    this.#refuse(waiting.filter(isLate), this.#unconfirmed())
    if (this.#waiting.length > 0) this.#lookLater(context)
  }

  /** Leadership is lost. */
  drop(reason: Rejection): void {
    this.#refuse(this.#waiting.splice(0), reason)
  }

  #refuse(refused: readonly Waiting[], reason: Rejection): void {
    this.#count('refused', refused.length)
    for (const { lost } of refused) if (lost !== undefined) this.#run(() => lost(reason))
  }

  #unconfirmed(): Rejection {
    const detail = `No quorum has confirmed within ${this.#waitMsMax} ms that this node still leads`
    return rejected('NOT_LEADER', detail, {
      remedy: 'Try again; `daybreak log status` on this node says whom it reaches',
    })
  }

  #count(end: 'confirmed' | 'refused', by: number): void {
    if (by > 0) this.#metrics.count('ledger_reads_without_lease', by, { end })
  }

  #lookLater(context: Context<LeaseLook>): void {
    context.startTimer('lookAtLease', LOOK_EVERY_MS, { type: 'lookAtLease' })
  }
}
