/**
 * A map whose keys come in order, by their code units, from any key on. Keys lie in chunks of at most `CHUNK_MAX`; a
 * change moves what lies behind it in one chunk, so a million keys cost one key twenty comparisons and a short copy. Keys
 * that come in order, as they do when stored rows are loaded, only go to the end.
 *
 * Rejected: sorting when asked, which costs everything after every change; a balanced tree, which takes several times the
 * memory and is slower to walk.
 */
import { compareIds } from './ids.ts'

const CHUNK_MAX = 512

interface Chunk<V> {
  /** Ascending, never empty; `values` beside them. */
  readonly keys: string[]
  readonly values: V[]
}

export class SortedMap<V> {
  #chunks: Chunk<V>[] = []
  #size = 0

  get size(): number {
    return this.#size
  }

  get(key: string): V | undefined {
    const chunk = this.#chunks[this.#chunkOf(key)]
    const at = chunk === undefined ? 0 : firstFrom(chunk.keys, key)
    return chunk?.keys[at] === key ? chunk.values[at] : undefined
  }

  set(key: string, value: V): void {
    const last = this.#chunks[this.#chunks.length - 1]
    if (last === undefined || compareIds(key, last.keys[last.keys.length - 1]!) > 0) return this.#append(key, value)
    const index = this.#chunkOf(key)
    const chunk = this.#chunks[index]!
    const at = firstFrom(chunk.keys, key)
    if (chunk.keys[at] === key) {
      chunk.values[at] = value
      return
    }
    chunk.keys.splice(at, 0, key)
    chunk.values.splice(at, 0, value)
    this.#size++
    if (chunk.keys.length <= CHUNK_MAX) return
    const half = chunk.keys.length >> 1
    this.#chunks.splice(index + 1, 0, { keys: chunk.keys.splice(half), values: chunk.values.splice(half) })
  }

  delete(key: string): boolean {
    const index = this.#chunkOf(key)
    const chunk = this.#chunks[index]
    const at = chunk === undefined ? 0 : firstFrom(chunk.keys, key)
    if (chunk?.keys[at] !== key) return false
    this.#size--
    chunk.keys.splice(at, 1)
    chunk.values.splice(at, 1)
    if (chunk.keys.length === 0) this.#chunks.splice(index, 1)
    else this.#join(index)
    return true
  }

  clear(): void {
    this.#chunks = []
    this.#size = 0
  }

  /** In order, from the first key that is not before `key` on; all of them without. Change nothing while reading. */
  *from(key = ''): Generator<readonly [string, V]> {
    let at = -1
    for (let index = this.#chunkOf(key); index < this.#chunks.length; index++) {
      const { keys, values } = this.#chunks[index]!
      for (at = at < 0 ? firstFrom(keys, key) : 0; at < keys.length; at++) yield [keys[at]!, values[at]!]
    }
  }

  /** The values in order. */
  values(): V[] {
    return this.#chunks.flatMap(({ values }) => values)
  }

  #append(key: string, value: V): void {
    this.#size++
    const last = this.#chunks[this.#chunks.length - 1]
    if (last !== undefined && last.keys.length < CHUNK_MAX) {
      last.keys.push(key)
      last.values.push(value)
    } else this.#chunks.push({ keys: [key], values: [value] })
  }

  /** Chunks that have become small go together, so that there are never many more than are needed. */
  #join(index: number): void {
    const chunk = this.#chunks[index]!
    const next = this.#chunks[index + 1]
    if (next === undefined || chunk.keys.length + next.keys.length > CHUNK_MAX >> 1) return
    chunk.keys.push(...next.keys)
    chunk.values.push(...next.values)
    this.#chunks.splice(index + 1, 1)
  }

  /** Index of the first chunk that ends with this key or behind it: where the key is, or belongs. */
  #chunkOf(key: string): number {
    let low = 0
    let high = this.#chunks.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const { keys } = this.#chunks[middle]!
      if (compareIds(keys[keys.length - 1]!, key) < 0) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** Index of the first of `keys` that is not before `key`. */
function firstFrom(keys: readonly string[], key: string): number {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compareIds(keys[middle]!, key) < 0) low = middle + 1
    else high = middle
  }
  return low
}
