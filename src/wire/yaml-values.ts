/**
 * The plain values of a YAML document. Reading the text finds most faults, but not all: what an alias stands for is only
 * looked up when values are made, and the library throws then. Here both kinds are faults with a place.
 */
import { type Document, visit } from 'yaml'

export type YamlValues =
  | { readonly ok: true; readonly value: unknown }
  /** `offset` into the text; undefined where no single place is at fault. */
  | { readonly ok: false; readonly faults: readonly { readonly offset: number | undefined; readonly text: string }[] }

/** Of a document whose text had no faults. */
export function yamlValues(document: Document): YamlValues {
  const faults: { offset: number | undefined; text: string }[] = []
  visit(document, {
    Alias(_, alias) {
      if (alias.resolve(document) !== undefined) return
      const { source } = alias
      const text = `no earlier place in the file is named &${source}: to write a text that begins with *, put it in quotes ("*${source}")`
      faults.push({ offset: alias.range?.[0], text })
    },
  })
  if (faults.length > 0) return { ok: false, faults }
  try {
    return { ok: true, value: document.toJS({ maxAliasCount: ALIASES_MAX }) as unknown }
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    return { ok: false, faults: [{ offset: undefined, text: `${why}: write the values out instead of using aliases` }] }
  }
}

/** More, one inside another, would make a small file large. */
const ALIASES_MAX = 100
