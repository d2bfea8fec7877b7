/**
 * What the kernel says about processes. A pid alone names nobody: pids wrap, so whoever is to be signalled is named by
 * pid and start ticks, and both by the kernel's boot id. Reads are small and synchronous; the cost of a whole look is
 * about 17 µs per process, which is why looks of one turn are shared by `process-groups.ts`.
 */
import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs'

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
/** USER_HZ: the same on every machine that Node runs on, whatever the kernel's own clock. */
export const TICKS_PER_SECOND = 100
/** More than one line of /proc/PID/stat can have. */
const line = Buffer.allocUnsafeSlow(4096)

export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
}

/** Null when there is no such process (any more). */
export function processStat(pid: number): ProcessStat | null {
  const text = unlessGone(() => readLine(`/proc/${pid}/stat`))
  return text === null ? null : parseStat(text)
}

/** Clock ticks since boot, as processes have their start ticks: `/proc/uptime` in hundredths of a second. */
export function ticksNow(): number {
  return Math.floor(Number.parseFloat(readLine('/proc/uptime')) * TICKS_PER_SECOND)
}

/** The name in field 2 may hold blanks and brackets: what counts begins after the last bracket. */
export function parseStat(text: string): ProcessStat | null {
  const end = text.lastIndexOf(')')
  if (end < 0) return null
  const pid = Number.parseInt(text, 10)
  // No further than field 22: all of them cost half as much again.
  const fields = text.slice(end + 2).split(' ', 20)
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
  return read(`/proc/${pid}/environ`)?.split('\0') ?? null
}

export function commandLineOf(pid: number): readonly string[] | null {
  return read(`/proc/${pid}/cmdline`)?.split('\0') ?? null
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

/** One read, without asking for the size: half the price of `readFileSync`, and looks make hundreds of them. */
function readLine(path: string): string {
  const file = openSync(path, 'r')
  try {
    return line.toString('latin1', 0, readSync(file, line, 0, line.length, null))
  } finally {
    closeSync(file)
  }
}

/** Names of processes may be any bytes; what we look for in environments and arguments is UTF-8, as paths are. */
function read(path: string): string | null {
  return unlessGone(() => readFileSync(path, 'utf8'))
}

function unlessGone(read: () => string): string | null {
  try {
    return read()
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES' || code === 'EPERM') return null
    throw cause
  }
}
