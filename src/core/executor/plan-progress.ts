/**
 * How far the plans of a task have come, given the states of its processes: what may start, whether a plan is complete,
 * stuck, or has failed. Questions only; nothing here changes a state.
 * Source: jobs and executor, sections 8 and 12.
 */
import { assert } from '../base/assert.ts'
import type { Phase, ProcessState } from './process-state.ts'
import type { ProcessSpec, TaskSpec } from './task-data.ts'
import { type PlanName, predecessors, processesOf } from './task-plan.ts'

/** By name; every process of the task has one. */
export type ProcessStates = Readonly<Record<string, ProcessState>>

export function stateOf(states: ProcessStates, name: string): ProcessState {
  const found = states[name]
  assert(found !== undefined, 'every process of the task has a state', { process: name })
  return found
}

export function specOf(task: TaskSpec, name: string): ProcessSpec {
  const found = task.processes.find(process => process.name === name)
  assert(found !== undefined, 'a process belongs to the task', { process: name })
  return found
}

/** All that must come before it has finished. */
export function isFree(task: TaskSpec, states: ProcessStates, name: string): boolean {
  return [...predecessors(task, name)].every(before => typeOf(states, before) === 'finished')
}

export function isComplete(task: TaskSpec, states: ProcessStates, plan: PlanName): boolean {
  return processesOf(task, plan).every(({ name, ephemeral }) => {
    const type = typeOf(states, name)
    return ephemeral || type === 'finished' || type === 'failed'
  })
}

/** Nothing runs, nothing can start now or later, and yet it is not complete: a successor of a failed process. */
export function isDeadlocked(task: TaskSpec, states: ProcessStates, plan: PlanName): boolean {
  const moving = processesOf(task, plan).some(({ name }) => {
    const type = typeOf(states, name)
    return type === 'running' || (type === 'waiting' && isFree(task, states, name))
  })
  return !moving && !isComplete(task, states, plan)
}

/** False: more processes have failed for good than the task tolerates, or it cannot get any further. */
export function isHealthy(task: TaskSpec, states: ProcessStates): boolean {
  const failed = processesOf(task, 'regular').filter(({ name }) => typeOf(states, name) === 'failed')
  const tolerated = task.maxFailures === 0 || failed.length < task.maxFailures
  return tolerated && !isDeadlocked(task, states, 'regular')
}

/** Everything that could start at first has started: the task counts as running from then on. */
export function hasStarted(task: TaskSpec, states: ProcessStates): boolean {
  const processes = task.processes.map(({ name }) => stateOf(states, name))
  if (processes.some(({ phase }) => phase.type === 'running' && !phase.confirmed)) return false
  if (!processes.some(({ runs }) => runs > 0)) return false
  return processes.some(({ phase }) => phase.type !== 'failed' && phase.type !== 'waiting')
}

/** How the processes that failed for good went wrong, in the order of the job file. */
export function complaints(task: TaskSpec, states: ProcessStates): string[] {
  return processesOf(task, 'regular').flatMap(({ name }) => {
    const { phase, complaint } = stateOf(states, name)
    return phase.type === 'failed' && complaint !== null ? [`${name}: ${complaint}`] : []
  })
}

function typeOf(states: ProcessStates, name: string): Phase['type'] {
  return stateOf(states, name).phase.type
}
