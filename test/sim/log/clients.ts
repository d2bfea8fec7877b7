/**
 * Clients of the cluster, each with one call outstanding. They talk to whom they think leads, turn to another when that
 * fails, and keep the history of every object for the checker. What a client was refused did not happen; what it got no
 * answer to may have happened at any later time.
 */
import type { Prng } from '../../../src/core/base/prng.ts'
import type { EventQueue } from './event-queue.ts'
import type { LeaderStates } from './leader-state.ts'
import { type Call, check, type ObjectKind, type Operation } from './linearizability.ts'
import type { SimNode } from './node.ts'
import type { Plan } from './plan.ts'
import { holds } from './violation.ts'

const KINDS: readonly ObjectKind[] = ['register', 'set', 'list']
/** An object is left after so many calls, so that its history can be checked. */
const CALLS_MAX = 50
const SLOTS = 2
const ANSWER_MS_MAX = 5_000
/** Longest stand-still between evaluating a read and looking at the clock, in leases. */
const STALL_LEASES_MAX = 3

export class Clients {
  readonly histories = new Map<string, { readonly kind: ObjectKind; readonly operations: Operation[] }>()
  readonly counts = { ok: 0, refused: 0, unknown: 0, reads: 0, undecided: 0 }
  isStopped = false
  readonly #plan: Plan
  readonly #queue: EventQueue
  readonly #random: Prng
  readonly #nodes: readonly SimNode<LeaderStates>[]
  readonly #generations = new Map<string, { generation: number; calls: number }>()
  #order = 0
  #values = 0

  constructor(plan: Plan, queue: EventQueue, random: Prng, nodes: readonly SimNode<LeaderStates>[]) {
    this.#plan = plan
    this.#queue = queue
    this.#random = random
    this.#nodes = nodes
    for (let client = 0; client < plan.clients; client++) this.#think(this.#anyNode())
  }

  /** Every history must be explained by objects that do one thing at a time. */
  checkAll(): void {
    for (const [key, { kind, operations }] of this.histories) {
      const verdict = check(kind, operations)
      if (verdict === 'undecided') this.counts.undecided++
      holds(
        verdict !== 'notLinearizable',
        'histories of clients are linearizable',
        () => `${key}: ${shown(operations)}`,
      )
    }
    this.histories.clear()
  }

  #think(node: SimNode<LeaderStates>): void {
    if (this.isStopped) return
    this.#queue.after(this.#random.next() * 2 * this.#plan.thinkMs, () => this.#call(node))
  }

  #call(node: SimNode<LeaderStates>): void {
    if (this.isStopped) return
    const random = this.#random
    const kind = KINDS[random.int(0, KINDS.length)]!
    const key = this.#pick(kind)
    const isRead = random.next() < this.#plan.reads
    const call: Call = isRead ? { type: 'read', seen: null } : { type: 'write', value: ++this.#values }
    const operation: Operation = { call, began: ++this.#order, ended: Number.POSITIVE_INFINITY }
    const { operations } = this.histories.get(key)!
    operations.push(operation)
    let isOpen = true
    const end = (how: 'ok' | 'unknown' | 'refused', seen: readonly number[] | null = null): void => {
      if (!isOpen) return
      isOpen = false
      cancelLimit()
      this.counts[how]++
      if (how === 'ok') {
        if (isRead) this.counts.reads++
        Object.assign(operation, { call: isRead ? { type: 'read', seen } : call, ended: ++this.#order })
      } else if (how === 'refused' || isRead) operations.splice(operations.indexOf(operation), 1)
      this.#think(how === 'ok' ? node : this.#anyNode())
    }
    const cancelLimit = this.#queue.after(ANSWER_MS_MAX, () => end('unknown'))
    const answer = (how: 'ok' | 'unknown' | 'refused', seen: readonly number[] | null = null): void => {
      // An answer may be long under way: it is true of some moment while it was waited for.
      const isLate = random.next() < 0.05
      this.#queue.after(0.05 + random.next() * (isLate ? STALL_LEASES_MAX * 1_000 : 1), () => end(how, seen))
    }
    this.#queue.after(0.05 + random.next(), () => this.#ask(node, { kind, key, call }, answer))
  }

  #ask(
    node: SimNode<LeaderStates>,
    asked: { readonly kind: ObjectKind; readonly key: string; readonly call: Call },
    answer: (how: 'ok' | 'unknown' | 'refused', seen?: readonly number[] | null) => void,
  ): void {
    const { process } = node
    if (process === null) return answer('refused')
    process.call(0, () => {
      const { leader } = process.scheduler
      const { kind, key, call } = asked
      if (leader === null) return answer('refused')
      if (call.type === 'write') {
        const parts = this.#random.next() < this.#plan.inParts ? 2 + this.#random.int(0, 3) : 1
        return leader.write(kind, key, call.value, parts, how => answer(how))
      }
      const isStalled = this.#random.next() < 0.1
      const stallMs = isStalled ? this.#random.next() * STALL_LEASES_MAX * this.#plan.timing.leaseMs : 0
      leader.read(key, stallMs, seen => answer(seen !== null && this.#plan.leasesHold ? 'ok' : 'refused', seen))
    })
  }

  #pick(kind: ObjectKind): string {
    const slot = `${kind}-${this.#random.int(0, SLOTS)}`
    const used = this.#generations.get(slot) ?? { generation: 0, calls: 0 }
    this.#generations.set(slot, used)
    if (++used.calls > CALLS_MAX) {
      used.generation++
      used.calls = 1
    }
    const key = `${slot}-${used.generation}`
    if (!this.histories.has(key)) this.histories.set(key, { kind, operations: [] })
    return key
  }

  #anyNode(): SimNode<LeaderStates> {
    const leading = this.#nodes.filter(node => node.process?.scheduler.leader)
    const from = leading.length > 0 && this.#random.next() < 0.8 ? leading : this.#nodes
    return from[this.#random.int(0, from.length)]!
  }
}

function shown(operations: readonly Operation[]): string {
  return operations
    .toSorted((a, b) => a.began - b.began)
    .map(({ call, began, ended }) => {
      const what = call.type === 'read' ? `reads [${call.seen?.join() ?? ''}]` : `writes ${call.value}`
      return `${began}-${Number.isFinite(ended) ? ended : '?'} ${what}`
    })
    .join('; ')
}
