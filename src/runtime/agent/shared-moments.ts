/**
 * Moments at which many tasks are served together. A look at all processes of the machine costs milliseconds, and one
 * serves everybody who asks for it within the same moment, so under load starts and ends are told and looks are made on one
 * grid; what follows from them, down to the commits of a leader, is shared too.
 */

/** Looks that are not urgent fall on multiples of this, ms of `performance.now()`. */
export const LOOK_GRID_MS = 20
/** They are told so long before, so that the looks which they ask for serve the others too. */
const AHEAD_MS = 2

/** How long until the first moment of the grid that is at least so far away. */
export function untilGridMs(afterMs: number, nowMs: number): number {
  return afterMs + LOOK_GRID_MS - ((nowMs + afterMs) % LOOK_GRID_MS)
}

/** What comes alone is told at once; what comes soon after something else waits for the next moment, in order. */
export class SharedMoments {
  private readonly waiting: (() => void)[] = []
  private toldMs = Number.NEGATIVE_INFINITY
  private timer: NodeJS.Timeout | null = null

  add(tell: () => void): void {
    const nowMs = performance.now()
    this.waiting.push(tell)
    if (this.timer !== null) return
    if (nowMs - this.toldMs >= LOOK_GRID_MS) this.tellAll()
    else this.timer = setTimeout(() => this.tellAll(), untilGridMs(AHEAD_MS, nowMs) - AHEAD_MS).unref()
  }

  /** Without waiting any longer. */
  tellAll(): void {
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = null
    if (this.waiting.length === 0) return
    this.toldMs = performance.now()
    for (const tell of this.waiting.splice(0)) tell()
  }
}
