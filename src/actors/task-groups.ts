/**
 * TaskGroups: the queue of PENDING tasks. It follows the ledger's staged changes, so that a new task is tried within a
 * millisecond or two, hands rounds of tasks to the Assigner, one at a time, and lets groups that cannot be placed wait
 * until something changes for them.
 */
import type { ConfigId, TaskId } from '../core/base/ids.ts'
import type { TaskRow } from '../core/ledger/rows.ts'
import type { LedgerView } from '../core/ledger/view.ts'
import { SPREAD_GROUPS_FULL, SPREAD_TASKS_FULL, startSpreadMs } from '../core/scheduling/start-spread.ts'
import { type GroupResult, type GroupView, TaskGroups, type TaskGroupsOptions } from '../core/scheduling/task-groups.ts'
import type { ActorSpec, Behaviour, Context, Ref } from './actor.ts'
import type { StartRound } from './assigner.ts'
import type { Ledger, LedgerChange } from './ledger.ts'
import type { Metrics } from './ports.ts'

/** Everything that was placed has been sent on its way. */
export interface RoundDone {
  readonly type: 'roundDone'
  readonly roundId: number
  readonly groups: readonly GroupResult[]
}
/** Placed tasks whose assignment was refused; those that are PENDING still are tried again. */
export interface TasksReturned {
  readonly type: 'tasksReturned'
  readonly taskIds: readonly TaskId[]
}
/** An actor on the way of the rounds was restarted: no answer will come, and placed tasks may have been forgotten. */
export interface RoundsLost {
  readonly type: 'roundsLost'
}
/** Something has changed that may let these in. */
export interface WakeGroups {
  readonly type: 'wakeGroups'
  readonly configIds: readonly ConfigId[]
}
interface LedgerChanged {
  readonly type: 'ledgerChanged'
}
interface Tick {
  readonly type: 'tick'
}
interface RoundExpired {
  readonly type: 'roundExpired'
}
interface LoadOn {
  readonly type: 'loadOn'
}
export type TaskGroupsCommand =
  | RoundDone
  | TasksReturned
  | RoundsLost
  | WakeGroups
  | LedgerChanged
  | Tick
  | RoundExpired
  | LoadOn

export interface PendingGroupsView {
  groups(): Iterable<GroupView>
  group(configId: ConfigId): GroupView | null
  /** Monotonic ms, for what is left of a penalty. */
  nowMs(): number
}

export interface TaskGroupsActorOptions {
  readonly ledger: Ledger
  readonly metrics: Metrics
  readonly groups: TaskGroupsOptions
  readonly assigner: () => Ref<StartRound>
  readonly onGroupsGone: (configIds: readonly ConfigId[]) => void
  readonly publish: (view: PendingGroupsView) => void
  /** Most time a new task waits for others to join its round, ms. */
  readonly firstScheduleDelayMs: number
  /** Over at most so long the groups of tasks that were PENDING when the leader started are spread; asked at every start. */
  readonly startSpreadMs: () => number
  readonly tasksPerRound: number
  /** Never the same twice, restarts of this actor included. */
  readonly nextRoundId: () => number
  /** A round without an answer is given up after so long, ms. The last resort only. */
  readonly roundMsMax: number
  /** Tasks taken in per turn when a leader starts. */
  readonly loadsPerTurn: number
}

/** While the ledger takes nothing, it is asked again after so long. */
const REFUSED_RETRY_MS = 50

export function taskGroupsSpec(options: TaskGroupsActorOptions): ActorSpec<TaskGroupsCommand> {
  return { name: 'task-groups', kind: 'TaskGroups', start: context => startTaskGroups(context, options) }
}

function startTaskGroups(
  context: Context<TaskGroupsCommand>,
  options: TaskGroupsActorOptions,
): Behaviour<TaskGroupsCommand> {
  const { ledger, metrics } = options
  const groups = new TaskGroups(options.groups, context.random)
  let changes: LedgerChange[] = []
  /** A few at a time: the first write of a new leader must not wait for a hundred thousand tasks. Null: all are here. */
  let toLoad: Generator<TaskRow> | null = pendingTasks(ledger.view)
  let spreadMs = spreadOf(ledger.view, options.startSpreadMs())
  let trying: number | null = null
  let rounds = 0
  let roundsLost = 0

  const nowMs = (): number => context.now().monoMs
  const unsubscribe = ledger.subscribe('staged', change => {
    if (changes.push(change) === 1) context.self.tell({ type: 'ledgerChanged' })
  })
  const takeIn = (): void => {
    const taken = changes
    changes = []
    for (const { changes: rows } of taken) {
      for (const { change, before } of rows) {
        if (change.table !== 'task') continue
        if (change.type === 'put' && change.row.status === 'PENDING') add(change.row)
        else if ((before as TaskRow | undefined)?.status === 'PENDING') groups.remove(change.key as TaskId)
      }
    }
  }
  const add = (task: TaskRow): void => {
    const facts = factsOf(task)
    if (facts !== null) groups.add(task.taskId, facts, nowMs(), options.firstScheduleDelayMs)
  }
  const factsOf = ({ configId, job }: TaskRow) => {
    const config = ledger.view.config(configId)
    if (config === undefined) return null
    const { priority, gang } = config
    return { configId, job, priority, ...(gang === undefined ? {} : { gang }) }
  }
  options.publish({
    groups: () => {
      takeIn()
      return groups.views()
    },
    group: configId => {
      takeIn()
      return groups.view(configId)
    },
    nowMs,
  })
  context.self.tell({ type: 'loadOn' })

  const loadOn = (): void => {
    for (let left = options.loadsPerTurn; left > 0 && toLoad !== null; left--) {
      const { value: task, done } = toLoad.next()
      if (done === true) {
        toLoad = null
        return
      }
      const facts = factsOf(task)
      if (facts !== null) groups.addFound(task.taskId, facts, nowMs(), spreadMs)
    }
    if (toLoad !== null) context.self.tell({ type: 'loadOn' })
  }

  /** Starts a round if one is due, else sees to it that the next one will be. */
  const goOn = (): void => {
    if (trying !== null) return
    const due = groups.nextDueMs()
    if (due === null) return context.cancelTimer('tick')
    if (due > nowMs()) return context.startTimer('tick', due - nowMs(), { type: 'tick' })
    if (ledger.refusal() !== null) return context.startTimer('tick', REFUSED_RETRY_MS, { type: 'tick' })
    const wants = groups.gather(nowMs(), options.tasksPerRound)
    // What was due has gone meanwhile.
    if (wants.length === 0) return goOn()
    rounds++
    trying = options.nextRoundId()
    options.assigner().tell({ type: 'startRound', roundId: trying, wants })
    context.startTimer('round', options.roundMsMax, { type: 'roundExpired' })
  }
  const roundOver = (): void => {
    trying = null
    context.cancelTimer('round')
  }

  const giveUp = (): void => {
    roundsLost++
    roundOver()
    groups.giveUp(nowMs())
  }

  return {
    receive(message) {
      takeIn()
      switch (message.type) {
        case 'roundDone':
          if (message.roundId !== trying) break
          for (const group of message.groups) groups.done(group, nowMs())
          roundOver()
          break
        case 'tasksReturned':
          for (const id of message.taskIds) {
            const task = ledger.view.task(id)
            const facts = task?.status === 'PENDING' ? factsOf(task) : null
            if (facts !== null) groups.returned(id, facts, nowMs())
          }
          break
        case 'wakeGroups':
          for (const configId of message.configIds) groups.wake(configId, nowMs())
          break
        case 'roundExpired':
          context.log.warn('placement-round-expired', { roundId: trying, afterMs: options.roundMsMax })
          giveUp()
          break
        case 'roundsLost':
          giveUp()
          if (toLoad === null) context.self.tell({ type: 'loadOn' })
          toLoad = pendingTasks(ledger.view)
          spreadMs = 0
          break
        case 'loadOn':
          loadOn()
          break
        case 'tick':
        case 'ledgerChanged':
          break
      }
      const gone = groups.takeDropped()
      if (gone.length > 0) options.onGroupsGone(gone)
      metrics.gauge('pending_tasks', groups.taskCount)
      goOn()
    },
    stopping: () => unsubscribe(),
    summary: () => ({
      groups: groups.groupCount,
      tasks: groups.taskCount,
      isLoading: toLoad !== null,
      round: trying,
      rounds,
      roundsLost,
    }),
  }
}

/** Those that are PENDING now, as far as they are when they are come to; who becomes so later is told of by the ledger. */
function* pendingTasks(view: LedgerView): Generator<TaskRow> {
  let left = view.statusCount('PENDING')
  for (const task of view.tasksByStatus('PENDING')) {
    if (left-- === 0) return
    yield task
  }
}

/** Of few tasks the groups are counted; where there are many, the jobs, up to as many as decide anything. */
function spreadOf(view: LedgerView, fullMs: number): number {
  const tasks = view.statusCount('PENDING')
  if (tasks === 0 || fullMs === 0) return 0
  if (tasks < SPREAD_TASKS_FULL) {
    return startSpreadMs(new Set(Array.from(view.tasksByStatus('PENDING'), task => task.configId)).size, tasks, fullMs)
  }
  let jobs = 0
  for (const key of view.jobKeysFrom('')) {
    if ((view.statusCountsOfJob(key).get('PENDING') ?? 0) > 0 && ++jobs === SPREAD_GROUPS_FULL) break
  }
  return startSpreadMs(jobs, tasks, fullMs)
}
