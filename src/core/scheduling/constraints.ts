/**
 * Whether a machine's attributes satisfy a task's constraints. All constraints of a task must hold. Value constraints
 * look at the machine alone; a limit also looks at how many tasks of the same job already run on machines that share a
 * value with it, so that verdict changes from task to task.
 *
 * Source: the scheduling spec, section 6, and its item D22 (an attribute without values counts as absent).
 */
import { compareIds } from '../base/ids.ts'
import type { Constraint } from '../job/task-config.ts'

/** Values by attribute name, each list sorted and without duplicates; may be empty. */
export type AttributeSet = ReadonlyMap<string, readonly string[]>

/** How many host-assigned tasks of the job are on hosts where the attribute has this value. */
export type CountOf = (name: string, value: string) => number

export type ValueRule = Extract<Constraint['rule'], { type: 'value' }>

/** Repeated names are merged into one attribute with all their values. */
export function attributeSet(
  attributes: readonly { readonly name: string; readonly values: readonly string[] }[],
): AttributeSet {
  const merged = new Map<string, readonly string[]>()
  for (const { name, values } of attributes) {
    merged.set(name, [...new Set([...(merged.get(name) ?? []), ...values])].sort(compareIds))
  }
  return merged
}

export function isValueSatisfied(rule: ValueRule, hostValues: readonly string[] | undefined): boolean {
  const anyNamed = hostValues?.some(value => rule.values.includes(value)) ?? false
  return rule.negated ? !anyNamed : anyNamed
}

/** A limit on an attribute that the host lacks can never be met there. */
export function isLimitable(hostValues: readonly string[] | undefined): hostValues is readonly string[] {
  return hostValues !== undefined && hostValues.length > 0
}

/** Every value of the host's attribute must be below the limit; so 0 or less never schedules. */
export function isLimitReached(limit: number, name: string, hostValues: readonly string[], countOf: CountOf): boolean {
  return hostValues.some(value => countOf(name, value) >= limit)
}
