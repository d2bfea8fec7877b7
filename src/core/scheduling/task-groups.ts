/**
 * Who is tried next. PENDING tasks of one configuration form a group and are served in the order in which they came.
 * A group that could not be placed waits: 1 s after the first failure, growing with chance to a minute; but the clock
 * is only a safety net, since new capacity, freed capacity and a new task wake it at once. Only a group that waits for its
 * turn after a change of leader sleeps on until then.
 *
 * A round takes the highest priority first; within one priority the roles take turns, and within a role its groups, a
 * quantum of tasks each, so that a thousand instances of one job hold nobody up.
 *
 * Source: the scheduling spec, sections 7 and 17, items D5 and D16.
 */
import { assert } from '../base/assert.ts'
import type { ConfigId, JobKey, TaskId } from '../base/ids.ts'
import { MinHeap } from '../base/min-heap.ts'
import type { Prng } from '../base/prng.ts'
import type { Want } from './matcher.ts'
import { ReadyGroups } from './ready-groups.ts'

export interface TaskGroupsOptions {
  /** Wait after the first fruitless attempt, ms. */
  readonly penaltyMsInitial: number
  /** Longest wait, ms. */
  readonly penaltyMsMax: number
  /** Tasks that a group gets before the next group has its turn. */
  readonly quantum: number
}
export const TASK_GROUPS_DEFAULTS: TaskGroupsOptions = { penaltyMsInitial: 1000, penaltyMsMax: 60_000, quantum: 16 }

/** What all tasks of a group share. */
export interface GroupFacts {
  readonly configId: ConfigId
  readonly job: JobKey
  readonly priority: number
  /** So many are placed together or none is: all that wait are tried at once. Absent: each alone. */
  readonly gang?: number
}

export interface GroupResult {
  readonly configId: ConfigId
  readonly placed: readonly TaskId[]
  readonly unplaced: readonly TaskId[]
  readonly gone: readonly TaskId[]
}

interface Group extends GroupFacts {
  /** In the order to be served. */
  waiting: Set<TaskId>
  readonly trying: Set<TaskId>
  penaltyMs: number
  dueMs: number
  /** Nothing wakes it before: its turn after a change of leader. */
  readonly notBeforeMs: number
  /** Something changed while a round was deciding: its failure may be out of date. */
  isWokenWhileTrying: boolean
  lastServed: number
  /** It stands among those that are ready, even if nothing of it waits any more. */
  isReady: boolean
}

/** A time at which a group was to be tried; out of date when the group has another one by now. */
interface Due {
  readonly group: Group
  readonly dueMs: number
}

export interface GroupView extends GroupFacts {
  readonly taskIds: readonly TaskId[]
  readonly penaltyMs: number
  readonly dueMs: number
}

export class TaskGroups {
  readonly #options: TaskGroupsOptions
  readonly #random: Prng
  readonly #groups = new Map<ConfigId, Group>()
  readonly #byTask = new Map<TaskId, Group>()
  /** Groups that wait for their time. */
  readonly #due = new MinHeap<Due>(({ dueMs }) => dueMs)
  readonly #ready = new ReadyGroups<Group>()
  readonly #beingTried = new Set<Group>()
  #dropped: ConfigId[] = []
  #servings = 0

  constructor(options: TaskGroupsOptions, random: Prng) {
    this.#options = options
    this.#random = random
  }

  get groupCount(): number {
    return this.#groups.size
  }
  get taskCount(): number {
    return this.#byTask.size
  }

  /**
   * A task has become PENDING; due after `delayMs` at the latest. A group that waits out a penalty is tried again with
   * it. Ignored when the task is known.
   */
  add(taskId: TaskId, facts: GroupFacts, nowMs: number, delayMs: number): void {
    if (!this.#byTask.has(taskId)) this.#join(this.#groupFor(facts, nowMs + delayMs, 0), taskId, nowMs + delayMs)
  }

  /**
   * A task that was PENDING when the leader started. The one that opens its group draws the group's turn, uniformly in
   * [0, `spreadMs`), so that not everything is tried at once; the others join it, and so does whoever comes meanwhile.
   */
  addFound(taskId: TaskId, facts: GroupFacts, nowMs: number, spreadMs: number): void {
    if (this.#byTask.has(taskId)) return
    const turnMs = this.#groups.has(facts.configId) ? nowMs : nowMs + Math.floor(this.#random.next() * spreadMs)
    this.#join(this.#groupFor(facts, turnMs, turnMs), taskId, nowMs)
  }

  #join(group: Group, taskId: TaskId, dueMs: number): void {
    group.waiting.add(taskId)
    this.#byTask.set(taskId, group)
    this.#setDue(group, Math.max(group.notBeforeMs, Math.min(group.dueMs, dueMs)))
    if (group.trying.size > 0) group.isWokenWhileTrying = true
  }

  /** The task is not PENDING any more. */
  remove(taskId: TaskId): void {
    const group = this.#byTask.get(taskId)
    if (group === undefined) return
    this.#byTask.delete(taskId)
    group.waiting.delete(taskId)
    group.trying.delete(taskId)
    this.#dropIfEmpty(group)
  }

  /** The tasks of one round, at most `tasksMax`; they are being tried until `done` or `giveUp`. */
  gather(nowMs: number, tasksMax: number): readonly Want[] {
    for (let due = this.#due.peek(); due !== undefined && due.dueMs <= nowMs; due = this.#due.peek()) {
      this.#due.pop()
      if (isCurrent(due)) this.#makeReady(due.group)
    }
    const wants = new Map<ConfigId, TaskId[]>()
    let left = tasksMax
    this.#ready.serve(group => {
      group.isReady = false
      // Its tasks have gone, or it was put off, while it stood there.
      if (group.waiting.size === 0) return true
      if (group.dueMs > nowMs) {
        this.#due.push({ group, dueMs: group.dueMs })
        return true
      }
      const isWhole = group.gang !== undefined
      const taken = this.#take(group, isWhole ? group.waiting.size : Math.min(left, this.#options.quantum))
      left -= taken.length
      const want = wants.get(group.configId)
      if (want === undefined) wants.set(group.configId, taken)
      else want.push(...taken)
      if (group.waiting.size > 0) this.#makeReady(group)
      return left > 0
    })
    return [...wants].map(([configId, taskIds]) => ({ configId, taskIds }))
  }

  /** What a round came to for one group. */
  done({ configId, placed, unplaced, gone }: GroupResult, nowMs: number): void {
    const group = this.#groups.get(configId)
    if (group === undefined) return
    this.#beingTried.delete(group)
    for (const id of [...placed, ...gone]) {
      if (group.trying.delete(id)) this.#byTask.delete(id)
    }
    const left = unplaced.filter(id => group.trying.delete(id))
    this.#putFirst(group, left)
    if (left.length > 0) this.#punish(group, placed.length > 0, nowMs)
    else group.penaltyMs = 0
    group.isWokenWhileTrying = false
    this.#dropIfEmpty(group)
  }

  /**
   * A placed task came back: its assignment was refused. Counts as a fruitless attempt, so that it cannot spin; but all
   * that come back together, as when the ledger is full for a moment, count as one.
   */
  returned(taskId: TaskId, facts: GroupFacts, nowMs: number): void {
    if (this.#byTask.has(taskId)) return
    const known = this.#groups.get(facts.configId)
    const isWoken = known?.isWokenWhileTrying ?? false
    const waitMs = Math.max(0, (known?.dueMs ?? nowMs) - nowMs)
    this.add(taskId, facts, nowMs, waitMs)
    const group = this.#byTask.get(taskId)!
    group.isWokenWhileTrying = isWoken
    if (waitMs === 0) this.#punish(group, false, nowMs)
  }

  /** No answer will come: what is being tried waits again, due at once. */
  giveUp(nowMs: number): void {
    for (const group of this.#beingTried) {
      const ids = [...group.trying]
      group.trying.clear()
      group.isWokenWhileTrying = false
      this.#putFirst(group, ids)
      this.#setDue(group, nowMs)
    }
    this.#beingTried.clear()
  }

  wake(configId: ConfigId, nowMs: number): void {
    const group = this.#groups.get(configId)
    if (group === undefined) return
    this.#setDue(group, Math.max(group.notBeforeMs, Math.min(group.dueMs, nowMs)))
    if (group.trying.size > 0) group.isWokenWhileTrying = true
  }

  /** When `gather` is to be asked next: at once (minus infinity) while groups stand ready; null when nothing waits. */
  nextDueMs(): number | null {
    // One of those that are ready may have been put off since; the others must not wait for it.
    if (this.#ready.size > 0) return Number.NEGATIVE_INFINITY
    for (let due = this.#due.peek(); due !== undefined && !isCurrent(due); due = this.#due.peek()) this.#due.pop()
    return this.#due.peek()?.dueMs ?? null
  }

  /** Configurations without a waiting task, since this was last asked. */
  takeDropped(): readonly ConfigId[] {
    const dropped = this.#dropped.filter(id => !this.#groups.has(id))
    this.#dropped = []
    return dropped
  }

  *views(): Iterable<GroupView> {
    for (const group of this.#groups.values()) yield viewOf(group)
  }

  /** Null when no task of the configuration waits. */
  view(configId: ConfigId): GroupView | null {
    const group = this.#groups.get(configId)
    return group === undefined ? null : viewOf(group)
  }

  #groupFor(facts: GroupFacts, dueMs: number, notBeforeMs: number): Group {
    const known = this.#groups.get(facts.configId)
    if (known !== undefined) return known
    const group: Group = {
      ...facts,
      waiting: new Set(),
      trying: new Set(),
      penaltyMs: 0,
      dueMs,
      notBeforeMs,
      isWokenWhileTrying: false,
      lastServed: 0,
      isReady: false,
    }
    this.#groups.set(facts.configId, group)
    return group
  }

  #dropIfEmpty(group: Group): void {
    if (group.waiting.size > 0 || group.trying.size > 0) return
    this.#groups.delete(group.configId)
    this.#dropped.push(group.configId)
  }

  #makeReady(group: Group): void {
    if (group.isReady) return
    group.isReady = true
    this.#ready.add(group)
  }

  /** Says when it is to be tried, whether anything of it waits now or comes to wait. */
  #setDue(group: Group, dueMs: number): void {
    group.dueMs = dueMs
    if (group.waiting.size > 0 && !group.isReady) this.#due.push({ group, dueMs })
  }

  #take(group: Group, most: number): TaskId[] {
    assert(most > 0 && group.waiting.size > 0, 'a turn takes at least one task', { most })
    const taken: TaskId[] = []
    for (const id of group.waiting) {
      if (taken.length === most) break
      taken.push(id)
    }
    for (const id of taken) {
      group.waiting.delete(id)
      group.trying.add(id)
    }
    group.lastServed = ++this.#servings
    this.#beingTried.add(group)
    return taken
  }

  #putFirst(group: Group, ids: readonly TaskId[]): void {
    if (ids.length === 0) return
    group.waiting = new Set([...ids, ...group.waiting])
    this.#setDue(group, group.dueMs)
  }

  #punish(group: Group, someWerePlaced: boolean, nowMs: number): void {
    const { penaltyMsInitial, penaltyMsMax } = this.#options
    const before = someWerePlaced ? 0 : group.penaltyMs
    group.penaltyMs =
      before === 0 ? penaltyMsInitial : Math.min(penaltyMsMax, before + Math.round(this.#random.next() * before))
    this.#setDue(group, group.isWokenWhileTrying ? nowMs : nowMs + group.penaltyMs)
  }
}

/** False when the group has been put off or brought forward since, has been made ready, or nothing of it waits. */
function isCurrent({ group, dueMs }: Due): boolean {
  return !group.isReady && group.waiting.size > 0 && group.dueMs === dueMs
}

function viewOf({ configId, job, priority, penaltyMs, dueMs, trying, waiting }: Group): GroupView {
  return { configId, job, priority, penaltyMs, dueMs, taskIds: [...trying, ...waiting] }
}
