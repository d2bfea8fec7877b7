/** How late this thread comes round: a slow tick that measures its own lateness. Costs two wake-ups a second. */
const TICK_MS = 500

export interface EventLoopLag {
  /** The longest lateness since the last call, ms; a tick that is overdue right now counts. */
  takeMax(): number
  stop(): void
}

export function eventLoopLag(): EventLoopLag {
  let lastMs = performance.now()
  let maxMs = 0
  const timer = setInterval(() => {
    const nowMs = performance.now()
    maxMs = Math.max(maxMs, nowMs - lastMs - TICK_MS)
    lastMs = nowMs
  }, TICK_MS)
  timer.unref()
  return {
    takeMax() {
      const late = Math.max(maxMs, performance.now() - lastMs - TICK_MS, 0)
      maxMs = 0
      return late
    },
    stop: () => clearInterval(timer),
  }
}
