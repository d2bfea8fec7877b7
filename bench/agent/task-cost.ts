/**
 * What the processes of a node cost, as the kernel counts it. PSS shares a page among those that have it, so that sums
 * over processes are true. Shims are counted, what they run is not: that is the user's own.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { LAUNCHER_NAME } from '../../src/runtime/agent/launch-messages.ts'
import { processStat } from '../../src/runtime/agent/proc.ts'

const TICKS_PER_SECOND = 100
/** What `runtime/agent/shim.ts` calls itself in its arguments. */
const SHIM_NAME = 'daybreak-shim'

export interface Cost {
  /** Its launcher included. */
  readonly nodePssBytes: number
  readonly shimPssBytes: number
  readonly shims: number
  /** Of the node, all threads, its launcher, and of the living shims and what has ended below them, s. */
  readonly cpuSeconds: number
}

export function costOf(node: number): Cost {
  const own = [node, ...childrenOf(node, LAUNCHER_NAME)]
  const shims = own.flatMap(pid => childrenOf(pid, SHIM_NAME))
  const sum = (pids: readonly number[], of: (pid: number) => number): number =>
    pids.reduce((all, pid) => all + of(pid), 0)
  return {
    nodePssBytes: sum(own, pssBytes),
    shimPssBytes: sum(shims, pssBytes),
    shims: shims.length,
    cpuSeconds: sum([...own, ...shims], cpuSecondsOf),
  }
}

/** Of a node, its launcher, and all that has ended below them. */
export function nodeCpuSeconds(node: number): number {
  return [node, ...childrenOf(node, LAUNCHER_NAME)].reduce((all, pid) => all + cpuSecondsOf(pid), 0)
}

/** User and system time of a process, all its threads, and of all its children that have ended and were waited for. */
function cpuSecondsOf(pid: number): number {
  return read(`/proc/${pid}/stat`, text => cpuTicksIn(text) / TICKS_PER_SECOND)
}

/** Fields 14 to 17 of /proc/PID/stat; the name in field 2 may hold anything. */
export function cpuTicksIn(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return [14, 15, 16, 17].reduce((sum, field) => sum + Number(fields[field - 3]), 0)
}

/** `Pss:` of /proc/PID/smaps_rollup, in bytes. */
export function pssIn(rollup: string): number {
  const kibibytes = /^Pss:\s+(\d+) kB$/m.exec(rollup)?.[1]
  if (kibibytes === undefined) throw new Error('/proc/PID/smaps_rollup has no line Pss: this kernel is too old')
  return Number(kibibytes) * 1024
}

function pssBytes(pid: number): number {
  return read(`/proc/${pid}/smaps_rollup`, pssIn)
}

/** Those that call themselves so in their arguments. */
function childrenOf(parent: number, name: string): number[] {
  const found: number[] = []
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry)
    if (!Number.isInteger(pid) || processStat(pid)?.ppid !== parent) continue
    if (read(`/proc/${pid}/cmdline`, text => (text.split('\0').includes(name) ? 1 : 0)) === 1) found.push(pid)
  }
  return found
}

/** 0 of a process that has ended meanwhile. */
function read(path: string, value: (text: string) => number): number {
  let text: string
  try {
    text = readFileSync(path, 'latin1')
  } catch {
    return 0
  }
  return text === '' ? 0 : value(text)
}
