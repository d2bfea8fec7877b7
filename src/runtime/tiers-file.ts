/** The tiers of the cluster: those of `scheduler.tiersFile`, read when a node starts, or the three that Aurora ships. */
import { readFileSync } from 'node:fs'
import { isMap, isNode, isScalar, LineCounter, parseDocument } from 'yaml'
import { readTiers, SHIPPED_TIERS, type Tiers } from '../core/job/tiers.ts'
import { yamlValues } from '../wire/yaml-values.ts'

export type ReadTiersFile =
  | { readonly ok: true; readonly tiers: Tiers }
  /** Each with the file and, where there is one, the line. */
  | { readonly ok: false; readonly faults: readonly string[] }

/** YAML, and so Aurora's JSON too. `path` null: the shipped tiers. */
export function readTiersFile(path: string | null): ReadTiersFile {
  if (path === null) return { ok: true, tiers: SHIPPED_TIERS }
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    return { ok: false, faults: [`cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`] }
  }
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const at = (offset: number | undefined): string =>
    offset === undefined ? path : `${path}:${lines.linePos(offset).line}`
  if (document.errors.length > 0) {
    return { ok: false, faults: document.errors.map(error => `${at(error.pos[0])}: not valid YAML: ${error.message}`) }
  }
  const values = yamlValues(document)
  if (!values.ok) return { ok: false, faults: values.faults.map(fault => `${at(fault.offset)}: ${fault.text}`) }
  const read = readTiers(values.value)
  if (read.ok) return read
  const faults = read.faults.map(({ path: keys, text: fault }) => {
    const place = at(offsetOf(document.contents, keys))
    return keys.length === 0 ? `${place}: ${fault}` : `${place}: ${keys.join('.')}: ${fault}`
  })
  return { ok: false, faults }
}

/** Where the key stands; of one that is not there, its nearest parent. */
function offsetOf(root: unknown, keys: readonly string[]): number | undefined {
  let node = root
  let offset = isNode(root) ? root.range?.[0] : undefined
  for (const key of keys) {
    if (!isMap(node)) break
    const pair = node.items.find(item => isScalar(item.key) && String(item.key.value) === key)
    if (pair === undefined) break
    if (isNode(pair.key)) offset = pair.key.range?.[0] ?? offset
    node = pair.value
  }
  return offset
}
