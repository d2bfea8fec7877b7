/**
 * Sets by name, in the order in which their members came. Most are small (the tasks of a host), and to make and to search
 * a list of a dozen costs less time and memory than a Set does; larger ones become one. No empty set is kept.
 */
const LIST_MAX = 16

export class NamedSets<T> {
  readonly #byName = new Map<string, T[] | Set<T>>()

  get(name: string): Iterable<T> | undefined {
    return this.#byName.get(name)
  }

  add(name: string, member: T): void {
    const members = this.#byName.get(name)
    if (members === undefined) this.#byName.set(name, [member])
    else if (!Array.isArray(members)) members.add(member)
    else if (members.includes(member)) return
    else if (members.length < LIST_MAX) members.push(member)
    else this.#byName.set(name, new Set(members).add(member))
  }

  delete(name: string, member: T): void {
    const members = this.#byName.get(name)
    if (members === undefined) return
    if (Array.isArray(members)) {
      const at = members.indexOf(member)
      if (at !== -1) members.splice(at, 1)
    } else {
      members.delete(member)
    }
    if ((Array.isArray(members) ? members.length : members.size) === 0) this.#byName.delete(name)
  }

  clear(): void {
    this.#byName.clear()
  }
}
