/**
 * What the kernel says about processes. A pid alone names nobody: pids wrap, so whoever is to be signalled is named by
 * pid and start ticks, and both by the kernel's boot id. Reads are small and synchronous; the cost of a whole look is
 * about 30 µs per process, which is why looks of one turn are shared by `process-groups.ts`.
 */
import { readdirSync, readFileSync } from 'node:fs'

export interface ProcessStat {
  readonly pid: number
  readonly ppid: number
  /** Its process group. */
  readonly group: number
  readonly session: number
  /** One letter: R, S, D, Z … */
  readonly state: string
  /** Field 22, clock ticks since boot: with pid and boot id it names a process for good. */
  readonly startTicks: number
  readonly isKernelThread: boolean
}

const KERNEL_THREAD = 0x0020_0000

export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
}

/** Null when there is no such process (any more). */
export function processStat(pid: number): ProcessStat | null {
  const text = read(`/proc/${pid}/stat`)
  return text === null ? null : parseStat(text)
}

/** The name in field 2 may hold blanks and brackets: what counts begins after the last bracket. */
export function parseStat(text: string): ProcessStat | null {
  const end = text.lastIndexOf(')')
  if (end < 0) return null
  const pid = Number.parseInt(text, 10)
  const fields = text.slice(end + 2).split(' ')
  const number = (field: number): number => Number(fields[field - 3])
  const startTicks = number(22)
  if (!Number.isInteger(pid) || !Number.isInteger(startTicks)) return null
  return {
    pid,
    ppid: number(4),
    group: number(5),
    session: number(6),
    state: fields[0] ?? '?',
    startTicks,
    isKernelThread: (number(9) & KERNEL_THREAD) !== 0,
  }
}

/** Alive and the very process that was recorded; a zombie has ended. */
export function isSameProcess(pid: number, startTicks: number): boolean {
  const stat = processStat(pid)
  return stat !== null && stat.startTicks === startTicks && stat.state !== 'Z' && stat.state !== 'X'
}

/** All processes that can be signalled: no kernel threads, no zombies. */
export function allProcesses(): ProcessStat[] {
  const found: ProcessStat[] = []
  for (const name of readdirSync('/proc')) {
    const code = name.charCodeAt(0)
    if (code < 48 || code > 57) continue
    const stat = processStat(Number(name))
    if (stat === null || stat.isKernelThread || stat.state === 'Z' || stat.state === 'X') continue
    found.push(stat)
  }
  return found
}

/** `NAME=value` entries it was started with; null when it is gone or belongs to somebody else. */
export function environmentOf(pid: number): readonly string[] | null {
  return read(`/proc/${pid}/environ`, 'utf8')?.split('\0') ?? null
}

export function commandLineOf(pid: number): readonly string[] | null {
  return read(`/proc/${pid}/cmdline`, 'utf8')?.split('\0') ?? null
}

/** Signals a process only while it is the one that was recorded. */
export function signalProcess(pid: number, startTicks: number, signal: NodeJS.Signals): boolean {
  return isSameProcess(pid, startTicks) && send(pid, signal)
}

/** Signals a whole process group at once, so that nothing forked meanwhile is missed; its leader must be the recorded one. */
export function signalGroup(leader: number, startTicks: number, signal: NodeJS.Signals): boolean {
  return leader >= 2 && isSameProcess(leader, startTicks) && send(-leader, signal)
}

function send(target: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(target, signal)
    return true
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code
    if (code === 'ESRCH' || code === 'EPERM') return false // it ended in between, or changed its user
    throw cause
  }
}

/** Names of processes may be any bytes; what we look for in environments and arguments is UTF-8, as paths are. */
function read(path: string, encoding: 'latin1' | 'utf8' = 'latin1'): string | null {
  try {
    return readFileSync(path, encoding)
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES' || code === 'EPERM') return null
    throw cause
  }
}
