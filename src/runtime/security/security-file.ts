/** `security.file`: who may do what, read when a node starts. See docs/operating/security.md. */
import { type Policy, readPolicy } from '../../core/security/policy.ts'
import { type PlacedYaml, placedYaml, readPlacedYaml } from '../placed-yaml.ts'
import { PERMITTED_CALLS } from './permitted-calls.ts'

export type ReadSecurityFile =
  | { readonly ok: true; readonly policy: Policy }
  /** Each with the file and, where there is one, the line. */
  | { readonly ok: false; readonly faults: readonly string[] }

export const readSecurityFile = (path: string): ReadSecurityFile => policyOf(readPlacedYaml(path))
/** The same for a text at hand. */
export const readSecurityText = (text: string, path: string): ReadSecurityFile => policyOf(placedYaml(text, path))

function policyOf(file: PlacedYaml): ReadSecurityFile {
  if (!file.ok) return file
  const read = readPolicy(file.value, PERMITTED_CALLS)
  if (read.ok) return read
  return { ok: false, faults: read.faults.map(fault => file.fault(fault.path, fault.text)) }
}
