/** The real clock. Nothing below `src/runtime` reads time by itself. */
import type { Clock } from '../actors/ports.ts'

export const realClock: Clock = {
  read: () => ({ wallMs: Date.now(), monoMs: performance.now() }),
  monoMs: () => performance.now(),
}
