/** Writers that have one write out each, for clients that answer by callback: what `log/client.ts` does for Daybreak's. */
import type { ClientRound, LostRound } from '../log/client.ts'

/** Sends a write of this writer; `done` is told what failed, or null. */
export type Put = (writer: number, done: (fault: string | null) => void) => void

/** Writes for `ms`, then waits for what is out. Ends with the first fault: a write that failed is not a fast one. */
export function closedLoop(writers: number, ms: number, put: Put): Promise<ClientRound | LostRound> {
  const tookMs: number[] = []
  const cpuBefore = process.cpuUsage()
  const begunMs = performance.now()
  const endMs = begunMs + ms
  let out = 0
  let lost: string | null = null
  return new Promise(resolve => {
    const send = (writer: number, sentMs: number): void => {
      out++
      put(writer, fault => {
        const nowMs = performance.now()
        out--
        if (fault === null) tookMs.push(nowMs - sentMs)
        else lost ??= fault
        if (lost === null && nowMs < endMs) return send(writer, nowMs)
        if (out > 0) return
        if (lost !== null) return resolve({ lost })
        const { user, system } = process.cpuUsage(cpuBefore)
        const seconds = (nowMs - begunMs) / 1_000
        resolve({ lost: null, tookMs: Float64Array.from(tookMs), seconds, cpuMicros: user + system })
      })
    }
    for (let writer = 0; writer < writers; writer++) send(writer, begunMs)
  })
}
