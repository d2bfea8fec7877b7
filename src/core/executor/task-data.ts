import { assignedPortmap } from '../job/ports.ts'
import { interpolate, launchScope } from '../job/template.ts'
import { orderFaults } from './task-plan.ts'

/**
 * Reads what a job's author wrote, out of the JSON that travelled untouched from the client (`executor.data`), and fills
 * in what only this launch knows: instance, host, task id, ports. The reader is tolerant, because job files outlive
 * releases: absent keys get the schema's defaults, unknown keys are skipped, numbers may be texts.
 *
 * Refuses, with the text that people see in the task's status: unreadable JSON, a process without name or command, two
 * processes of one name, an impossible order, a port or a variable that stays unknown.
 * Source: jobs and executor, sections 2.2, 2.3, 3, 4 and 5.
 */

export interface ProcessSpec {
  readonly name: string
  /** Run by `/bin/bash -c`, every ref filled in. */
  readonly cmdline: string
  /** Failed runs before the process has failed for good; 0 = without limit. */
  readonly maxFailures: number
  /** Success does not finish it. */
  readonly daemon: boolean
  /** Never holds the task open. */
  readonly ephemeral: boolean
  /** Gap between the end of a run and the next start, ms. */
  readonly minDurationMs: number
  /** Belongs to the finalizing plan. */
  readonly final: boolean
  /** False: its output is thrown away. */
  readonly keepsOutput: boolean
}

export interface TaskSpec {
  readonly name: string
  /** In the order of the job file. */
  readonly processes: readonly ProcessSpec[]
  /** `order[i]` runs only after `order[i-1]` has finished. */
  readonly orders: readonly (readonly string[])[]
  /** Processes failed for good that are tolerated before the task fails; 0 = without limit. */
  readonly maxFailures: number
  /** Processes of one plan that may run at once; 0 = without limit. */
  readonly maxConcurrency: number
  /** Budget for cleaning and finalizing, ms. */
  readonly finalizationWaitMs: number
}

export interface LaunchValues {
  readonly instance: number
  readonly hostname: string
  readonly taskId: string
  /** As the scheduler assigned them, before aliases. */
  readonly ports: Readonly<Record<string, number>>
}

export type TaskData =
  | { readonly ok: true; readonly task: TaskSpec; readonly droppedPorts: readonly string[] }
  | { readonly ok: false; readonly text: string }

const PROCESS_NAME = /^[^./][^/]*$/
/** The longest file name of Linux file systems: a process's logs lie in a folder of its name. */
const PROCESS_NAME_BYTES_MAX = 255
/** The longest single argument that Linux hands to a program, without its closing NUL. */
const CMDLINE_BYTES_MAX = 131_071

export function readTaskData(data: string, launch: LaunchValues): TaskData {
  const refuse = (text: string): TaskData => ({ ok: false, text })
  let parsed: unknown
  try {
    parsed = JSON.parse(data)
  } catch (cause) {
    return refuse(
      `Could not deserialize Thermos task from AssignedTask: ${cause instanceof Error ? cause.message : String(cause)}`,
    )
  }
  const job = struct(parsed)
  const task = struct(job?.task)
  if (task === null) return refuse('Could not deserialize Thermos task from AssignedTask: it has no task')

  const announce = struct(job?.announce)
  const portmap = assignedPortmap(announce === null ? {} : portmapOf(announce), launch.ports)
  if (portmap === null) return refuse('Got invalid task: Found cycle in portmap!')
  const scope = launchScope({ ...launch, ports: portmap.ports })

  const unbound = new Set<string>()
  const faults: string[] = []
  const processes = list(task.processes).flatMap((value): ProcessSpec[] => {
    const process = struct(value)
    const name = process === null ? '' : filled(process.name, '')
    const nameable = PROCESS_NAME.test(name) && !name.includes('\0') && byteLength(name) <= PROCESS_NAME_BYTES_MAX
    if (process === null || !nameable) {
      faults.push(`Task has invalid process: Invalid process name: ${name}`)
      return []
    }
    if (typeof process.cmdline !== 'string') faults.push(`Process ${name} has no cmdline`)
    const cmdline = filled(process.cmdline, '')
    if (cmdline.includes('\0')) faults.push(`Process ${name}: its cmdline holds a NUL character`)
    const bytes = byteLength(cmdline)
    if (bytes > CMDLINE_BYTES_MAX) {
      const remedy = 'put the script into a file and run that'
      faults.push(`Process ${name}: its cmdline has ${bytes} bytes, at most ${CMDLINE_BYTES_MAX} can be run; ${remedy}`)
    }
    return [
      {
        name,
        cmdline,
        maxFailures: integer(process.max_failures, 1),
        daemon: flag(process.daemon),
        ephemeral: flag(process.ephemeral),
        minDurationMs: Math.max(0, integer(process.min_duration, 5)) * 1000,
        final: flag(process.final),
        keepsOutput: struct(process.logger)?.destination !== 'none',
      },
    ]
  })
  const spec: TaskSpec = {
    name: filled(task.name, processes[0]?.name ?? ''),
    processes,
    orders: list(task.constraints).map(value => list(struct(value)?.order).map(name => filled(name, ''))),
    maxFailures: integer(task.max_failures, 1),
    maxConcurrency: Math.max(0, integer(task.max_concurrency, 0)),
    finalizationWaitMs: Math.max(0, integer(task.finalization_wait, 30)) * 1000,
  }
  if (processes.length === 0 && faults.length === 0) faults.push('Task has no processes')
  faults.push(...orderFaults(spec).map(text => `Task has invalid plan: ${text}`))
  for (const ref of unbound) {
    const port = /^thermos\.ports\[(.+)\]$/.exec(ref)
    if (port !== null) faults.push(`Task requires unbound port ${port[1]}!`)
  }
  const rest = [...unbound].filter(ref => !ref.startsWith('thermos.ports['))
  if (rest.length > 0) faults.push(`Unexpected unbound refs: ${rest.map(ref => `{{${ref}}}`).join(' ')}`)
  if (faults.length > 0) return refuse(`Got invalid task: ${faults.join('; ')}`)
  return { ok: true, task: spec, droppedPorts: portmap.dropped }

  function filled(value: unknown, otherwise: string): string {
    if (typeof value === 'number') return String(value)
    if (typeof value !== 'string') return otherwise
    const done = interpolate(value, scope, { unescape: true })
    for (const ref of done.unbound) unbound.add(ref)
    faults.push(...done.faults)
    return done.text
  }
}

type Struct = Readonly<Record<string, unknown>>

function struct(value: unknown): Struct | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Struct) : null
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

/** Integers of the schema: floats are cut, decimal texts are read, anything else counts as absent. */
function integer(value: unknown, otherwise: number): number {
  const number = typeof value === 'string' && /^[+-]?\d+$/.test(value.trim()) ? Number(value) : value
  return typeof number === 'number' && Number.isFinite(number) ? Math.trunc(number) : otherwise
}

function flag(value: unknown): boolean {
  if (typeof value === 'string') return value === '1' || value.toLowerCase() === 'true'
  return value === true || (typeof value === 'number' && value !== 0)
}

function portmapOf(announce: Struct): Record<string, string | number> {
  const primary = typeof announce.primary_port === 'string' ? announce.primary_port : 'http'
  const map = struct(announce.portmap) ?? { aurora: primary }
  const entries = Object.entries(map).flatMap(([name, end]): [string, string | number][] => {
    if (typeof end === 'number') return [[name, end]]
    return typeof end === 'string' ? [[name, end === '{{primary_port}}' ? primary : end]] : []
  })
  return Object.fromEntries(entries)
}

/** UTF-8 bytes of a text. */
function byteLength(text: string): number {
  let bytes = 0
  for (const character of text) {
    const code = character.codePointAt(0) as number
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4
  }
  return bytes
}
