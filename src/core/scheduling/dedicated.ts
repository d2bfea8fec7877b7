/**
 * The dedicated rule, in both directions and in one place: a machine with the attribute `dedicated` is closed to every
 * job that does not ask for it, and a job that asks for it runs nowhere else. The rule acts at admission and at
 * placement only: what already runs is never evicted by it, merely reported.
 *
 * Source: the scheduling spec, section 6 (texts are Aurora's, word for word) and its item D3 (no negation).
 */
import { compareIds } from '../base/ids.ts'
import type { Constraint } from '../job/task-config.ts'

export const DEDICATED = 'dedicated'

/** A host whose owner has set it apart, met by a task that did not ask for it. */
export const HOST_IS_DEDICATED = 'Host is dedicated'
/** A task that asked for a dedicated host, met by a host of nobody or of another owner. */
export const DEDICATED_NOT_SATISFIED = `Constraint not satisfied: ${DEDICATED}`

/**
 * What is wrong with the dedicated constraints of a job of `role`; null when nothing is. Every constraint of that name
 * is looked at, the first fault wins. `role/purpose` is for that role alone; `*` before the slash is for any role.
 */
export function dedicatedFault(role: string, constraints: readonly Constraint[]): string | null {
  for (const constraint of constraints) {
    if (constraint.name !== DEDICATED) continue
    if (constraint.rule.type !== 'value') return 'A dedicated constraint must be of value type.'
    const [value, ...others] = new Set(constraint.rule.values)
    if (value === undefined || others.length > 0) return 'A dedicated constraint must have exactly one value'
    if (constraint.rule.negated) return 'A dedicated constraint may not be negated.'
    const owner = ownerOf(value)
    if (owner !== '*' && owner !== role) return `Only ${owner} may use hosts dedicated for that role.`
  }
  return null
}

/** The part before the first slash: a role, or `*`. */
function ownerOf(value: string): string {
  const slash = value.indexOf('/')
  return slash === -1 ? value : value.slice(0, slash)
}

/**
 * Whether a task may be placed on a host, as far as this rule goes: null, or the veto's text.
 *
 * Shape: `hostValues` are all values of the host's attribute; an attribute without values still closes the host, and
 * undefined means that the host has no such attribute. Values are compared whole: `*` is not expanded here.
 */
export function dedicatedVeto(
  hostValues: readonly string[] | undefined,
  constraints: readonly Constraint[],
): string | null {
  let asked = false
  for (const { name, rule } of constraints) {
    if (name !== DEDICATED) continue
    asked = true
    // Admission lets only one plain value through; anything else in the store must not open a host.
    if (rule.type !== 'value' || rule.negated) return DEDICATED_NOT_SATISFIED
    if (hostValues === undefined || !rule.values.some(value => hostValues.includes(value))) {
      return DEDICATED_NOT_SATISFIED
    }
  }
  return hostValues !== undefined && !asked ? HOST_IS_DEDICATED : null
}

/** The values of the attribute, repeated names merged, sorted; undefined when the host has no such attribute. */
export function dedicatedValues(
  attributes: readonly { readonly name: string; readonly values: readonly string[] }[],
): readonly string[] | undefined {
  const found = attributes.filter(attribute => attribute.name === DEDICATED)
  if (found.length === 0) return undefined
  return [...new Set(found.flatMap(attribute => attribute.values))].sort(compareIds)
}
