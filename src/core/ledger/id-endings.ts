/**
 * Finds ids by how they end: they lie in buckets by a digest of their last letters. Ids of tasks end with random digits,
 * so a million of them are about fifteen a bucket, and cost as many bytes each.
 */
export const ENDING_LETTERS_MIN = 6

const BUCKETS = 65_536

export class IdEndings<Id extends string> {
  #buckets: (Id[] | undefined)[] = []

  /** Not there yet. */
  add(id: Id): void {
    const at = bucketOf(id)
    const bucket = this.#buckets[at]
    if (bucket === undefined) this.#buckets[at] = [id]
    else bucket.push(id)
  }

  delete(id: Id): void {
    const bucket = this.#buckets[bucketOf(id)]
    const at = bucket?.lastIndexOf(id) ?? -1
    if (bucket === undefined || at < 0) return
    const last = bucket.pop()!
    if (at < bucket.length) bucket[at] = last
  }

  clear(): void {
    this.#buckets = []
  }

  /** In any order. Shape: `text` has at least `ENDING_LETTERS_MIN` letters. */
  endingWith(text: string): Id[] {
    return (this.#buckets[bucketOf(text)] ?? []).filter(id => id.endsWith(text))
  }
}

/** FNV-1a of the last letters. */
function bucketOf(text: string): number {
  let hash = 0x811c9dc5
  for (let at = Math.max(0, text.length - ENDING_LETTERS_MIN); at < text.length; at++)
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return (hash ^ (hash >>> 16)) & (BUCKETS - 1)
}
