/**
 * What a job may ask beyond Aurora: hosts that it prefers, a spread over attribute values, one instance on every host, a
 * gang that starts together. The same checks serve the client, which names fields as files do, and admission.
 */
import { compareIds, isIdentifier } from '../base/ids.ts'
import type { Preference, Spread, TaskConfig } from './task-config.ts'

/** Paths are those of a TaskConfig: `task.prefer[0].weight`. */
export interface SoftRuleFault {
  readonly path: string
  readonly text: string
}

type SoftTask = Pick<TaskConfig, 'prefer' | 'spread' | 'everyHost' | 'gang' | 'constraints' | 'isService'>

export function softRuleFaults({
  task,
  instanceCount,
}: {
  readonly task: SoftTask
  readonly instanceCount: number
}): SoftRuleFault[] {
  return [
    ...(task.prefer ?? []).flatMap((rule, at) => preferenceFaults(rule, `task.prefer[${at}]`)),
    ...spreadFaults(task.spread ?? []),
    ...gangFaults(task, instanceCount),
    ...everyHostFaults(task),
  ]
}

const unless = (holds: boolean, path: string, text: string): SoftRuleFault[] => (holds ? [] : [{ path, text }])

function preferenceFaults({ attribute, values, weight }: Preference, path: string): SoftRuleFault[] {
  return [
    ...attributeFaults(attribute, path),
    ...unless(
      values.length > 0 && !values.includes(''),
      `${path}.values`,
      `prefer '${attribute}' must name at least one value, and none may be empty.`,
    ),
    ...unless(
      Number.isInteger(weight) && weight >= -100 && weight <= 100 && weight !== 0,
      `${path}.weight`,
      `weight of prefer '${attribute}' is a whole number from -100 to 100, and not 0; got ${weight}.`,
    ),
  ]
}

function spreadFaults(spread: readonly Spread[]): SoftRuleFault[] {
  const seen = new Set<string>()
  return spread.flatMap((rule, at): SoftRuleFault[] => {
    const path = `task.spread[${at}]`
    const { attribute, weight, targets = {} } = rule
    const isRepeated = seen.has(attribute)
    seen.add(attribute)
    const percents = Object.values(targets)
    const sum = percents.reduce((all, percent) => all + percent, 0)
    return [
      ...attributeFaults(attribute, path),
      ...unless(!isRepeated, `${path}.attribute`, `spread over '${attribute}' is given more than once.`),
      ...unless(
        Number.isInteger(weight) && weight >= 1 && weight <= 100,
        `${path}.weight`,
        `weight of spread '${attribute}' is a whole number from 1 to 100; got ${weight}.`,
      ),
      ...unless(
        percents.every(percent => percent >= 0) && sum <= 100,
        `${path}.targets`,
        `targets of spread '${attribute}' are percents of the instances, 100 together at most; got ${sum}.`,
      ),
    ]
  })
}

function attributeFaults(attribute: string, path: string): SoftRuleFault[] {
  return unless(
    isIdentifier(attribute),
    `${path}.attribute`,
    `Attribute name contains illegal characters: ${attribute}`,
  )
}

function gangFaults({ gang, everyHost }: SoftTask, instanceCount: number): SoftRuleFault[] {
  if (gang === undefined) return []
  return [
    ...unless(
      Number.isInteger(gang) && gang >= 2 && gang <= instanceCount,
      'task.gang',
      `gang is a number of instances from 2 to all of them (${instanceCount}); got ${gang}.`,
    ),
    ...unless(
      everyHost !== true,
      'task.gang',
      'A job with every_host has no gang: its instances come and go with the hosts.',
    ),
  ]
}

function everyHostFaults({ everyHost, constraints, isService }: SoftTask): SoftRuleFault[] {
  if (everyHost !== true) return []
  const hasLimit = constraints.some(({ name, rule }) => name === 'host' && rule.type === 'limit')
  return [
    ...unless(isService, 'task.everyHost', 'A job with every_host is a service: set service: true.'),
    ...unless(
      !hasLimit,
      'task.constraints',
      'A job with every_host has one instance on a host anyway: remove its limit on host.',
    ),
  ]
}

/** In one order, so that jobs that mean the same have the same configuration. Absent where nothing is asked. */
export function softRulesInOrder({ prefer = [], spread = [] }: TaskConfig): Pick<TaskConfig, 'prefer' | 'spread'> {
  return {
    ...(prefer.length === 0
      ? {}
      : {
          prefer: prefer
            .map(rule => ({ ...rule, values: [...new Set(rule.values)].sort(compareIds) }))
            .sort((a, b) => compareIds(JSON.stringify(a), JSON.stringify(b))),
        }),
    ...(spread.length === 0 ? {} : { spread: [...spread].sort((a, b) => compareIds(a.attribute, b.attribute)) }),
  }
}
