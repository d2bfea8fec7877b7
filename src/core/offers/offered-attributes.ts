/**
 * Attributes of an agent as a resource manager tells them, as our rows keep them: texts as they are, a number as the text
 * of a double, and what has no single values (ranges) is left out, for a limit on it would hold for everybody (D22).
 * Repeated names become one attribute with all values. Only `dedicated` stays even without a value: whoever set it meant
 * to close the host.
 */
import { compareIds } from '../base/ids.ts'
import type { AgentRow } from '../ledger/rows.ts'
import { DEDICATED } from '../scheduling/dedicated.ts'

export type OfferedAttribute =
  | { readonly name: string; readonly type: 'text'; readonly value: string }
  | { readonly name: string; readonly type: 'scalar'; readonly value: number }
  | { readonly name: string; readonly type: 'ranges' }

export function offeredAttributes(attributes: readonly OfferedAttribute[]): AgentRow['attributes'] {
  const values = new Map<string, Set<string>>()
  for (const attribute of attributes) {
    const known = values.get(attribute.name) ?? new Set<string>()
    if (attribute.type === 'text') known.add(attribute.value)
    else if (attribute.type === 'scalar') known.add(doubleText(attribute.value))
    else if (attribute.name !== DEDICATED) continue
    values.set(attribute.name, known)
  }
  return [...values]
    .sort(([a], [b]) => compareIds(a, b))
    .map(([name, of]) => ({ name, values: [...of].sort(compareIds) }))
}

/** `1` is written `1.0`. */
function doubleText(value: number): string {
  return Number.isInteger(value) ? value.toFixed(1) : String(value)
}
