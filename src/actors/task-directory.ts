/**
 * The way to the actors of tasks: finds the one of a live task or makes it, and hands ids without a live row to
 * StrayTask. The actors hang under silent shards, for a parent with many children must not receive messages.
 *
 * Promises: commands for one task are taken in the order in which they were told, and none is lost between an actor
 * that leaves and the next one, as an actor leaves only when everything told to it has been taken.
 */
import type { TaskId } from '../core/base/ids.ts'
import type { TaskRow } from '../core/ledger/rows.ts'
import { isKillOwed } from '../core/task/agent-list.ts'
import { DEADLINE_SETTINGS, type DeadlineSettings } from '../core/task/deadlines.ts'
import { FLAPPING_SETTINGS, type FlappingSettings } from '../core/task/flapping.ts'
import { RESTART_BUDGET_SETTINGS, RestartBudget, type RestartBudgetSettings } from '../core/task/restart-budget.ts'
import { isTerminal, type TaskStatus, TRANSIENT } from '../core/task/status.ts'
import type { ActorSpec, Context, Nest, Ref } from './actor.ts'
import type * as AgentGateway from './agent-gateway.ts'
import type { Ledger } from './ledger.ts'
import { type Metrics, silentMetrics } from './ports.ts'
import { strayTaskSpec } from './stray-task.ts'
import { type Command, sendKill, type TaskDirectory, taskStateMachineSpec } from './task-state-machine.ts'
import type { TaskWorld } from './task-transition.ts'

export interface TaskDirectoryOptions<M> {
  /** Of the leader actor: the shards become its children and stop with it. */
  readonly context: Pick<Context<M>, 'spawn' | 'spawnSilent' | 'log' | 'random'>
  readonly ledger: Ledger
  readonly gateway: Ref<AgentGateway.Command>
  /** A random UUID v4. */
  readonly uuid: () => string
  /** Host name of this leader, for the events. */
  readonly schedulerName: string
  readonly metrics?: Metrics
  readonly flapping?: FlappingSettings
  readonly restartBudget?: RestartBudgetSettings
  readonly deadlines?: DeadlineSettings
  /** With more actors than this, those of running tasks leave when they have nothing to do. Default 10,000. */
  readonly actorsMax?: number
  /** Default 64. */
  readonly shards?: number
}

export interface LeaderTaskDirectory extends TaskDirectory {
  /**
   * Once, when the rows are loaded: re-arms timers from stored deadlines and sends the kills owed again, so many tasks a
   * turn, for a take-over with a hundred thousand of them must not hold up everything else.
   */
  recover(): void
  /** Living task actors. */
  readonly size: number
}

interface Lodger {
  readonly ref: Ref<Command>
  told: number
  taken: number
}

/** The states that wait for a moment; rows in the others need no actor until someone speaks to them. */
const TIMED: readonly TaskStatus[] = ['THROTTLED', 'PARTITIONED', ...TRANSIENT]

export function createTaskDirectory<M>(options: TaskDirectoryOptions<M>): LeaderTaskDirectory {
  const { context, ledger, gateway, uuid, schedulerName, metrics = silentMetrics } = options
  const { actorsMax = 10_000, shards = 64 } = options
  const nests: (Nest | undefined)[] = Array.from({ length: shards })
  const lodgers = new Map<TaskId, Lodger>()
  let born = 0

  const world: TaskWorld = {
    ledger,
    gateway,
    uuid,
    random: context.random,
    restartBudget: new RestartBudget(options.restartBudget ?? RESTART_BUDGET_SETTINGS),
    metrics,
    log: context.log,
    wake: id => void lodgerOf(id),
    settings: {
      flapping: options.flapping ?? FLAPPING_SETTINGS,
      deadlines: options.deadlines ?? DEADLINE_SETTINGS,
      schedulerName,
    },
  }
  const strays = context.spawn(strayTaskSpec(world))

  /** Undefined when the task is not live. */
  function lodgerOf(id: TaskId): Lodger | undefined {
    const known = lodgers.get(id)
    if (known !== undefined) return known
    const row = ledger.view.task(id)
    if (row === undefined || isTerminal(row.status)) return undefined
    const at = shardOf(id, shards)
    nests[at] ??= context.spawnSilent(`task-shard-${at}`)
    const nest = nests[at]
    // An actor that has just left may not be gone yet: its successor must not meet its name.
    const name = nest.child(id) === undefined ? id : `${id}~${++born}`
    const lodger: Lodger = {
      told: 0,
      taken: 0,
      ref: nest.spawn(
        taskStateMachineSpec(name, id, world, {
          taken: () => void lodger.taken++,
          release() {
            if (lodger.told !== lodger.taken) return false
            lodgers.delete(id)
            return true
          },
          get isCrowded() {
            return lodgers.size > actorsMax
          },
        }),
      ),
    }
    lodgers.set(id, lodger)
    return lodger
  }

  return {
    tell(command) {
      const lodger = lodgerOf(command.taskId)
      const isTaken = (lodger?.ref ?? strays).tell(command)
      if (lodger !== undefined && isTaken) lodger.told++
      // Nobody waits for ever: agents repeat their updates, and whoever joins several answers has a limit.
      if (!isTaken) metrics.count('task_commands_dropped_total')
    },
    recover() {
      const found = TIMED.flatMap(status => [...ledger.view.tasksByStatus(status)])
      context.spawn(
        recoverySpec(found, row => {
          // Changed meanwhile: whoever did that has made its actor and sent its kill.
          if (ledger.view.task(row.taskId)?.version !== row.version) return
          lodgerOf(row.taskId)
          if (isKillOwed(row)) sendKill(world, row)
        }),
      )
    },
    get size() {
      return lodgers.size
    },
  }
}

const RECOVERED_PER_TURN = 1000

/** Goes through the rows a leader found, then leaves. */
function recoverySpec(found: readonly TaskRow[], recover: (row: TaskRow) => void): ActorSpec<'goOn'> {
  return {
    name: 'task-recovery',
    kind: 'TaskRecovery',
    start(context) {
      let done = 0
      context.self.tell('goOn')
      return {
        receive() {
          const upTo = Math.min(done + RECOVERED_PER_TURN, found.length)
          while (done < upTo) recover(found[done++]!)
          if (done < found.length) context.self.tell('goOn')
          else context.stop(context.self)
        },
        summary: () => ({ done, found: found.length }),
      }
    },
  }
}

/** FNV-1a: spreads ids whose beginnings are alike. */
function shardOf(id: string, shards: number): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < id.length; at++) hash = Math.imul(hash ^ id.charCodeAt(at), 0x01000193)
  return (hash >>> 0) % shards
}
