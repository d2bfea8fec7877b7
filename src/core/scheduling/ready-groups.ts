/**
 * Groups whose time has come, in the order in which they have their turns: the highest priority first; within one
 * priority the roles in turn, those that have waited longest first; within a role its groups in the same way. Every step
 * costs by the logarithm of what is ready, so a hundred thousand groups are no more work a turn than a hundred.
 */
import { MinHeap } from '../base/min-heap.ts'

export interface Ready {
  readonly priority: number
  readonly job: { readonly role: string }
  /** Rises with every turn; fixed while the group is in here. */
  readonly lastServed: number
}

export class ReadyGroups<G extends Ready> {
  /** By priority, then by role. */
  readonly #bands = new Map<number, Map<string, MinHeap<G>>>()
  #size = 0

  get size(): number {
    return this.#size
  }

  add(group: G): void {
    const roles = this.#bands.get(group.priority) ?? new Map<string, MinHeap<G>>()
    this.#bands.set(group.priority, roles)
    const groups = roles.get(group.job.role) ?? new MinHeap<G>(({ lastServed }) => lastServed)
    roles.set(group.job.role, groups)
    groups.push(group)
    this.#size++
  }

  /**
   * Turns, one group at a time, out of here: `serve` answers false when nothing more is to be served. What it wants to
   * have another turn, it adds again; that comes after the others of its role.
   */
  serve(serve: (group: G) => boolean): void {
    for (const priority of [...this.#bands.keys()].sort((a, b) => b - a)) {
      const roles = this.#bands.get(priority)!
      while (roles.size > 0) {
        const inTurn = [...roles].sort(([, a], [, b]) => a.peek()!.lastServed - b.peek()!.lastServed)
        for (const [role, groups] of inTurn) {
          const group = groups.pop()
          if (group === undefined) continue
          this.#size--
          const goesOn = serve(group)
          if (groups.size === 0) roles.delete(role)
          if (!goesOn) {
            if (roles.size === 0) this.#bands.delete(priority)
            return
          }
        }
      }
      this.#bands.delete(priority)
    }
  }
}
