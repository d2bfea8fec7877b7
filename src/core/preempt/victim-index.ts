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
import type { Tier } from '../job/admission.ts'
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

/** A task in the index. Its place is the agent's, its index the one in the list of that place. */
class Entry implements Victim {
  readonly taskId: TaskId
  readonly kind: VictimKind
  readonly place: number
  status: TaskStatus
  runningSinceMs: Instant
  index: number

  constructor(task: TaskRow, kind: VictimKind, place: number, index: number) {
    this.taskId = task.taskId
    this.kind = kind
    this.place = place
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
  /** Rises when an agent gets a place or loses it. */
  version = 0
  /** By place: what the preemptible ones there take together. */
  readonly preemptible = new VictimSums()
  readonly #view: LedgerView
  readonly #askOf: (task: TaskRow) => Ask | null
  readonly #tiers: Readonly<Record<string, Tier>>
  readonly #kinds = new Map<ConfigId, VictimKind>()
  readonly #entries = new Map<TaskId, Entry>()
  /** Dense numbers of agents, used again after the agent is gone. */
  readonly #places = new Map<AgentId, number>()
  readonly #placesLeft: number[] = []
  /** By place. */
  readonly #on: Entry[][] = []
  /** By role: tasks that are preemptible, and tasks that are not. */
  readonly #preemptiblePeers = new Map<string, PeerSums>()
  readonly #otherPeers = new Map<string, PeerSums>()

  /** `askOf`: null when the configuration is not stored any more. Begins with what the view has now. */
  constructor(view: LedgerView, askOf: (task: TaskRow) => Ask | null, tiers: Readonly<Record<string, Tier>>) {
    this.#view = view
    this.#askOf = askOf
    this.#tiers = tiers
    for (const status of LIVE) for (const task of view.tasksByStatus(status)) this.#add(task)
  }

  get size(): number {
    return this.#entries.size
  }

  /** -1: no task has run there. Holds until `version` changes. */
  placeOf(agentId: AgentId): number {
    return this.#places.get(agentId) ?? -1
  }

  on(place: number): readonly Victim[] {
    return this.#on[place] ?? NO_VICTIMS
  }

  /** All places are below it. */
  get placesMax(): number {
    return this.#on.length
  }

  /** Those of the same role that are alike in being preemptible; undefined: there are none anywhere. */
  peersOf({ role, isPreemptible }: Standing): PeerSums | undefined {
    return this.#peers(isPreemptible).get(role)
  }

  apply(change: RowChange): void {
    if (change.table === 'agent' && change.type === 'delete') this.#forgetPlace(change.key as AgentId)
    if (change.table !== 'task') return
    const row = change.type === 'put' ? change.row : undefined
    const known = this.#entries.get(change.key as TaskId)
    const isVictim = row !== undefined && row.agentId !== undefined && LIVE.has(row.status)
    if (known !== undefined && isVictim && this.#places.get(row.agentId!) === known.place) {
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
    const place = this.#placeFor(task.agentId)
    const on = this.#on[place]!
    const entry = new Entry(task, kind, place, on.length)
    on.push(entry)
    this.#entries.set(task.taskId, entry)
    if (kind.isPreemptible) this.preemptible.add(place, kind, 1)
    const { sums, row } = this.#peersOn(kind, place)
    sums.add(row, kind, 1)
    if (kind.priority < sums.priorityMin(row)) sums.setPriorityMin(row, kind.priority)
  }

  #remove(entry: Entry): void {
    const { kind, place, index } = entry
    this.#entries.delete(entry.taskId)
    const on = this.#on[place]!
    const last = on.pop()!
    if (last !== entry) {
      on[index] = last
      last.index = index
    }
    if (kind.isPreemptible) this.preemptible.add(place, kind, -1)
    const { sums, row, peers } = this.#peersOn(kind, place)
    sums.add(row, kind, -1)
    if (sums.count(row) === 0) peers.drop(row)
    else if (kind.priority === sums.priorityMin(row)) sums.setPriorityMin(row, lowestPriority(on, kind))
    if (peers.places.length === 0) this.#peers(kind.isPreemptible).delete(kind.role)
  }

  #placeFor(agentId: AgentId): number {
    const known = this.#places.get(agentId)
    if (known !== undefined) return known
    const place = this.#placesLeft.pop() ?? this.#on.length
    this.#places.set(agentId, place)
    this.#on[place] = []
    this.preemptible.clear(place)
    this.version++
    return place
  }

  /** The row of the agent is gone. One that still has tasks keeps its place for them. */
  #forgetPlace(agentId: AgentId): void {
    const place = this.#places.get(agentId)
    if (place === undefined || this.#on[place]!.length > 0) return
    this.#places.delete(agentId)
    this.#placesLeft.push(place)
    this.version++
  }

  #peersOn({ role, isPreemptible }: Standing, place: number): { sums: VictimSums; row: number; peers: PeerSums } {
    const roles = this.#peers(isPreemptible)
    let peers = roles.get(role)
    if (peers === undefined) {
      peers = new PeerSums()
      roles.set(role, peers)
    }
    return { peers, sums: peers.sums, row: peers.rowFor(place) }
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
