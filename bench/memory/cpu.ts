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

export interface Resident {
  /** Bytes: all of it, and the part that is pages of files, above all the log and the tables of LMDB. */
  readonly all: number
  readonly files: number
}

export function residentOf(pid: number): Resident {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8')
  const kibOf = (name: string): number => {
    const found = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1]
    if (found === undefined) throw new Error(`/proc/${pid}/status does not show ${name}`)
    return Number(found)
  }
  return { all: kibOf('VmRSS') * 1_024, files: (kibOf('RssFile') + kibOf('RssShmem')) * 1_024 }
}
