/**
 * What is asked of a job beyond Aurora's checks: things that Aurora lets pass and that then never run, or not as they
 * were meant. Source: the scheduling spec, D19.
 */
import { isIdentifier, jobKeyText } from '../base/ids.ts'
import type { Fault } from '../base/rejection.ts'
import { DEDICATED } from '../scheduling/dedicated.ts'
import type { Constraint, JobConfiguration } from './task-config.ts'

/** A launch carries it in one frame of at most 4 MiB, and a character takes up to three bytes. */
const EXECUTOR_DATA_CHARACTERS_MAX = 1024 * 1024

/** Rows keep ports by name, and a reader of rows takes this one for something else: the task would lose its port. */
const PORT_NAME_UNREADABLE = '__proto__'

export function careFaults({ key, task }: JobConfiguration): Fault[] {
  return [
    ...unless(
      jobKeyText(task.job) === jobKeyText(key),
      'task.job',
      `The task is of job ${jobKeyText(task.job)}, but the job is ${jobKeyText(key)}.`,
    ),
    ...unless(
      task.executor.data.length <= EXECUTOR_DATA_CHARACTERS_MAX,
      'task.executor.data',
      `The definition of the job has ${task.executor.data.length} characters; at most ${EXECUTOR_DATA_CHARACTERS_MAX} travel to an agent. Let a process fetch what is large.`,
    ),
    ...constraintFaults(task.constraints),
    ...portFaults(task.ports),
    ...unless(
      task.maxTaskFailures >= -1,
      'task.maxTaskFailures',
      `max_task_failures must be -1 (without limit) or more, got ${task.maxTaskFailures}.`,
    ),
  ]
}

function constraintFaults(constraints: readonly Constraint[]): Fault[] {
  const seen = new Set<string>()
  return constraints.flatMap((constraint, at): Fault[] => {
    const path = `task.constraints[${at}]`
    const { name, rule } = constraint
    const isRepeated = seen.has(name)
    seen.add(name)
    const faults: Fault[] = [
      ...unless(isIdentifier(name), `${path}.name`, `Constraint name contains illegal characters: ${name}`),
      ...unless(!isRepeated, `${path}.name`, `Constraint '${name}' is given more than once.`),
    ]
    if (rule.type === 'limit')
      return [
        ...faults,
        ...unless(
          rule.limit >= 1,
          `${path}.limit`,
          `Limit of constraint '${name}' must be at least 1, got ${rule.limit}.`,
        ),
      ]
    // The dedicated rule has said its own word on a missing value.
    const isEmpty = rule.values.length === 0 && name !== DEDICATED
    return [
      ...faults,
      ...unless(!isEmpty, `${path}.values`, `Constraint '${name}' must have at least one value.`),
      ...unless(!rule.values.includes(''), `${path}.values`, `Constraint '${name}' has an empty value.`),
    ]
  })
}

function portFaults(ports: readonly string[]): Fault[] {
  const seen = new Set<string>()
  return ports.flatMap((port, at): Fault[] => {
    const isRepeated = seen.has(port)
    seen.add(port)
    return [
      ...unless(isIdentifier(port), `task.ports[${at}]`, `Port name contains illegal characters: ${port}`),
      ...unless(!isRepeated, `task.ports[${at}]`, `Port '${port}' is asked for more than once.`),
      ...unless(
        port !== PORT_NAME_UNREADABLE,
        `task.ports[${at}]`,
        `Port name '${port}' cannot be kept. Give the port another name.`,
      ),
    ]
  })
}

/** `fault` when the rule does not hold. */
const unless = (holds: boolean, path: string, text: string): Fault[] => (holds ? [] : [{ path, text }])
