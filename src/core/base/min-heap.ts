/** A binary heap: the least key first, equal keys as they came. A key is asked once, when its item is put in. */
export class MinHeap<T> {
  readonly #keyOf: (item: T) => number
  readonly #entries: { readonly item: T; readonly key: number; readonly order: number }[] = []
  #orders = 0

  constructor(keyOf: (item: T) => number) {
    this.#keyOf = keyOf
  }

  get size(): number {
    return this.#entries.length
  }

  peek(): T | undefined {
    return this.#entries[0]?.item
  }

  push(item: T): void {
    const entries = this.#entries
    const entry = { item, key: this.#keyOf(item), order: this.#orders++ }
    let at = entries.push(entry) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(entry, entries[parent]!)) break
      entries[at] = entries[parent]!
      at = parent
    }
    entries[at] = entry
  }

  pop(): T | undefined {
    const entries = this.#entries
    const [top] = entries
    const last = entries.pop()
    if (top === undefined || last === undefined || entries.length === 0) return top?.item
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= entries.length) break
      if (child + 1 < entries.length && isBefore(entries[child + 1]!, entries[child]!)) child++
      if (!isBefore(entries[child]!, last)) break
      entries[at] = entries[child]!
      at = child
    }
    entries[at] = last
    return top.item
  }
}

function isBefore(
  a: { readonly key: number; readonly order: number },
  b: { readonly key: number; readonly order: number },
): boolean {
  return a.key !== b.key ? a.key < b.key : a.order < b.order
}
