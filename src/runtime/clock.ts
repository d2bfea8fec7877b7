/**
 * The real clock. Nothing below `src/runtime` reads time by itself. Its monotonic part is that of the machine
 * (CLOCK_MONOTONIC), because threads compare it: `performance.now()` counts from the start of each thread.
 */
import type { Clock } from '../actors/ports.ts'

function monoMs(): number {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1e3 + nanoseconds / 1e6
}

export const realClock: Clock = {
  read: () => {
    // In this order: a machine that is suspended between the two shows as time that has passed.
    const atMonoMs = monoMs()
    return { monoMs: atMonoMs, wallMs: Date.now() }
  },
  monoMs,
}
