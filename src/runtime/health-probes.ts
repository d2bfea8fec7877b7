/**
 * What Health asks of the real world: how late a thread's event loop is, which message waits longest, how much room the
 * disks have. Made to cost next to nothing on an idle node: two wake-ups a second, and mailboxes are looked through more
 * rarely the longer that takes.
 */
import { statfs } from 'node:fs/promises'
import type { Inspection } from '../actors/actor.ts'
import type { HealthPorts, ThreadProbe } from '../actors/health.ts'

export type ThreadLook = Awaited<ReturnType<ThreadProbe['look']>>

const LAG_SAMPLE_MS = 500
/** Of the time between two looks through the mailboxes, at most one part in this many is spent looking. */
const SCAN_SHARE = 200

/**
 * Made inside the thread that it looks at; its result crosses to Health as plain data. Never keeps the process alive.
 */
export function createThreadLook(inspection: Inspection): { look(): ThreadLook; stop(): void } {
  const lag = watchEventLoop()
  let oldest: ThreadLook['oldest'] = null
  let nextScanMs = 0
  return {
    look: () => {
      const beganMs = performance.now()
      if (beganMs >= nextScanMs) {
        oldest = oldestMessage(inspection)
        const endedMs = performance.now()
        nextScanMs = endedMs + (endedMs - beganMs) * SCAN_SHARE
      }
      return { lagMs: lag.take(), oldest }
    },
    stop: lag.stop,
  }
}

/** The probe of the thread that Health itself lives in. */
export function ownThreadProbe(name: string, inspection: Inspection): ThreadProbe & { stop(): void } {
  const thread = createThreadLook(inspection)
  return { name, look: async () => thread.look(), stop: thread.stop }
}

/** Free for this user, on the file system of the folder. */
export function diskProbe(path: string): HealthPorts['disks'][number] {
  return {
    path,
    freeBytes: async () => {
      const { bavail, bsize } = await statfs(path)
      return bavail * bsize
    },
  }
}

/** How much later than due a timer came, at worst since the last look. */
function watchEventLoop(): { take(): number; stop(): void } {
  let worstMs = 0
  let dueMs = performance.now() + LAG_SAMPLE_MS
  const timer = setInterval(() => {
    const nowMs = performance.now()
    worstMs = Math.max(worstMs, nowMs - dueMs)
    dueMs = nowMs + LAG_SAMPLE_MS
  }, LAG_SAMPLE_MS)
  timer.unref()
  return {
    take: () => {
      const lagMs = Math.max(worstMs, performance.now() - dueMs, 0)
      worstMs = 0
      return lagMs
    },
    stop: () => clearInterval(timer),
  }
}

function oldestMessage(inspection: Inspection): ThreadLook['oldest'] {
  let oldest: { readonly path: string; readonly ageMs: number } | null = null
  for (const { path, oldestMessageAgeMs: ageMs } of inspection.actors()) {
    if (ageMs > (oldest?.ageMs ?? 0)) oldest = { path, ageMs }
  }
  return oldest
}
