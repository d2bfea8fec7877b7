/**
 * What a leader's scheduler keeps, in small: one view of all objects, staged changes included. Every answer waits until
 * all that was staged before it is committed; a read then looks at the clock, and counts only if the lease of this very
 * leadership was still running at that look. Lost leadership drops the view whole.
 */

import { batchPayload, encodeTransaction, splitPayload } from '../../../src/core/ledger/payload.ts'
import type { Ballot } from '../../../src/core/log/ballot.ts'
import type { AppendOutcome } from '../../../src/core/log/coordinator-core.ts'
import type { ElectionView } from '../../../src/core/log/election-core.ts'
import { type ObjectKind, written } from './linearizability.ts'
import type { Process, Scheduler } from './node.ts'

const TABLE = 1
const TEXT = new TextEncoder()
const FROM_TEXT = new TextDecoder()

export type WriteEnd = 'ok' | 'unknown' | 'refused'

interface Staged {
  readonly ids: Set<number>
  readonly done: (end: WriteEnd) => void
}

export class LeaderState {
  readonly ballot: Ballot
  readonly #process: Process
  readonly #objects = new Map<string, readonly number[]>()
  #staged: Staged[] = []
  #reads: { readonly after: Staged; readonly run: () => void; readonly drop: () => void }[] = []
  readonly #opening: number
  #transactions = 0
  #isVoid = false

  constructor(process: Process, ballot: Ballot) {
    this.#process = process
    this.ballot = ballot
    this.#opening = process.nextOpening()
    for (const { key, bytes } of process.node.disk.tables.rows.values()) {
      this.#objects.set(key, JSON.parse(FROM_TEXT.decode(bytes)) as number[])
    }
  }

  write(kind: ObjectKind, key: string, value: number, parts: number, done: (end: WriteEnd) => void): void {
    if (this.#isVoid) return done('refused')
    const after = written(kind, this.#objects.get(key) ?? [], value)
    this.#objects.set(key, after)
    const row = { table: TABLE, key, bytes: TEXT.encode(JSON.stringify(after)) }
    const whole = batchPayload([encodeTransaction({ who: 'client', why: `${kind} ${value}`, wallMs: 0 }, [row])])
    const bytesMax = parts > 1 ? Math.ceil(whole.length / parts) : whole.length
    const payloads = splitPayload(whole, ++this.#transactions, parts > 1 ? Math.max(1, bytesMax - 32) : bytesMax)
    const ids = this.#process.append(payloads, { ballot: this.ballot, opening: this.#opening })
    this.#staged.push({ ids: new Set(ids), done })
  }

  /** `stallMs`: how long the thread stands still between evaluating and looking at the clock. */
  read(key: string, stallMs: number, done: (seen: readonly number[] | null) => void): void {
    if (this.#isVoid) return done(null)
    const seen = this.#objects.get(key) ?? []
    const look = (): void => this.#process.call(stallMs, () => done(this.#mayAnswer() ? seen : null))
    const last = this.#staged.at(-1)
    if (last === undefined) look()
    else this.#reads.push({ after: last, run: look, drop: () => done(null) })
  }

  ended(id: number, outcome: AppendOutcome): void {
    const first = this.#staged.find(staged => staged.ids.has(id))
    if (this.#isVoid || first === undefined) return
    if (outcome.type !== 'ok') {
      // Whatever was computed on it is void too.
      this.#process.coordinator.tell({ type: 'stepDown', reason: `an append ended ${outcome.type}` })
      return this.#drop(first, outcome.type === 'unknown' ? 'unknown' : 'refused')
    }
    first.ids.delete(id)
    if (first.ids.size > 0) return
    this.#staged.shift()
    first.done('ok')
    const ready = this.#reads.filter(read => read.after === first)
    this.#reads = this.#reads.filter(read => read.after !== first)
    for (const { run } of ready) run()
  }

  /** Leadership is over, or the process is. */
  void(): void {
    this.#drop(null, 'unknown')
  }

  #drop(which: Staged | null, end: WriteEnd): void {
    if (this.#isVoid) return
    this.#isVoid = true
    for (const staged of this.#staged) staged.done(staged === which && staged.ids.size === 1 ? end : 'unknown')
    for (const { drop } of this.#reads) drop()
    this.#staged = []
    this.#reads = []
  }

  #mayAnswer(): boolean {
    return !this.#isVoid && this.#process.holdsLease(this.ballot)
  }
}

/** One state for each time that its process leads. */
export class LeaderStates implements Scheduler {
  /** While its process leads. */
  leader: LeaderState | null = null
  readonly #process: Process

  constructor(process: Process) {
    this.#process = process
  }

  get leads(): boolean {
    return this.leader !== null
  }

  viewed(view: ElectionView): void {
    if (view.role === 'LEADER') this.leader = new LeaderState(this.#process, view.ballot!)
    else this.void()
  }

  ended(id: number, outcome: AppendOutcome): void {
    this.leader?.ended(id, outcome)
  }

  void(): void {
    this.leader?.void()
    this.leader = null
  }
}
