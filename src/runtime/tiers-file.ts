/** The tiers of the cluster: those of `scheduler.tiersFile`, read when a node starts, or the three that Aurora ships. */
import { readTiers, SHIPPED_TIERS, type Tiers } from '../core/job/tiers.ts'
import { readPlacedYaml } from './placed-yaml.ts'

export type ReadTiersFile =
  | { readonly ok: true; readonly tiers: Tiers }
  /** Each with the file and, where there is one, the line. */
  | { readonly ok: false; readonly faults: readonly string[] }

/** YAML, and so Aurora's JSON too. `path` null: the shipped tiers. */
export function readTiersFile(path: string | null): ReadTiersFile {
  if (path === null) return { ok: true, tiers: SHIPPED_TIERS }
  const file = readPlacedYaml(path)
  if (!file.ok) return file
  const read = readTiers(file.value)
  if (read.ok) return read
  return { ok: false, faults: read.faults.map(fault => file.fault(fault.path, fault.text)) }
}
