/** The clocks of one node: both run at the rate of one and the same quartz, and may be set or stand still apart. */
import type { Clock } from '../../../src/actors/ports.ts'
import type { Now } from '../../../src/core/base/time.ts'

const START_WALL_MS = 1_767_225_600_000

export class SimClock implements Clock {
  wallOffsetMs: number
  readonly #worldMs: () => number
  #rate = 1
  #baseMs: number
  #baseWorldMs = 0

  /** `startMs`: what the monotonic clock shows at the beginning; the wall clocks of all nodes agree then. */
  constructor(worldMs: () => number, startMs: number) {
    this.#worldMs = worldMs
    this.#baseMs = startMs
    this.wallOffsetMs = -startMs
  }

  monoMs(): number {
    return this.#baseMs + (this.#worldMs() - this.#baseWorldMs) * this.#rate
  }

  read(): Now {
    const monoMs = this.monoMs()
    return { monoMs, wallMs: START_WALL_MS + this.wallOffsetMs + monoMs }
  }

  setRate(rate: number): void {
    this.#rebase(0)
    this.#rate = rate
  }

  /** The monotonic clock goes on from another value; the wall clock does not notice. */
  jump(ms: number): void {
    this.#rebase(ms)
    this.wallOffsetMs -= ms
  }

  /** How long the world takes until this clock shows `ms` more. */
  worldMsOf(ms: number): number {
    return ms / this.#rate
  }

  #rebase(ms: number): void {
    this.#baseMs = this.monoMs() + ms
    this.#baseWorldMs = this.#worldMs()
  }
}
