/**
 * Finds names by any part of them. Each name is cut into all runs of three letters that it has, its ends marked, and for
 * each run there is a list of the entries with it: those that a question can mean are among the entries of the rarest
 * runs of its words, and only they are looked at. Where even the rarest is common, what is asked for is common too, or
 * nearly so: then all entries are walked in their order, and the walk ends when enough are found.
 *
 * Answers are those of a search through everything: the very name first, then what begins so, then what has every word in
 * it; each in the order of the entries. Names are compared in lower case.
 *
 * Entries that have left stay in the lists until there are more of them than of the others; then all lists are made anew.
 */
import { SortedMap } from '../base/sorted-map.ts'

/** So many of a list are looked at and sorted; a longer one is not worth it. */
const CANDIDATES_MAX = 2_000
/** So few are looked at without asking whether they have other runs, and no more than that many others are asked for. */
const FEW = 8
const OTHERS_MAX = 4
const RUN = 3
/** Stands before and behind a name in its runs; no name has it. */
const END = '\n'
/** So many that have left are never worth new lists. */
const GONE_MIN = 1_000

interface Entry<T> {
  /** Its place in the order. */
  readonly key: string
  readonly value: T
  /** In lower case. */
  readonly names: readonly string[]
}

export interface Ranked<T> {
  /** 0 the very name, 1 its beginning, 2 some part of it. */
  readonly rank: 0 | 1 | 2
  readonly value: T
}

export class NameIndex<T> {
  readonly #inOrder = new SortedMap<number>()
  /** By number; undefined where one has left. */
  #entries: (Entry<T> | undefined)[] = []
  #runs = new Map<string, number[]>()

  /** `key`: unique, and the place in the order. `names`: each may be found; one already there under the key is replaced. */
  set(key: string, names: readonly string[], value: T): void {
    this.delete(key)
    this.#inOrder.set(key, this.#entries.length)
    this.#add({ key, value, names: [...new Set(names.map(name => name.toLowerCase()))] })
  }

  delete(key: string): void {
    const number = this.#inOrder.get(key)
    if (number === undefined) return
    this.#inOrder.delete(key)
    this.#entries[number] = undefined
    if (this.#entries.length > 2 * this.#inOrder.size + GONE_MIN) this.#renew()
  }

  clear(): void {
    this.#inOrder.clear()
    this.#entries = []
    this.#runs = new Map()
  }

  /** The best `limit`, best first. Shape: words in lower case, without blanks, at least one. */
  find(words: readonly string[], limit: number): Ranked<T>[] {
    const whole = words.join(' ')
    const found: Ranked<T>[] = []
    // What is of a rank has all of these in its names.
    const parts = [[`${END}${whole}${END}`], [`${END}${whole}`], words] as const
    for (const rank of [0, 1, 2] as const) {
      if (found.length >= limit) break
      for (const { value } of this.#ofRank(rank, parts[rank], { words, whole, limit: limit - found.length }))
        found.push({ rank, value })
    }
    return found
  }

  #ofRank(
    rank: number,
    parts: readonly string[],
    { words, whole, limit }: { readonly words: readonly string[]; readonly whole: string; readonly limit: number },
  ): readonly Entry<T>[] {
    const found: Entry<T>[] = []
    const candidates = this.#candidates(parts)
    if (candidates !== null) {
      for (const number of candidates) {
        const entry = this.#entries[number]
        if (entry !== undefined && rankOf(entry.names, words, whole) === rank) found.push(entry)
      }
      return found.sort((a, b) => (a.key < b.key ? -1 : 1)).slice(0, limit)
    }
    for (const [, number] of this.#inOrder.from()) {
      const entry = this.#entries[number]!
      if (rankOf(entry.names, words, whole) !== rank) continue
      if (found.push(entry) === limit) break
    }
    return found
  }

  /** Those among whom is whoever has all of the parts; null where that would be too many. */
  #candidates(parts: readonly string[]): Iterable<number> | null {
    const lists: (readonly number[])[] = []
    for (const part of parts) {
      for (let at = 0; at + RUN <= part.length; at++) {
        const list = this.#runs.get(part.slice(at, at + RUN))
        if (list === undefined) return []
        lists.push(list)
      }
    }
    if (lists.length > 0) return inAll(lists)
    // Shorter than a run: whoever has it has it in one of the runs around it.
    const all = new Set<number>()
    for (const [run, list] of this.#runs) {
      if (!run.includes(parts[0]!)) continue
      for (const number of list) all.add(number)
      if (all.size > CANDIDATES_MAX) return null
    }
    return all
  }

  #add(entry: Entry<T>): void {
    const number = this.#entries.push(entry) - 1
    for (const name of entry.names) {
      const text = `${END}${name}${END}`
      for (let at = 0; at + RUN <= text.length; at++) {
        const run = text.slice(at, at + RUN)
        const list = this.#runs.get(run)
        if (list === undefined) this.#runs.set(run, [number])
        else if (list[list.length - 1] !== number) list.push(number)
      }
    }
  }

  #renew(): void {
    const entries = this.#entries
    this.clear()
    for (const entry of entries) {
      if (entry === undefined) continue
      this.#inOrder.set(entry.key, this.#entries.length)
      this.#add(entry)
    }
  }
}

/**
 * What is in the shortest of the ascending lists and in the next ones, too: an entry is looked at only when it has several
 * of the runs, for there are far more entries than fit into the caches of a processor. Null: the shortest is too long.
 */
function inAll(lists: (readonly number[])[]): readonly number[] | null {
  const [rarest, ...others] = lists.sort((a, b) => a.length - b.length) as [readonly number[], ...typeof lists]
  if (rarest.length > CANDIDATES_MAX) return null
  let left = rarest
  for (const list of others.slice(0, OTHERS_MAX)) {
    if (left.length <= FEW) break
    left = left.filter(number => isIn(list, number))
  }
  return left
}

function isIn(ascending: readonly number[], number: number): boolean {
  let low = 0
  let high = ascending.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (ascending[middle]! < number) low = middle + 1
    else high = middle
  }
  return ascending[low] === number
}

/** Of an entry by its names in lower case; null: not what was asked for. */
function rankOf(names: readonly string[], words: readonly string[], whole: string): 0 | 1 | 2 | null {
  if (names.includes(whole)) return 0
  if (names.some(name => name.startsWith(whole))) return 1
  return words.every(word => names.some(name => name.includes(word))) ? 2 : null
}
