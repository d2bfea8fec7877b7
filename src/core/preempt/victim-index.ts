/**
 * Tasks that could make way, by the agent they run on, kept up to date change by change. Of each agent it is known what
 * all preemptible ones take together, and what the tasks of each role do and the lowest priority among them, so that
 * most hosts are ruled out in a few reads, without a look at their tasks.
 *
 * A victim is a task that lives on its machine: what is dying already frees its room anyway, and what is partitioned
 * cannot be asked to go.
 */
import type { AgentId, ConfigId, TaskId } from '../base/ids.ts'
import type { Instant } from '../base/time.ts'
import type { Tier } from '../job/tiers.ts'
import type { TaskRow } from '../ledger/rows.ts'
import type { RowChange } from '../ledger/transaction.ts'
import type { LedgerView } from '../ledger/view.ts'
import type { Needs } from '../offers/needs.ts'
import type { Ask } from '../scheduling/ask.ts'
import type { TaskStatus } from '../task/status.ts'
import type { Standing } from './eligibility.ts'
import { PeerSums, VictimSums } from './victim-sums.ts'

/** What all tasks of one configuration have in common: kept once for all of them. */
interface VictimKind extends Standing {
  /** Text of the job's key. */
  readonly job: string
  readonly needs: Needs
  readonly isRevocable: boolean
}

export interface Victim extends VictimKind {
  readonly taskId: TaskId
  readonly status: TaskStatus
  /** Wall ms. */
  readonly runningSinceMs: Instant
}

const LIVE: ReadonlySet<TaskStatus> = new Set(['ASSIGNED', 'STARTING', 'RUNNING'])
const KINDS_MAX = 10_000
const NO_VICTIMS: readonly Victim[] = []

/** A task in the index. Its number is the agent's, its index the one in the list of that number. */
class Entry implements Victim {
  readonly taskId: TaskId
  readonly kind: VictimKind
  readonly number: number
  status: TaskStatus
  runningSinceMs: Instant
  index: number

  constructor(task: TaskRow, kind: VictimKind, number: number, index: number) {
    this.taskId = task.taskId
    this.kind = kind
    this.number = number
    this.status = task.status
    this.runningSinceMs = runningSince(task)
    this.index = index
  }

  get role(): string {
    return this.kind.role
  }
  get priority(): number {
    return this.kind.priority
  }
  get isPreemptible(): boolean {
    return this.kind.isPreemptible
  }
  get job(): string {
    return this.kind.job
  }
  get needs(): Needs {
    return this.kind.needs
  }
  get isRevocable(): boolean {
    return this.kind.isRevocable
  }
}

export class VictimIndex {
  /** Rises when an agent gets a number or loses it. */
  version = 0
  /** By number of the agent: what the preemptible ones there take together. */
  readonly preemptible = new VictimSums()
  readonly #view: Pick<LedgerView, 'config' | 'tasksByStatus'>
  readonly #askOf: (task: TaskRow) => Ask | null
  readonly #tiers: Readonly<Record<string, Tier>>
  readonly #kinds = new Map<ConfigId, VictimKind>()
  readonly #entries = new Map<TaskId, Entry>()
  /** Dense numbers of agents, used again after the agent is gone. */
  readonly #numbers = new Map<AgentId, number>()
  readonly #numbersLeft: number[] = []
  /** By number of the agent. */
  readonly #on: Entry[][] = []
  /** By role: tasks that are preemptible, and tasks that are not. */
  readonly #preemptiblePeers = new Map<string, PeerSums>()
  readonly #otherPeers = new Map<string, PeerSums>()

  /** `askOf`: null when the configuration is not stored any more. Begins with what the view has now. */
  constructor(
    view: Pick<LedgerView, 'config' | 'tasksByStatus'>,
    askOf: (task: TaskRow) => Ask | null,
    tiers: Readonly<Record<string, Tier>>,
  ) {
    this.#view = view
    this.#askOf = askOf
    this.#tiers = tiers
    for (const status of LIVE) for (const task of view.tasksByStatus(status)) this.#add(task)
  }

  get size(): number {
    return this.#entries.size
  }

  /** -1: no task has run there. Holds until `version` changes. */
  numberOf(agentId: AgentId): number {
    return this.#numbers.get(agentId) ?? -1
  }

  on(number: number): readonly Victim[] {
    return this.#on[number] ?? NO_VICTIMS
  }

  /** All numbers are below it. */
  get numbersMax(): number {
    return this.#on.length
  }

  /** Those of the same role that are alike in being preemptible; undefined: there are none anywhere. */
  peersOf({ role, isPreemptible }: Standing): PeerSums | undefined {
    return this.#peers(isPreemptible).get(role)
  }

  apply(change: RowChange): void {
    if (change.table === 'agent' && change.type === 'delete') this.#forgetNumber(change.key as AgentId)
    if (change.table !== 'task') return
    const row = change.type === 'put' ? change.row : undefined
    const known = this.#entries.get(change.key as TaskId)
    const isVictim = row !== undefined && row.agentId !== undefined && LIVE.has(row.status)
    if (known !== undefined && isVictim && this.#numbers.get(row.agentId!) === known.number) {
      known.status = row.status
      known.runningSinceMs = runningSince(row)
      return
    }
    if (known !== undefined) this.#remove(known)
    if (isVictim) this.#add(row)
  }

  /** How a task of this configuration stands against others. */
  standingOf(config: {
    readonly job: { readonly role: string }
    readonly priority: number
    readonly tier: string
  }): Standing {
    return {
      role: config.job.role,
      priority: config.priority,
      isPreemptible: this.#tiers[config.tier]?.preemptible ?? false,
    }
  }

  #peers(isPreemptible: boolean): Map<string, PeerSums> {
    return isPreemptible ? this.#preemptiblePeers : this.#otherPeers
  }

  #kindOf(task: TaskRow): VictimKind | null {
    const known = this.#kinds.get(task.configId)
    if (known !== undefined) return known
    const config = this.#view.config(task.configId)
    const ask = this.#askOf(task)
    if (config === undefined || ask === null) return null
    const { job, needs, isRevocable } = ask
    const kind = { ...this.standingOf(config), job, needs, isRevocable }
    if (this.#kinds.size >= KINDS_MAX) this.#kinds.clear()
    this.#kinds.set(task.configId, kind)
    return kind
  }

  #add(task: TaskRow): void {
    const kind = this.#kindOf(task)
    if (task.agentId === undefined || kind === null) return
    const number = this.#numberFor(task.agentId)
    const on = this.#on[number]!
    const entry = new Entry(task, kind, number, on.length)
    on.push(entry)
    this.#entries.set(task.taskId, entry)
    if (kind.isPreemptible) this.preemptible.add(number, kind, 1)
    const { sums, line } = this.#peersOn(kind, number)
    sums.add(line, kind, 1)
    if (kind.priority < sums.priorityMin(line)) sums.setPriorityMin(line, kind.priority)
  }

  #remove(entry: Entry): void {
    const { kind, number, index } = entry
    this.#entries.delete(entry.taskId)
    const on = this.#on[number]!
    const last = on.pop()!
    if (last !== entry) {
      on[index] = last
      last.index = index
    }
    if (kind.isPreemptible) this.preemptible.add(number, kind, -1)
    const { sums, line, peers } = this.#peersOn(kind, number)
    sums.add(line, kind, -1)
    if (sums.count(line) === 0) peers.drop(line)
    else if (kind.priority === sums.priorityMin(line)) sums.setPriorityMin(line, lowestPriority(on, kind))
    if (peers.numbers.length === 0) this.#peers(kind.isPreemptible).delete(kind.role)
  }

  #numberFor(agentId: AgentId): number {
    const known = this.#numbers.get(agentId)
    if (known !== undefined) return known
    const number = this.#numbersLeft.pop() ?? this.#on.length
    this.#numbers.set(agentId, number)
    this.#on[number] = []
    this.preemptible.clear(number)
    this.version++
    return number
  }

  /** The row of the agent is gone. One that still has tasks keeps its number for them. */
  #forgetNumber(agentId: AgentId): void {
    const number = this.#numbers.get(agentId)
    if (number === undefined || this.#on[number]!.length > 0) return
    this.#numbers.delete(agentId)
    this.#numbersLeft.push(number)
    this.version++
  }

  #peersOn({ role, isPreemptible }: Standing, number: number): { sums: VictimSums; line: number; peers: PeerSums } {
    const roles = this.#peers(isPreemptible)
    let peers = roles.get(role)
    if (peers === undefined) {
      peers = new PeerSums()
      roles.set(role, peers)
    }
    return { peers, sums: peers.sums, line: peers.lineFor(number) }
  }
}

function lowestPriority(on: readonly Entry[], { role, isPreemptible }: Standing): number {
  let lowest = Number.POSITIVE_INFINITY
  for (const { kind } of on) {
    if (kind.role === role && kind.isPreemptible === isPreemptible) lowest = Math.min(lowest, kind.priority)
  }
  return lowest
}

function runningSince({ events }: TaskRow): Instant {
  return events.find(event => event.status === 'RUNNING')?.atMs ?? events.at(-1)?.atMs ?? 0
}
