/**
 * The one text of a task configuration: equal configurations have equal texts whatever the order of their keys, so the
 * hash of the text names the configuration. Apply it to what admission has normalised.
 */
import { type ConfigId, compareIds, configId } from '../base/ids.ts'
import type { TaskConfig } from './task-config.ts'

/** `sha256` gives hex. */
export function configIdOf(config: TaskConfig, sha256: (text: string) => string): ConfigId {
  return configId(sha256(canonicalText(config)))
}

/** JSON with sorted keys and without what is undefined. */
export function canonicalText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalText).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  const fields = Object.entries(value)
    .filter(([, field]) => field !== undefined)
    .sort(([a], [b]) => compareIds(a, b))
    .map(([key, field]) => `${JSON.stringify(key)}:${canonicalText(field)}`)
  return `{${fields.join(',')}}`
}
