/**
 * The ports of one host. Ranges and the few ports in use are kept, not 65,535 bits: ten thousand hosts fit in little
 * memory. Those in use are a list: to search a few hundred numbers takes less than to fetch the parts of a map. Free ports are given out from a random start, so that a port is seldom reused right after its task has ended.
 * Source: the scheduling spec, section 2 and item D20.
 */
import { assert } from '../base/assert.ts'
import type { Prng } from '../base/prng.ts'

/** Closed ranges, ascending, not touching. */
export type PortRanges = readonly (readonly [number, number])[]

export function areSameRanges(a: PortRanges, b: PortRanges): boolean {
  return a === b || (a.length === b.length && a.every(([begin, end], n) => begin === b[n]![0] && end === b[n]![1]))
}

/** Ranges as an agent may have written them: those that overlap or touch become one, those without a port go. */
export function portRangesOf(given: PortRanges): PortRanges {
  const ranges: [number, number][] = []
  for (const [begin, end] of given.filter(([from, to]) => from <= to).toSorted((a, b) => a[0] - b[0])) {
    const last = ranges.at(-1)
    if (last !== undefined && begin <= last[1] + 1) last[1] = Math.max(last[1], end)
    else ranges.push([begin, end])
  }
  return ranges
}

export class PortSpace {
  #ranges: PortRanges = []
  #total = 0
  #usedInRanges = 0
  /**
   * In no order, as often as somebody holds it: twice only when the store says so, such as after an agent's ranges were
   * changed by hand. Made when the first comes: most hosts of a large cluster have none.
   */
  #used: number[] | null = null

  constructor(ranges: PortRanges) {
    this.setRanges(ranges)
  }

  /** Ports in use stay so, even outside the new ranges. */
  setRanges(ranges: PortRanges): void {
    this.#ranges = ranges
    this.#total = ranges.reduce((sum, [begin, end]) => sum + end - begin + 1, 0)
    this.#usedInRanges = 0
    for (const port of new Set(this.#used)) if (this.#isInRanges(port)) this.#usedInRanges++
  }

  get total(): number {
    return this.#total
  }

  get free(): number {
    return this.#total - this.#usedInRanges
  }

  /** What is free, as ranges: closed, ascending, not touching. */
  freeRanges(): PortRanges {
    const used = [...new Set(this.#used)].filter(port => this.#isInRanges(port)).sort((a, b) => a - b)
    const free: [number, number][] = []
    let at = 0
    for (const [begin, end] of this.#ranges) {
      let from = begin
      for (let port = used[at]; port !== undefined && port <= end; port = used[++at]) {
        if (port > from) free.push([from, port - 1])
        from = port + 1
      }
      if (from <= end) free.push([from, end])
    }
    return free
  }

  isUsed(port: number): boolean {
    return this.#used?.includes(port) ?? false
  }

  use(ports: Iterable<number>): void {
    for (const port of ports) {
      if (!this.isUsed(port) && this.#isInRanges(port)) this.#usedInRanges++
      if (this.#used === null) this.#used = [port]
      else this.#used.push(port)
    }
  }

  release(ports: Iterable<number>): void {
    for (const port of ports) {
      const used = this.#used
      const at = used?.indexOf(port) ?? -1
      assert(used !== null && at !== -1, 'only a port in use is released', { port })
      used[at] = used[used.length - 1]!
      used.pop()
      if (!used.includes(port) && this.#isInRanges(port)) this.#usedInRanges--
    }
  }

  /** `count` different free ports; the caller has seen that there are so many. They are not marked as used. */
  choose(count: number, random: Prng): readonly number[] {
    assert(count <= this.free, 'as many ports are free as are asked for', { count, free: this.free })
    const chosen: number[] = []
    if (count === 0) return chosen
    let [range, port] = this.#nth(random.int(0, this.#total))
    while (chosen.length < count) {
      if (!this.isUsed(port)) chosen.push(port)
      port++
      if (port > this.#ranges[range]![1]) {
        range = (range + 1) % this.#ranges.length
        port = this.#ranges[range]![0]
      }
    }
    return chosen
  }

  #nth(n: number): [range: number, port: number] {
    let left = n
    for (let range = 0; range < this.#ranges.length; range++) {
      const [begin, end] = this.#ranges[range]!
      if (left <= end - begin) return [range, begin + left]
      left -= end - begin + 1
    }
    assert(false, 'the port is within the ranges', { n, total: this.#total })
  }

  #isInRanges(port: number): boolean {
    const ranges = this.#ranges
    for (let i = 0; i < ranges.length; i++) if (port >= ranges[i]![0] && port <= ranges[i]![1]) return true
    return false
  }
}
