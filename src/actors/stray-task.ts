/**
 * StrayTask: answers for the task ids that have no live row: ended tasks, pruned ones, and ids that never were. It
 * applies the same table as any task's own actor: who claims to run such a task is told to kill it, everything else is
 * answered (and so acknowledged) and dropped. One on the leader.
 *
 * Source: the task life cycle, sections 4 (last rows) and 16.
 */
import { isActive } from '../core/task/status.ts'
import type { ActorSpec } from './actor.ts'
import type { Command } from './task-state-machine.ts'
import { type TaskWorld, transition } from './task-transition.ts'

export function strayTaskSpec(world: TaskWorld): ActorSpec<Command> {
  return {
    name: 'stray-tasks',
    kind: 'StrayTask',
    mailbox: { capacity: 100_000 },
    start(context) {
      let answered = 0
      let killed = 0
      return {
        receive(command) {
          const { row, outputs } = transition(world, command, context.now())
          answered++
          killed += outputs.length
          if (row !== null && isActive(row.status)) world.wake(row.taskId)
        },
        summary: () => ({ answered, killed }),
      }
    },
  }
}
