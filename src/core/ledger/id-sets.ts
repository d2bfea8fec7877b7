/**
 * Sets of ids by name, in the order in which their members came. Most are small (the tasks of a host), and to make and
 * to search a list of a dozen costs less time and memory than a Set does; larger ones become one. No empty set is kept.
 */
const LIST_MAX = 16

export class IdSets {
  readonly #byName = new Map<string, string[] | Set<string>>()

  get(name: string): Iterable<string> | undefined {
    return this.#byName.get(name)
  }

  add(name: string, id: string): void {
    const ids = this.#byName.get(name)
    if (ids === undefined) this.#byName.set(name, [id])
    else if (!Array.isArray(ids)) ids.add(id)
    else if (ids.includes(id)) return
    else if (ids.length < LIST_MAX) ids.push(id)
    else this.#byName.set(name, new Set(ids).add(id))
  }

  delete(name: string, id: string): void {
    const ids = this.#byName.get(name)
    if (ids === undefined) return
    if (Array.isArray(ids)) {
      const at = ids.indexOf(id)
      if (at !== -1) ids.splice(at, 1)
    } else {
      ids.delete(id)
    }
    if ((Array.isArray(ids) ? ids.length : ids.size) === 0) this.#byName.delete(name)
  }

  clear(): void {
    this.#byName.clear()
  }
}
