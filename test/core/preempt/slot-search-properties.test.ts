import fc from 'fast-check'
import { expect, test } from 'vitest'
import { agentId, configId, taskId } from '../../../src/core/base/ids.ts'
import type { Constraint, TaskConfig } from '../../../src/core/job/task-config.ts'
import type { TaskRow } from '../../../src/core/ledger/rows.ts'
import { NEED_KINDS, type Needs } from '../../../src/core/offers/needs.ts'
import type { Slot } from '../../../src/core/preempt/slot-search.ts'
import { vetoes } from '../../../src/core/scheduling/veto.ts'
import type { TaskStatus } from '../../../src/core/task/status.ts'
import { PreemptionWorld } from '../../fixtures/preemption-world.ts'
import { HELLO } from '../../fixtures/rows.ts'

interface Kind {
  readonly role: number
  readonly priority: number
  readonly tier: 'preferred' | 'preemptible' | 'revocable'
  readonly cores: number
  readonly ramMb: number
  readonly ports: number
  readonly ofPendingJob: boolean
}
interface Scene {
  readonly hosts: readonly {
    readonly cores: number
    readonly ramMb: number
    readonly rack: number
    readonly dedicated: boolean
  }[]
  readonly kinds: readonly Kind[]
  readonly tasks: readonly { readonly kind: number; readonly host: number; readonly status: TaskStatus }[]
  readonly pending: Kind
  readonly limit: { readonly name: 'rack' | 'host'; readonly limit: number } | null
  readonly everyHost: boolean
}

const oneIn = (n: number) => fc.nat(n - 1).map(drawn => drawn === 0)

const kind = fc.record({
  role: fc.nat(1),
  priority: fc.nat(3),
  tier: fc.constantFrom('preferred', 'preemptible', 'revocable'),
  cores: fc.constantFrom(1, 1, 2, 3),
  ramMb: fc.constantFrom(64, 256, 512),
  ports: fc.constantFrom(0, 0, 1, 2),
  ofPendingJob: oneIn(4),
}) satisfies fc.Arbitrary<Kind>

const scene: fc.Arbitrary<Scene> = fc.record({
  hosts: fc.array(
    fc.record({
      cores: fc.integer({ min: 2, max: 7 }),
      ramMb: fc.constantFrom(1024, 2048),
      rack: fc.nat(1),
      dedicated: oneIn(8),
    }),
    { minLength: 1, maxLength: 4 },
  ),
  kinds: fc.array(kind, { minLength: 1, maxLength: 4 }),
  tasks: fc.array(
    fc.record({
      kind: fc.nat(3),
      host: fc.nat(3),
      status: fc.constantFrom<TaskStatus>(
        'RUNNING',
        'RUNNING',
        'RUNNING',
        'RUNNING',
        'RUNNING',
        'RUNNING',
        'STARTING',
        'ASSIGNED',
        'KILLING',
        'PARTITIONED',
      ),
    }),
    { minLength: 6, maxLength: 14 },
  ),
  pending: fc.tuple(kind, fc.nat(3)).map(([of, more]) => ({ ...of, priority: more, cores: Math.min(of.cores, 2) })),
  limit: fc.option(fc.record({ name: fc.constantFrom('rack', 'host'), limit: fc.integer({ min: 1, max: 3 }) })),
  everyHost: oneIn(6),
})

const PENDING = 'pending'

/** The cluster, and what may be known of it without the search. */
class Stage {
  readonly world = new PreemptionWorld()
  readonly hosts: readonly string[]
  readonly #pending: TaskConfig

  constructor({ hosts, kinds, tasks, pending, limit, everyHost }: Scene) {
    this.hosts = hosts.map((_, i) => `h${i}`)
    hosts.forEach(({ cores, ramMb, rack, dedicated }, i) => {
      const attributes = [
        { name: 'host', values: [`h${i}`] },
        { name: 'rack', values: [`r${rack}`] },
        ...(dedicated ? [{ name: 'dedicated', values: ['somebody/x'] }] : []),
      ]
      const total = { cpusMilli: cores * 1000, ramMb, diskMb: 8192, gpus: 0 }
      this.world.agent(`h${i}`, { attributes, total, portRanges: [[1, 3]], revocable: { cpusMilli: 3000 } })
    })
    const constraints: Constraint[] =
      limit === null ? [] : [{ name: limit.name, rule: { type: 'limit', limit: limit.limit } }]
    this.#config(PENDING, pending, { constraints, ...(everyHost ? { everyHost } : {}) }, pending)
    kinds.forEach((of, i) => {
      this.#config(`k${i}`, of, {}, pending)
    })
    tasks.forEach(({ kind: of, host, status }, i) => {
      this.world.running(`t${i}`, `k${of % kinds.length}`, `h${host % hosts.length}`, status)
    })
    this.#pending = this.world.tables.config(configId(PENDING))!
  }

  #config(
    name: string,
    { role, priority, tier, cores, ramMb, ports, ofPendingJob }: Kind,
    more: Partial<TaskConfig>,
    pending: Kind,
  ): void {
    const job =
      ofPendingJob || name === PENDING
        ? { ...HELLO, role: `role${pending.role}`, name: PENDING }
        : { ...HELLO, role: `role${role}`, name }
    const resources = { cpusMilli: cores * 1000, ramMb, diskMb: 1, gpus: 0 }
    this.world.config(name, { job, priority, tier, resources, ports: ['a', 'b'].slice(0, ports), ...more })
  }

  rowsOn(host: string): readonly TaskRow[] {
    return this.world.tables.tasksOnAgent(agentId(host))
  }

  /** The table of the spec, written out once more. */
  mayGo({ status, configId: id }: TaskRow): boolean {
    if (status !== 'RUNNING' && status !== 'STARTING' && status !== 'ASSIGNED') return false
    const victim = this.world.tables.config(id)!
    const isPreemptible = victim.tier !== 'preferred'
    const asksPreemptible = this.#pending.tier !== 'preferred'
    if (!asksPreemptible && isPreemptible) return true
    if (asksPreemptible !== isPreemptible) return false
    return victim.job.role === this.#pending.job.role && victim.priority < this.#pending.priority
  }

  /** Whether one more fits when these are gone and the given slots are used. */
  fits(host: string, gone: readonly TaskRow[], given: readonly Slot[]): boolean {
    const asked = this.#needsOf(this.#pending)
    const isLent = this.#pending.tier === 'revocable'
    const of = this.world.matcher.book.host(agentId(host))!
    const free = { ...pick(isLent ? of.freeRevocable : of.free) }
    for (const { configId: id, agentId: on } of gone) {
      if (on !== host) continue
      const config = this.world.tables.config(id)!
      const needs = this.#needsOf(config)
      for (const { type } of NEED_KINDS) {
        if (type !== 'cpusMilli' || (config.tier === 'revocable') === isLent) free[type] += needs[type]
      }
    }
    for (const slot of given) {
      if (slot.agentId === host) for (const { type } of NEED_KINDS) free[type] -= asked[type]
    }
    const goneIds = new Set(gone.map(row => row.taskId))
    const counted: string[] = given.map(slot => slot.agentId)
    for (const on of this.hosts) {
      for (const row of this.rowsOn(on)) {
        const isOfJob = row.job.name === PENDING && row.job.role === this.#pending.job.role
        if (isOfJob && !goneIds.has(row.taskId)) counted.push(on)
      }
    }
    if (this.#pending.everyHost && counted.includes(host)) return false
    const countOf = (name: string, value: string): number =>
      counted.filter(on => this.world.matcher.book.host(agentId(on))!.attributes.get(name)?.includes(value)).length
    return vetoes({ ...of, free }, { needs: asked, constraints: this.#pending.constraints, countOf }).length === 0
  }

  #needsOf({ resources, ports }: TaskConfig): Needs {
    return { ...resources, ports: ports.length }
  }

  rows(slot: Slot): readonly TaskRow[] {
    return slot.victims.map(victim => this.world.tables.task(victim.taskId)!)
  }
}

const pick = ({ cpusMilli, ramMb, diskMb, ports, gpus }: Needs) => ({ cpusMilli, ramMb, diskMb, ports, gpus })

test('one task: a slot is found exactly where somebody has to go and may, and none of its victims could stay', () => {
  let found = 0
  fc.assert(
    fc.property(scene, fc.nat(), (of, seed) => {
      const stage = new Stage(of)
      const { slots, ...counts } = stage.world.find(PENDING, 1, undefined, seed)
      const { refused, roomy, withoutVictims, tooSmall, suitable } = counts
      expect(refused + roomy + withoutVictims + tooSmall + suitable).toBe(counts.hosts)
      const isRoomy = stage.hosts.some(host => stage.fits(host, [], []))
      const isSuitable = stage.hosts.some(host =>
        stage.fits(
          host,
          stage.rowsOn(host).filter(row => stage.mayGo(row)),
          [],
        ),
      )
      expect(slots.length).toBe(!isRoomy && isSuitable ? 1 : 0)
      for (const slot of slots) {
        found++
        const gone = stage.rows(slot)
        expect(gone.length).toBeGreaterThan(0)
        expect(gone.every(row => row.agentId === slot.agentId && stage.mayGo(row))).toBe(true)
        expect(stage.fits(slot.agentId, gone, [])).toBe(true)
        for (const row of gone) {
          expect(
            stage.fits(
              slot.agentId,
              gone.filter(other => other !== row),
              [],
            ),
          ).toBe(false)
        }
      }
    }),
    { numRuns: 400, seed: 1 },
  )
  expect(found).toBeGreaterThan(40)
})

test('several tasks, and a second search while the victims of the first still end: all slots hold together', () => {
  let second = 0
  fc.assert(
    fc.property(scene, fc.nat(), (of, seed) => {
      const stage = new Stage(of)
      const given: Slot[] = []
      const gone: TaskRow[] = []
      const check = (slots: readonly Slot[]): void => {
        for (const slot of slots) {
          const rows = stage.rows(slot)
          for (const row of rows) expect(gone.some(({ taskId: id }) => id === row.taskId)).toBe(false)
          gone.push(...rows)
          expect(stage.fits(slot.agentId, gone, given)).toBe(true)
          given.push(slot)
        }
      }
      const first = stage.world.find(PENDING, 3, undefined, seed).slots
      check(first)
      stage.world.use(PENDING, ...first)
      const next = stage.world.find(PENDING, 3, undefined, seed + 1).slots
      if (first.length > 0) second += next.length
      check(next)
    }),
    { numRuns: 400, seed: 1 },
  )
  expect(second).toBeGreaterThan(5)
})

test('an index that followed every change is the one that is made anew', () => {
  const changes = fc.array(
    fc.record({
      task: fc.nat(8),
      status: fc.constantFrom<TaskStatus>('RUNNING', 'KILLING', 'PREEMPTING', 'PARTITIONED', 'STARTING'),
    }),
    { maxLength: 20 },
  )
  fc.assert(
    fc.property(scene, changes, (of, then) => {
      const { world, hosts } = new Stage(of)
      for (const { task, status } of then) {
        if (world.tables.task(taskId(`t${task}`)) !== undefined) world.becomes(`t${task}`, status)
      }
      const fresh = world.freshIndex()
      expect(world.victims.size).toBe(fresh.size)
      for (const host of hosts) expect(known(world.victims, host)).toEqual(known(fresh, host))
    }),
    { numRuns: 200, seed: 1 },
  )
})

function known(index: PreemptionWorld['victims'], host: string) {
  const number = index.numberOf(agentId(host))
  const room = { cpusMilli: 0, ramMb: 0, diskMb: 0, ports: 0, gpus: 0 }
  const isKnown = number >= 0
  if (isKnown) for (const isRevocable of [false, true]) index.preemptible.addTo(room, number, isRevocable)
  const peers = [0, 1].flatMap(role =>
    [false, true].map(isPreemptible => {
      const of = index.peersOf({ role: `role${role}`, priority: 0, isPreemptible })
      const line = of?.lineOf(number) ?? -1
      return line < 0 ? null : { count: of!.sums.count(line), lowest: of!.sums.priorityMin(line) }
    }),
  )
  return {
    tasks: index
      .on(number)
      .map(({ taskId: id, status }) => `${id} ${status}`)
      .sort(),
    preemptible: isKnown ? index.preemptible.count(number) : 0,
    room,
    peers,
  }
}
