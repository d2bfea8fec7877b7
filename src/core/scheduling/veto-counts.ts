/**
 * How often hosts refused tasks, by what they objected to. Counted when a group is left over and every connected host is
 * asked why: a host counts once, however many types of resources it lacks. Names are Aurora's; `reserved` and `gang` are
 * objections that it does not have. Its third kind beside static and dynamic, mixed, cannot be: the first class of
 * vetoes that objects ends the matter.
 */
import type { Veto } from './veto.ts'

const NAMES: Readonly<Record<Veto['kind'], string>> = {
  dedicated: 'dedicated_constraint_mismatch',
  maintenance: 'maintenance',
  constraint: 'constraint_mismatch',
  limit: 'limit_not_satisfied',
  resources: 'insufficient_resources',
  reserved: 'reserved',
  gang: 'gang',
}

export class VetoCounts {
  #hosts = new Map<string, number>()

  /** So many hosts object with the same vetoes, all of one class. */
  note(vetoes: readonly Veto[], hosts: number): void {
    const [first] = vetoes
    if (first === undefined) return
    this.#add(first.isStatic ? 'static' : 'dynamic', hosts)
    this.#add(NAMES[first.kind], hosts)
  }

  /** Hosts by the name of the number, since this was last asked. */
  take(): ReadonlyMap<string, number> {
    const taken = this.#hosts
    if (taken.size > 0) this.#hosts = new Map()
    return taken
  }

  #add(name: string, hosts: number): void {
    const full = `scheduling_veto_${name}`
    this.#hosts.set(full, (this.#hosts.get(full) ?? 0) + hosts)
  }
}
