/** A YAML file as plain values that know their lines: what every file of the operator beside the config is read with. */
import { readFileSync } from 'node:fs'
import { isMap, isNode, isScalar, isSeq, LineCounter, parseDocument } from 'yaml'
import { yamlValues } from '../wire/yaml-values.ts'

type Path = readonly (string | number)[]

export type PlacedYaml =
  /** `fault`: a sentence about what stands at `keys`, with `FILE:LINE: KEYS: ` before it. */
  | { readonly ok: true; readonly value: unknown; readonly fault: (keys: Path, text: string) => string }
  /** Each with the file and, where there is one, the line. */
  | { readonly ok: false; readonly faults: readonly string[] }

export function readPlacedYaml(path: string): PlacedYaml {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    return { ok: false, faults: [`cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`] }
  }
  return placedYaml(text, path)
}

/** The same for a text at hand. */
export function placedYaml(text: string, path: string): PlacedYaml {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const at = (offset: number | undefined): string =>
    offset === undefined ? path : `${path}:${lines.linePos(offset).line}`
  if (document.errors.length > 0) {
    return { ok: false, faults: document.errors.map(error => `${at(error.pos[0])}: not valid YAML: ${error.message}`) }
  }
  const values = yamlValues(document)
  if (!values.ok) return { ok: false, faults: values.faults.map(fault => `${at(fault.offset)}: ${fault.text}`) }
  const fault = (keys: Path, said: string): string => {
    const place = at(offsetOf(document.contents, keys))
    return keys.length === 0 ? `${place}: ${said}` : `${place}: ${keys.join('.')}: ${said}`
  }
  return { ok: true, value: values.value, fault }
}

/** Where the key stands; of one that is not there, its nearest parent. */
function offsetOf(root: unknown, keys: Path): number | undefined {
  let node = root
  let offset = isNode(root) ? root.range?.[0] : undefined
  for (const key of keys) {
    if (isSeq(node)) {
      node = node.items[Number(key)]
      if (isNode(node)) offset = node.range?.[0] ?? offset
      continue
    }
    if (!isMap(node)) break
    const pair = node.items.find(item => isScalar(item.key) && String(item.key.value) === String(key))
    if (pair === undefined) break
    if (isNode(pair.key)) offset = pair.key.range?.[0] ?? offset
    node = pair.value
  }
  return offset
}
