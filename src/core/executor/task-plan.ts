import type { ProcessSpec, TaskSpec } from './task-data.ts'

/**
 * The two plans of a task, regular and finalizing, and what their order constraints allow. A process may start when all
 * that must come before it has finished; what "finished" means for each kind is decided in `task-run.ts`.
 * Source: jobs and executor, section 8.1.
 */
export type PlanName = 'regular' | 'final'

export function processesOf(task: TaskSpec, plan: PlanName): readonly ProcessSpec[] {
  return task.processes.filter(process => process.final === (plan === 'final'))
}

/** Names that must have finished before `name` may start. */
export function predecessors(task: TaskSpec, name: string): ReadonlySet<string> {
  const before = new Set<string>()
  for (const order of task.orders) {
    for (let i = 1; i < order.length; i++) if (order[i] === name) before.add(order[i - 1] as string)
  }
  return before
}

/** Everything wrong with names and orders, in the words of the job schema; empty when the task can run. */
export function orderFaults(task: TaskSpec): string[] {
  const faults: string[] = []
  const byName = new Map<string, ProcessSpec>()
  for (const process of task.processes) {
    if (byName.has(process.name)) faults.push(`Duplicate process name: ${process.name}`)
    byName.set(process.name, process)
  }
  for (const order of task.orders) {
    const known = order.map(name => byName.get(name))
    const unknown = order.filter(name => !byName.has(name))
    if (order.length === 0) faults.push('Invalid process dependencies! (an empty order)')
    else if (unknown.length > 0) faults.push(`Invalid process dependencies! (no process named ${unknown.join(', ')})`)
    else if (new Set(known.map(process => process?.final)).size > 1) {
      faults.push(`Invalid process dependencies! (${order.join(', ')} mixes final and regular processes)`)
    }
    for (let i = 1; i < order.length; i++) {
      const before = byName.get(order[i - 1] as string)
      const after = byName.get(order[i] as string)
      if (before === undefined || after === undefined) continue
      if (before.daemon) faults.push(`Process ${after.name} may not depend upon daemon process ${before.name}`)
      if (before.ephemeral && !after.ephemeral) {
        faults.push(`Non-ephemeral process ${after.name} may not depend upon ephemeral process ${before.name}`)
      }
    }
  }
  if (hasCycle(task)) faults.push('Cycles detected in the task schedule!')
  return [...new Set(faults)]
}

function hasCycle(task: TaskSpec): boolean {
  const open = new Map(task.processes.map(process => [process.name, predecessors(task, process.name)]))
  for (;;) {
    const free = [...open].filter(([, before]) => [...before].every(name => !open.has(name)))
    if (free.length === 0) return open.size > 0
    for (const [name] of free) open.delete(name)
  }
}
