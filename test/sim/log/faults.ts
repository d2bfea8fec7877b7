/**
 * Lets the faults of a plan strike, each kind on its own schedule, the leader more often than others. Nodes that are to
 * stay well from some moment on are spared from then on. No more disks are ruined for good than the cluster tolerates.
 */
import type { Prng } from '../../../src/core/base/prng.ts'
import { quorumOf } from '../../../src/core/log/descriptor.ts'
import type { EventQueue } from './event-queue.ts'
import type { SimNetwork } from './network.ts'
import type { SimNode } from './node.ts'
import { type Fault, LASTING, type Plan } from './plan.ts'

export class Faults {
  readonly counts = new Map<string, number>()
  /** Nobody of these is struck any more. */
  spared: ReadonlySet<SimNode> = new Set()
  readonly #plan: Plan
  readonly #queue: EventQueue
  readonly #random: Prng
  readonly #nodes: readonly SimNode[]
  readonly #network: SimNetwork
  /** Damaged for good, noticed or not. */
  readonly ruined = new Set<SimNode>()

  constructor(plan: Plan, queue: EventQueue, random: Prng, nodes: readonly SimNode[], network: SimNetwork) {
    this.#plan = plan
    this.#queue = queue
    this.#random = random
    this.#nodes = nodes
    this.#network = network
    for (const [fault, everyMs] of plan.faults) this.#await(fault, everyMs)
    if (plan.drift > 0) for (const node of nodes) node.clock.setRate(1 + plan.drift * (2 * random.next() - 1))
  }

  /** From now on these are well, and so is everything between them. */
  heal(well: readonly SimNode[]): void {
    this.spared = new Set(well)
    this.#network.sound = new Set(well.map(({ id }) => id))
    for (const node of well) {
      node.clock.setRate(1)
      node.slowness = 1
      node.hangsUntilMs = 0
      node.nextFlushFault = null
      node.countdown = null
      if (node.isPaused) node.resume()
      node.process?.store.hurry(1)
      if (node.isFull) this.#space(node, false)
      node.start()
    }
  }

  #await(fault: Fault, everyMs: number): void {
    this.#queue.after(-Math.log(1 - this.#random.next()) * everyMs, () => {
      this.#strike(fault)
      this.#await(fault, everyMs)
    })
  }

  #strike(fault: Fault): void {
    const node = this.#victim()
    if (node === null || (LASTING.includes(fault) && !this.#mayRuin(node))) return
    const random = this.#random
    const { leaseMs } = this.#plan.timing
    const forMs = random.next() ** 2 * 10 * leaseMs
    const isStruck = this.#strikeNode(fault, node, forMs) || this.#strikeLinks(fault, node, forMs)
    if (isStruck) this.counts.set(fault, (this.counts.get(fault) ?? 0) + 1)
  }

  #strikeNode(fault: Fault, node: SimNode, forMs: number): boolean {
    const random = this.#random
    const { leaseMs } = this.#plan.timing
    switch (fault) {
      case 'powerLoss':
      case 'processKill':
        return this.#inSomeTurn(node, () => this.#crash(node, fault === 'powerLoss', forMs))
      case 'everybodyDies':
        for (const each of this.#nodes) if (!this.spared.has(each)) this.#crash(each, true, forMs / 4)
        return true
      case 'pause':
        return this.#inSomeTurn(node, () => node.pause(forMs / 2))
      case 'suspend': {
        const isWaiting = node.isPaused
        if (isWaiting) return false
        node.suspend(forMs)
        return true
      }
      case 'slowDisk':
        node.slowness = 1 + random.next() * 200
        this.#queue.after(forMs, () => {
          node.slowness = 1
        })
        return true
      case 'hungDisk':
        node.hangsUntilMs = this.#queue.nowMs + forMs
        return true
      case 'diskError':
        this.ruined.add(node)
        node.nextFlushFault = 'EIO'
        return true
      case 'diskFull':
        this.#space(node, true)
        if (random.next() < 0.5) node.nextFlushFault = 'ENOSPC'
        this.#queue.after(forMs, () => this.#space(node, false))
        return true
      case 'rot':
      case 'lostRecord':
      case 'misdirectedRecord':
        return this.#damage(fault, node)
      case 'blankDisk':
        this.ruined.add(node)
        node.end(() => 0)
        node.status = 'lost'
        return true
      case 'wallJump':
        node.clock.wallOffsetMs += (random.next() - 0.5) * 7_200_000
        return true
      case 'clockJump':
        node.clock.jump(forMs)
        node.process?.kernel.timers.fireDue()
        return true
      case 'stepDown':
        node.process?.coordinator.tell(forMs < 3 * leaseMs ? { type: 'handOver' } : { type: 'transfer', to: null })
        return true
      default:
        return false
    }
  }

  #strikeLinks(fault: Fault, node: SimNode, forMs: number): boolean {
    const random = this.#random
    const others = this.#nodes.filter(other => other !== node)
    const cuts: (readonly [number, number])[] = []
    const both = (a: SimNode, b: SimNode): void => void cuts.push([a.id, b.id], [b.id, a.id])
    switch (fault) {
      case 'partition':
      case 'flapping': {
        const side = new Set([node, ...others.filter(() => random.next() < 0.4)])
        for (const a of side) for (const b of this.#nodes) if (!side.has(b)) both(a, b)
        break
      }
      case 'oneWayPartition': {
        const hears = random.next() < 0.5
        for (const other of others) cuts.push(hears ? [node.id, other.id] : [other.id, node.id])
        break
      }
      case 'linkCut': {
        const other = others[random.int(0, others.length)]!
        if (random.next() < 0.5) both(node, other)
        else cuts.push([node.id, other.id])
        break
      }
      default:
        return false
    }
    const times = fault === 'flapping' ? 2 + random.int(0, 10) : 1
    const eachMs = forMs / times
    for (let time = 0; time < times; time++) {
      const atMs = time * eachMs
      this.#queue.after(atMs, () => {
        for (const [from, to] of cuts) this.#network.cut(from, to)
      })
      this.#queue.after(atMs + eachMs * (times === 1 ? 1 : 0.5), () => {
        for (const [from, to] of cuts) this.#network.mend(from, to)
      })
    }
    return true
  }

  /** After some more turns of the node, so between any two of its steps. */
  #inSomeTurn(node: SimNode, strike: () => void): boolean {
    if (node.process === null) return false
    node.countdown = { turns: this.#random.int(0, 30), strike }
    return true
  }

  #crash(node: SimNode, losesPower: boolean, forMs: number): void {
    const random = this.#random
    node.end(unflushed => (losesPower ? random.int(0, unflushed + 1) : unflushed))
    node.countdown = null
    this.#queue.after(forMs, () => node.start())
  }

  #damage(fault: 'rot' | 'lostRecord' | 'misdirectedRecord', node: SimNode): boolean {
    const { disk } = node
    const random = this.#random
    const { end } = disk.meta
    if (end < disk.meta.begin) return false
    // The newest records are those on which something hangs.
    const position = random.next() < 0.5 ? end : random.int(Math.max(disk.meta.begin, end - 20), end + 1)
    const record = disk.entries[position]?.record
    if (record === undefined) return false
    this.ruined.add(node)
    if (fault === 'rot') {
      const bytes = record.slice()
      if (random.next() < 0.3) bytes.fill(0)
      else bytes[random.int(0, bytes.length)]! ^= 1 << random.int(0, 8)
      disk.damage.set(position, bytes)
    } else if (fault === 'lostRecord') disk.damage.set(position, null)
    else disk.damage.set(position, disk.entries[random.int(disk.meta.begin, end + 1)]!.record)
    // Seen at the next opening, or when the record is read.
    if (random.next() < 0.7) this.#crash(node, false, random.next() * 1_000)
    return true
  }

  #space(node: SimNode, full: boolean): void {
    node.isFull = full
    if (!full && node.nextFlushFault === 'ENOSPC') node.nextFlushFault = null
    node.tellSpace()
    if (!full) node.start()
  }

  #mayRuin(node: SimNode): boolean {
    const count = this.#nodes.length
    return this.ruined.has(node) || this.ruined.size < count - quorumOf(count)
  }

  #victim(): SimNode | null {
    const open = this.#nodes.filter(node => !this.spared.has(node) && node.status !== 'lost')
    const leading = open.filter(node => node.process?.scheduler.leads)
    const from = leading.length > 0 && this.#random.next() < 0.4 ? leading : open
    return from.length === 0 ? null : from[this.#random.int(0, from.length)]!
  }
}
