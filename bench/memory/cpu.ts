/** What a process has used: processor time of all its threads, and memory, as Linux tells. */
import { readdirSync, readFileSync } from 'node:fs'

/** Microseconds, exact to far less than one; threads that have ended are not counted. */
export function cpuMicrosOf(pid: number): number {
  let nanos = 0
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      nanos += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0])
    } catch (cause) {
      // Ended between the listing and the reading.
      if ((cause as NodeJS.ErrnoException).code !== 'ENOENT' && (cause as NodeJS.ErrnoException).code !== 'ESRCH')
        throw cause
    }
  }
  return nanos / 1_000
}

/** Until a process has used next to nothing for a while: what it does after its start, or after a burst, is over. */
export async function settled(pid: number): Promise<void> {
  const giveUpMs = performance.now() + SETTLED_MS_MAX
  for (let before = cpuMicrosOf(pid); performance.now() < giveUpMs; ) {
    await new Promise(done => setTimeout(done, SETTLED_LOOK_MS))
    const now = cpuMicrosOf(pid)
    if (now - before < SETTLED_LOOK_MS * 1_000 * SETTLED_SHARE) return
    before = now
  }
}
const SETTLED_LOOK_MS = 1_500
const SETTLED_MS_MAX = 60_000
const SETTLED_SHARE = 0.05

export interface Resident {
  /** Bytes: all of it, and the part that is pages of files, above all the log and the tables of LMDB. */
  readonly all: number
  readonly files: number
  /** The most that `all` has ever been. */
  readonly peak: number
}

export function residentOf(pid: number): Resident {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8')
  const kibOf = (name: string): number => {
    const found = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1]
    if (found === undefined) throw new Error(`/proc/${pid}/status does not show ${name}`)
    return Number(found)
  }
  const [all, files, shared, peak] = ['VmRSS', 'RssFile', 'RssShmem', 'VmHWM'].map(kibOf) as [
    number,
    number,
    number,
    number,
  ]
  return { all: all * 1_024, files: (files + shared) * 1_024, peak: peak * 1_024 }
}
