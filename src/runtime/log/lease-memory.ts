/**
 * The lease in memory that the log thread writes and the scheduler thread reads. Several words belong together, so the
 * writer makes a count odd before it touches them and even afterwards, and a reader takes what it saw between two equal
 * even counts. Words are 64-bit integers under Atomics: a plain or floating-point read may see half of a write, and only
 * atomic ones keep their order on every processor. Times are nanoseconds of the machine's monotonic clock, which all
 * threads of a process share.
 *
 * One thread writes. A reader that meets a writer again and again, or one that stopped half-way, finds no lease: that is
 * always safe.
 */
import type { Ballot, Clock, LeaseView } from '../../actors/ports.ts'
import { sameBallot } from '../../core/log/ballot.ts'
import { type Lease, leaseLeftMs } from '../../core/log/lease.ts'
import { realClock } from '../clock.ts'

const COUNT = 0
const ROUND = 1
const MEMBER = 2
const UNTIL = 3
const SINCE_MONO = 4
const SINCE_WALL = 5
const WORDS = 6

const NANOSECONDS = 1e6
/** Of a voter that is alone. */
const FOREVER = 2n ** 63n - 1n
const NONE = 0n
const TRIES_MAX = 100

export class LeaseMemory implements LeaseView {
  readonly buffer: SharedArrayBuffer
  readonly #words: BigInt64Array
  readonly #clock: Clock
  #published: Lease | null = null

  /** `buffer`: of the other thread's end; without one a new one is made. */
  constructor(
    buffer = new SharedArrayBuffer(WORDS * BigInt64Array.BYTES_PER_ELEMENT),
    { clock = realClock }: { readonly clock?: Clock } = {},
  ) {
    this.buffer = buffer
    this.#words = new BigInt64Array(buffer)
    this.#clock = clock
  }

  /** For the log thread alone. Null: there is none, from this moment on. */
  publish(lease: Lease | null): void {
    if (isSame(lease, this.#published)) return
    this.#published = lease
    const words = this.#words
    Atomics.add(words, COUNT, 1n)
    if (lease === null) Atomics.store(words, UNTIL, NONE)
    else {
      const { ballot, untilMonoMs, since } = lease
      Atomics.store(words, ROUND, BigInt(ballot[0]))
      Atomics.store(words, MEMBER, BigInt(ballot[1]))
      Atomics.store(words, UNTIL, untilMonoMs === Number.POSITIVE_INFINITY ? FOREVER : wordOf(untilMonoMs))
      Atomics.store(words, SINCE_MONO, wordOf(since.monoMs))
      Atomics.store(words, SINCE_WALL, wordOf(since.wallMs))
    }
    Atomics.add(words, COUNT, 1n)
  }

  read(): Lease | null {
    const words = this.#words
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const before = Atomics.load(words, COUNT)
      const round = Atomics.load(words, ROUND)
      const member = Atomics.load(words, MEMBER)
      const until = Atomics.load(words, UNTIL)
      const sinceMono = Atomics.load(words, SINCE_MONO)
      const sinceWall = Atomics.load(words, SINCE_WALL)
      if (before % 2n !== 0n || Atomics.load(words, COUNT) !== before) continue
      if (until === NONE) return null
      return {
        ballot: [Number(round), Number(member)],
        untilMonoMs: until === FOREVER ? Number.POSITIVE_INFINITY : msOf(until),
        since: { monoMs: msOf(sinceMono), wallMs: msOf(sinceWall) },
      }
    }
    return null
  }

  holds(ballot: Ballot): boolean {
    // The clock last: whoever stands still before it finds that time has passed.
    const lease = this.read()
    return lease !== null && sameBallot(lease.ballot, ballot) && leaseLeftMs(lease, this.#clock.read()) > 0
  }
}

const wordOf = (ms: number): bigint => BigInt(Math.floor(ms * NANOSECONDS))
const msOf = (word: bigint): number => Number(word) / NANOSECONDS

function isSame(a: Lease | null, b: Lease | null): boolean {
  if (a === null || b === null) return a === b
  return a.untilMonoMs === b.untilMonoMs && a.since === b.since && sameBallot(a.ballot, b.ballot)
}
