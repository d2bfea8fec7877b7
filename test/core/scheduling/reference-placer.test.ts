/**
 * The matcher beside a placer that is too simple to be wrong, through random histories: machines come, go and change,
 * tasks of several jobs are placed, end and fail, room is claimed, decisions are staged, given back or forgotten, leaders
 * change. After every step nothing is used twice, nothing stands where it may not, nobody waits who would fit, and every
 * reason counts the hosts as they are.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  type AgentId,
  agentId,
  type ConfigId,
  configId,
  type JobKey,
  jobKeyText,
  type TaskId,
  taskId,
} from '../../../src/core/base/ids.ts'
import { prng } from '../../../src/core/base/prng.ts'
import type { Constraint, TaskConfig } from '../../../src/core/job/task-config.ts'
import type { AgentRow, TaskRow } from '../../../src/core/ledger/rows.ts'
import { Tables } from '../../../src/core/ledger/tables.ts'
import type { RowChange } from '../../../src/core/ledger/transaction.ts'
import { OFFER_ORDER_PACKING, type OfferOrder } from '../../../src/core/offers/candidate-order.ts'
import type { ClaimOwner } from '../../../src/core/offers/claims.ts'
import { needsOf } from '../../../src/core/offers/needs.ts'
import type { OfferedRoom } from '../../../src/core/offers/offer-book.ts'
import { explain } from '../../../src/core/scheduling/explanation.ts'
import { type Match, Matcher } from '../../../src/core/scheduling/matcher.ts'
import { ReferencePlacer } from '../../fixtures/reference-placer.ts'
import { agentRow, configRow, deleteTask, putAgent, putConfig, putTask, taskRow } from '../../fixtures/rows.ts'

const OVERHEAD = { cpusMilli: 10, ramMb: 8, diskMb: 0, gpus: 0 }
const THRESHOLD_MS = 6 * 60_000
const HOSTS = 8

const value = (name: string, ...values: string[]): Constraint => ({
  name,
  rule: { type: 'value', negated: false, values },
})
const not = (name: string, ...values: string[]): Constraint => ({
  name,
  rule: { type: 'value', negated: true, values },
})
const limit = (name: string, count: number): Constraint => ({ name, rule: { type: 'limit', limit: count } })
const cpus = (cores: number, ramMb = 64) => ({ cpusMilli: cores * 1000, ramMb, diskMb: 64, gpus: 0 })
const job = (name: string, role = 'web'): JobKey => ({ role, environment: 'prod', name })

/** Two configurations of one job among them: limits count the job, not the configuration. */
const CONFIGS: readonly (Partial<TaskConfig> & { readonly job: JobKey })[] = [
  { job: job('plain'), resources: cpus(1), ports: ['http'] },
  { job: job('plain'), resources: cpus(1.5, 900), ports: [] },
  { job: job('racks'), resources: cpus(0.5), ports: ['admin', 'http'], constraints: [limit('rack', 2)] },
  { job: job('racks'), resources: cpus(0.2), ports: [], constraints: [limit('host', 1), limit('rack', 3)] },
  { job: job('power'), resources: cpus(0.4), ports: [], constraints: [limit('pdu', 2), not('rack', 'b')] },
  { job: job('x', 'ads'), resources: cpus(0.3), ports: ['http'], constraints: [value('dedicated', 'ads/x')] },
  { job: job('rest'), resources: cpus(2), ports: [], constraints: [value('rack', 'a', 'c'), not('jvm', '1', '2')] },
  { job: job('gpu'), resources: { ...cpus(0.2), gpus: 1 }, ports: [] },
  { job: job('lent'), resources: cpus(0.8), ports: [], tier: 'revocable' },
  { job: job('gang'), resources: cpus(1), ports: ['http'], gang: 3 },
  { job: job('team'), resources: cpus(0.6), ports: [], gang: 2, constraints: [limit('rack', 1)] },
  { job: job('everywhere'), resources: cpus(0.1), ports: ['http'], everyHost: true, constraints: [not('rack', 'c')] },
  {
    job: job('soft'),
    resources: cpus(0.7),
    ports: [],
    prefer: [
      { attribute: 'rack', values: ['a'], weight: 50 },
      { attribute: 'jvm', values: ['1'], weight: -80 },
    ],
    constraints: [limit('host', 2)],
  },
  {
    job: job('even'),
    resources: cpus(0.5),
    ports: ['http'],
    spread: [{ attribute: 'rack', weight: 100, targets: { a: 60 } }],
  },
]

const host = fc.integer({ min: 0, max: HOSTS - 1 })
const config = fc.integer({ min: 0, max: CONFIGS.length - 1 })
const attributes = fc.record({
  rack: fc.option(fc.constantFrom('a', 'b', 'c')),
  dedicated: fc.option(fc.constantFrom([], ['ads'], ['ads/x'], ['ads/x', 'web/rest']), { freq: 2 }),
  jvm: fc.option(fc.subarray(['1', '2', '3'])),
  pdu: fc.option(fc.subarray(['p1', 'p2', 'p3'])),
})
const machine = fc.record({
  attributes,
  cpusMilli: fc.integer({ min: 0, max: 8 }).map(n => n * 505),
  ramMb: fc.constantFrom(512, 1024, 4096),
  gpus: fc.integer({ min: 0, max: 1 }),
  lentMilli: fc.constantFrom(0, 0, 810, 2000),
  ports: fc.integer({ min: 0, max: 5 }),
  mode: fc.constantFrom('NONE', 'NONE', 'NONE', 'SCHEDULED', 'DRAINING', 'DRAINED' as const),
  away: fc.option(
    fc.record({ inMs: fc.integer({ min: 0, max: 900_000 }), forMs: fc.option(fc.integer({ min: 1, max: 600_000 })) }),
    { freq: 1 },
  ),
})
const fate = fc.constantFrom('stage', 'stage', 'release', 'delete', 'later')
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant('describe' as const), host, machine }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('reattribute' as const), host, attributes }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('down' as const), host }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('up' as const), host }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('forget' as const), host }) },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('offered' as const),
      host,
      machine: fc.option(machine, { freq: 3 }),
      areLaunched: fc.boolean(),
    }),
  },
  {
    weight: 12,
    arbitrary: fc.record({
      type: fc.constant('round' as const),
      config,
      tasks: fc.integer({ min: 0, max: 5 }),
      fates: fc.array(fate, { minLength: 1, maxLength: 6 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('settle' as const),
      fates: fc.array(fate, { minLength: 1, maxLength: 6 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('end' as const),
      n: fc.nat(),
      status: fc.constantFrom('FINISHED', 'FAILED' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('kill' as const), n: fc.nat() }) },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('claim' as const),
      host,
      config,
      n: fc.nat(),
      isInstance: fc.boolean(),
      forMs: fc.integer({ min: 1, max: 600_000 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('unclaim' as const), n: fc.nat() }) },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant('time' as const), byMs: fc.integer({ min: 1, max: 400_000 }) }),
  },
  { weight: 1, arbitrary: fc.constant({ type: 'newLeader' as const }) },
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never
type Fate = 'stage' | 'release' | 'delete' | 'later'

/** The matcher and the reference over one set of tables. */
class Scene {
  readonly tables = new Tables()
  readonly reference = new ReferencePlacer(this.tables, {
    overhead: OVERHEAD,
    revocableTiers: ['revocable'],
    unavailabilityThresholdMs: THRESHOLD_MS,
  })
  matcher: Matcher
  nowMs = 1_000_000
  /** Claims that a hold has used; open again if it comes to nothing. */
  readonly #used = new Map<TaskId, string>()
  readonly #usedClaims = new Map<string, ReturnType<typeof this.reference.claims.get>>()
  /** Groups that were left waiting and that nobody has woken since. */
  readonly #asleep = new Set<ConfigId>()
  readonly #offerOrder: readonly OfferOrder[]
  readonly #random
  #ids = 0

  constructor(offerOrder: readonly OfferOrder[], seed: number) {
    this.#offerOrder = offerOrder
    this.#random = prng(seed)
    this.matcher = this.#newMatcher()
  }

  take(step: Step): void {
    switch (step.type) {
      case 'describe':
        this.#describe(step.host, step.machine)
        break
      case 'reattribute': {
        const row = this.tables.agent(hostId(step.host))
        if (row !== undefined) this.put(putAgent({ ...row, attributes: attributesOf(step.host, step.attributes) }))
        break
      }
      case 'down':
        this.matcher.agentDown(hostId(step.host))
        this.reference.connected.delete(hostId(step.host))
        break
      case 'up':
        if (this.matcher.agentUp(hostId(step.host))) this.reference.connected.add(hostId(step.host))
        break
      case 'offered': {
        const id = hostId(step.host)
        if (this.matcher.book.host(id) === undefined) break
        const room = step.machine === null ? null : roomOf(step.machine)
        const launched = step.areLaunched ? this.tables.tasksOnAgent(id) : []
        const ids = new Set(launched.map(({ taskId }) => taskId))
        this.matcher.offered(id, room, ids)
        this.reference.offered(id, room, ids)
        break
      }
      case 'forget':
        this.#forget(hostId(step.host))
        break
      case 'round':
        this.#round(step.config, step.tasks, step.fates)
        break
      case 'settle':
        ;[...this.reference.holds.values()].forEach((match, n) => {
          this.#settle(match, step.fates[n % step.fates.length]!)
        })
        break
      case 'end':
        this.#end(step.n, step.status)
        break
      case 'kill': {
        const active = [...this.tables.tasks()].filter(task => task.status !== 'FINISHED' && task.status !== 'FAILED')
        if (active.length > 0) this.#delete(active[step.n % active.length]!.taskId)
        break
      }
      case 'claim':
        this.#claim(step)
        break
      case 'unclaim': {
        const ids = [...this.reference.claims.keys()]
        const id = ids[step.n % ids.length]
        if (id === undefined) break
        expect(this.matcher.unclaim(id)).toBe(true)
        this.reference.claims.delete(id)
        break
      }
      case 'time':
        this.nowMs += step.byMs
        this.matcher.expireClaims(this.nowMs)
        for (const [id, { expiresMs }] of this.reference.claims)
          if (expiresMs <= this.nowMs) this.reference.claims.delete(id)
        // The end of a planned time away tells nobody: it is left to the next attempt.
        if ([...this.tables.agents()].some(({ unavailability }) => unavailability !== undefined)) this.#asleep.clear()
        break
      case 'newLeader':
        this.#newLeader()
    }
    this.#groupsGone()
    this.check()
  }

  put(...changes: RowChange[]): void {
    for (const { change, before } of this.tables.apply(changes)) this.matcher.apply(change, before)
  }

  // ---- what must hold after every step ----

  check(): void {
    const { reference, matcher } = this
    matcher.book.check()
    expect(matcher.book.connectedCount).toBe(reference.connected.size)
    expect(matcher.book.holdCount).toBe(reference.holds.size)
    expect([...matcher.claims()].map(claim => claim.id).sort()).toEqual([...reference.claims.keys()].sort())
    for (const { agentId: id } of this.tables.agents()) {
      const known = matcher.book.host(id)
      if (known === undefined) continue
      for (const isRevocable of [false, true]) {
        const { cpusMilli, ramMb, diskMb, ports, gpus } = isRevocable ? known.freeRevocable : known.free
        expect({ cpusMilli, ramMb, diskMb, ports, gpus }).toEqual(reference.free(id, isRevocable))
      }
    }
    for (const id of matcher.takeWakes(this.nowMs)) this.#asleep.delete(id)
    for (const id of this.#asleep) {
      expect(this.#missed(id, this.#waiting(id)), `${id} sleeps and would fit`).toEqual([])
    }
  }

  #round(n: number, tasks: number, fates: readonly Fate[]): void {
    const id = this.#group(n)
    for (let i = 0; i < tasks; i++) this.#addTask(n, this.#ids)
    const wanted = this.#waiting(id, true)
    if (wanted.length === 0) return
    const holdsBefore = new Set(this.reference.holds.keys())
    const { placed, unplaced, gone } = this.matcher.match({ configId: id, taskIds: wanted }, this.nowMs)
    expect(gone).toEqual([])
    expect([...placed.map(match => match.taskId), ...unplaced].sort()).toEqual([...wanted].sort())
    for (const match of placed) this.#admit(match)

    const waiting = unplaced.filter(task => !holdsBefore.has(task))
    expect(this.#missed(id, waiting), `${id} is left over and would fit`).toEqual([])
    this.#checkGang(id, placed.length)
    if (waiting.length > 0) {
      this.#asleep.add(id)
      this.#checkReasons(id, waiting)
      this.#checkExplanation(id)
    } else if (wanted.some(task => !holdsBefore.has(task))) {
      this.#asleep.delete(id)
      expect(this.matcher.reasonsOf(id)?.reasons ?? []).toEqual([])
    }
    placed.forEach((match, i) => {
      this.#settle(match, fates[i % fates.length]!)
    })
  }

  /** The placement is allowed at this very moment; from now on it takes room. */
  #admit(match: Match): void {
    const { reference } = this
    const { taskId: id, configId: group, agentId: on, ports, record } = match
    const { instance } = this.tables.task(id)!
    const asking = { configId: group, instance, nowMs: this.nowMs }
    expect(reference.connected.has(on)).toBe(true)
    expect(reference.objections(on, asking)).toEqual([])
    expect(record.candidates[0]?.host).toBe(this.tables.agent(on)!.host)

    const own = this.#claimOf(group, instance)
    if (own !== undefined) expect([own.agentId, record.claim]).toEqual([on, 'affinity'])
    const used =
      own ??
      [...reference.claims.values()].find(
        claim => claim.owner.type === 'group' && claim.agentId === on && reference.isFor(claim, asking),
      )
    expect(record.claim !== undefined).toBe(used !== undefined && record.claim !== undefined)
    if (record.claim !== undefined) {
      reference.claims.delete(used!.id)
      this.#used.set(id, used!.id)
      this.#usedClaims.set(used!.id, used!)
    }

    expect(Object.keys(ports)).toEqual(this.tables.config(group)!.ports)
    const numbers = Object.values(ports)
    const free = reference.freePorts(on)
    expect(new Set(numbers).size).toBe(numbers.length)
    expect(numbers.filter(port => !free.includes(port))).toEqual([])
    reference.hold(match)
  }

  /** Of tasks that wait: those that the reference knows a place for, and where. */
  #missed(group: ConfigId, waiting: readonly TaskId[]): string[] {
    const { reference } = this
    const { gang = 1, job: key } = this.tables.config(group) ?? { job: job('none') }
    const free = waiting.filter(id => this.#claimOf(group, this.tables.task(id)!.instance) === undefined)
    const missed = waiting.flatMap(id => {
      const { instance } = this.tables.task(id)!
      const claim = this.#claimOf(group, instance)
      if (claim === undefined || gang > 1) return []
      const asking = { configId: group, instance, nowMs: this.nowMs }
      const fits = reference.connected.has(claim.agentId) && reference.objections(claim.agentId, asking).length === 0
      return fits ? [`${id} on the claimed ${claim.agentId}`] : []
    })
    if (free.length === 0) return missed
    const asking = { configId: group, nowMs: this.nowMs }
    const needed = gang - reference.placedOfJob(key).length
    if (needed > 1 && (needed > free.length || reference.countPlaceable(asking, needed) < needed)) return missed
    return [...missed, ...reference.whereItFits(asking).map(id => `${free[0]} on ${id}`)]
  }

  #checkGang(group: ConfigId, placed: number): void {
    const { gang = 1, job: key } = this.tables.config(group)!
    if (gang > 1 && placed > 0) expect(this.reference.placedOfJob(key).length).toBeGreaterThanOrEqual(gang)
  }

  /** Every text with the number of hosts that the reference counts for it, and the nearest fit is what some host objects. */
  #checkReasons(group: ConfigId, waiting: readonly TaskId[]): void {
    const { reference } = this
    const { reasons, details } = this.matcher.reasonsOf(group)!
    if (reference.connected.size === 0) {
      expect({ reasons, details }).toEqual({ reasons: [], details: ['No agents available'] })
      return
    }
    if (waiting.every(id => this.#claimOf(group, this.tables.task(id)!.instance) !== undefined)) {
      expect(reasons).toEqual(['Waiting for reserved agent'])
      return
    }
    const perHost = [...reference.connected].map(id => reference.objections(id, { configId: group, nowMs: this.nowMs }))
    const expected = new Map<string, number>()
    let hosts = 0
    for (const texts of perHost) {
      // Room for some of a gang is room that it does not take.
      if (texts.length === 0) continue
      hosts++
      for (const text of texts) expected.set(text, (expected.get(text) ?? 0) + 1)
    }
    const counted = new Map<string, number>()
    let gangHosts = 0
    for (const detail of details) {
      const [, text, count] = /^(.*) \((\d+) hosts?\)$/.exec(detail) ?? []
      if (text === undefined) continue
      if (text.startsWith('Gang of ')) gangHosts += Number(count)
      else counted.set(text, Number(count))
    }
    expect(counted).toEqual(expected)
    expect(hosts + gangHosts).toBe(reference.connected.size)
    const isGang = reasons[0]?.startsWith('Gang of ') ?? false
    if (!isGang) expect(perHost).toContainEqual(reasons)
  }

  /** Every known host once, by what the reference says of it. */
  #checkExplanation(group: ConfigId): void {
    const { reference, matcher } = this
    const steps = explain(matcher, matcher.askOf(group), this.nowMs)
    let step = steps.next()
    while (step.done !== true) step = steps.next()
    const { gang = 1, job: key } = this.tables.config(group)!
    const missing = gang > 1 ? Math.max(0, gang - reference.placedOfJob(key).length) : 0
    const members = reference.countPlaceable({ configId: group, nowMs: this.nowMs }, missing)
    const isPartOnly = members < missing
    const expected = new Map<string, number>()
    for (const { row } of matcher.book.hosts()) {
      const one = this.#explained(row.agentId, group)
      const text = one === 'Fits now' && isPartOnly ? 'Has room for members of the gang, not for the whole' : one
      expected.set(text, (expected.get(text) ?? 0) + 1)
    }
    const { hosts, verdicts, changes, never } = step.value
    expect(new Map(verdicts.map(({ text, hosts: n }) => [text, n]))).toEqual(expected)
    expect(verdicts.reduce((sum, { hosts: n }) => sum + n, 0)).toBe(hosts)
    expect(hosts).toBe(
      [...this.tables.agents()].filter(({ agentId: id }) => matcher.book.host(id) !== undefined).length,
    )
    expect(verdicts.some(({ text }) => text === 'Fits now')).toBe(
      !isPartOnly && reference.whereItFits({ configId: group, nowMs: this.nowMs }).length > 0,
    )
    const help = `${members} of ${missing} members fit: add hosts or lower gang`
    expect(changes.some(({ text }) => text === help)).toBe(isPartOnly && never === null)
  }

  #explained(id: AgentId, group: ConfigId): string {
    if (!this.reference.connected.has(id)) return 'Agent is not connected'
    const [first, ...others] = this.reference.objections(id, { configId: group, nowMs: this.nowMs })
    if (first === undefined) return 'Fits now'
    if (first === 'Agents reserved') return 'Room is kept for another job'
    return [first, ...others.map(text => text.replace('Insufficient: ', ''))].join(', ')
  }

  // ---- what happens ----

  #describe(n: number, of: Machine): void {
    const { away } = of
    const fromMs = this.nowMs + (away?.inMs ?? 0)
    const row: AgentRow = agentRow(`h${n}`, {
      attributes: attributesOf(n, of.attributes),
      total: { cpusMilli: of.cpusMilli, ramMb: of.ramMb, diskMb: 4096, gpus: of.gpus },
      portRanges: rangesOf(of.ports),
      mode: of.mode,
      ...(of.lentMilli === 0 ? {} : { revocable: { cpusMilli: of.lentMilli } }),
      ...(away === null
        ? {}
        : { unavailability: { fromMs, ...(away.forMs === null ? {} : { untilMs: fromMs + away.forMs }) } }),
    })
    this.put(putAgent(row))
    this.matcher.agentUp(row.agentId)
    this.reference.connected.add(row.agentId)
  }

  #forget(id: AgentId): void {
    if (this.tables.agent(id) === undefined) return
    // An agent's row goes when nothing is bound to it any more.
    if ([...this.tables.tasksOnAgent(id)].length > 0) return
    const held = [...this.reference.holds.values()].filter(hold => hold.agentId === id)
    this.put({ type: 'delete', table: 'agent', key: id })
    for (const { taskId: task } of held) this.#dropHold(task)
    this.reference.forget(id)
  }

  #end(n: number, status: 'FINISHED' | 'FAILED'): void {
    const running = [...this.tables.tasks()].filter(task => task.agentId !== undefined && task.status === 'ASSIGNED')
    const task = running[n % running.length]
    if (task === undefined) return
    const events: TaskRow['events'] = [...task.events, { atMs: this.nowMs, status, scheduler: 'node-1' }]
    const successor = taskRow(`t${this.#ids++}`, {
      job: task.job,
      instance: task.instance,
      configId: task.configId,
      ancestorId: task.taskId,
    })
    this.put(putTask({ ...task, status, events }))
    if (status === 'FAILED') this.put(putTask(successor))
  }

  #settle(match: Match, to: Fate): void {
    const { taskId: id, agentId: on, ports } = match
    switch (to) {
      case 'stage': {
        const hostName = this.tables.agent(on)!.host
        this.put(putTask({ ...this.tables.task(id)!, status: 'ASSIGNED', agentId: on, host: hostName, ports }))
        this.reference.staged(id)
        this.#used.delete(id)
        break
      }
      case 'release':
        this.matcher.release([id])
        this.#dropHold(id)
        break
      case 'delete':
        this.#delete(id)
        break
      case 'later':
    }
  }

  #delete(id: TaskId): void {
    this.put(deleteTask(id))
    this.#dropHold(id)
  }

  /** A hold that comes to nothing gives back the claim that it used. */
  #dropHold(id: TaskId): void {
    const hold = this.reference.holds.get(id)
    if (hold === undefined) return
    this.reference.dropHold(id)
    const claimId = this.#used.get(id)
    this.#used.delete(id)
    if (claimId === undefined || this.tables.agent(hold.agentId) === undefined) return
    const claim = this.#usedClaims.get(claimId)!
    // A claim of an instance is for the task that waits; that one is gone.
    if (claim.owner.type === 'group' || this.tables.task(id) !== undefined) this.#openClaim(claim)
  }

  #claim({ host: n, config: of, n: m, isInstance, forMs }: Extract<Step, { type: 'claim' }>): void {
    const group = this.#group(of)
    const { job: key, ...rest } = this.tables.config(group) ?? configRow('c', { ports: [], ...CONFIGS[of]! }).config
    const waiting = this.#waiting(group)
    const instance = waiting.length === 0 ? m % 8 : this.tables.task(waiting[m % waiting.length]!)!.instance
    const owner: ClaimOwner = isInstance
      ? { type: 'instance', job: jobKeyText(key), instance }
      : { type: 'group', configId: group }
    const claim = {
      id: `claim-${this.#ids++}`,
      agentId: hostId(n),
      needs: needsOf(rest, OVERHEAD),
      isRevocable: rest.tier === 'revocable',
      owner,
      expiresMs: this.nowMs + forMs,
    }
    const isKnown = this.matcher.book.host(claim.agentId) !== undefined
    expect(this.matcher.claim(claim)).toBe(isKnown)
    if (isKnown) this.#openClaim(claim)
  }

  /** An instance has one at most: the newer takes the place of the older. */
  #openClaim(claim: Parameters<Matcher['claim']>[0]): void {
    const { owner } = claim
    if (owner.type === 'instance') {
      for (const [id, { owner: other }] of this.reference.claims) {
        if (other.type === 'instance' && other.job === owner.job && other.instance === owner.instance)
          this.reference.claims.delete(id)
      }
    }
    this.reference.claims.set(claim.id, claim)
  }

  #claimOf(group: ConfigId, instance: number) {
    const key = jobKeyText(this.tables.config(group)!.job)
    return [...this.reference.claims.values()].find(
      ({ owner }) => owner.type === 'instance' && owner.job === key && owner.instance === instance,
    )
  }

  /** Holds and claims are memory of the old leader; the rows and the connections are what the new one begins with. */
  #newLeader(): void {
    this.matcher = this.#newMatcher()
    this.reference.newLeader()
    this.#used.clear()
    this.#asleep.clear()
    for (const id of this.reference.connected) this.matcher.agentUp(id)
  }

  #newMatcher(): Matcher {
    return new Matcher({
      view: this.tables,
      overhead: OVERHEAD,
      offerOrder: this.#offerOrder,
      random: this.#random,
      unavailabilityThresholdMs: THRESHOLD_MS,
    })
  }

  #groupsGone(): void {
    for (let n = 0; n < CONFIGS.length; n++) {
      const id = this.#group(n)
      if (this.#waiting(id, true).length > 0) continue
      this.matcher.groupGone(id)
      this.#asleep.delete(id)
      for (const [claim, { owner }] of this.reference.claims) {
        if (owner.type === 'group' && owner.configId === id) this.reference.claims.delete(claim)
      }
    }
  }

  #group(n: number): ConfigId {
    return configId(`c${n}`)
  }

  #addTask(n: number, instance: number): void {
    const of = CONFIGS[n]!
    const group = this.#group(n)
    if (this.tables.config(group) === undefined) this.put(putConfig(configRow(group, { ports: [], ...of })))
    this.put(putTask(taskRow(`t${this.#ids++}`, { job: of.job, instance, configId: group })))
  }

  /** Tasks of the group that are PENDING; those with a hold only when asked for. */
  #waiting(group: ConfigId, withHeld = false): TaskId[] {
    return [...this.tables.tasks()]
      .filter(
        task =>
          task.status === 'PENDING' && task.configId === group && (withHeld || !this.reference.holds.has(task.taskId)),
      )
      .map(task => taskId(task.taskId))
  }
}

type Machine = typeof machine extends fc.Arbitrary<infer T> ? T : never

function roomOf({ cpusMilli, ramMb, gpus, lentMilli, ports }: Machine): OfferedRoom {
  return { cpusMilli, ramMb, diskMb: 4096, gpus, revocableMilli: lentMilli, portRanges: rangesOf(ports) }
}

const rangesOf = (ports: number): AgentRow['portRanges'] => (ports === 0 ? [] : [[31_000, 30_999 + ports]])

const hostId = (n: number): AgentId => agentId(`h${n}`)

function attributesOf(
  n: number,
  of: typeof attributes extends fc.Arbitrary<infer T> ? T : never,
): AgentRow['attributes'] {
  const { rack, dedicated, jvm, pdu } = of
  return [
    ...(dedicated === null ? [] : [{ name: 'dedicated', values: dedicated }]),
    { name: 'host', values: [`h${n}`] },
    ...(jvm === null ? [] : [{ name: 'jvm', values: jvm }]),
    ...(pdu === null ? [] : [{ name: 'pdu', values: pdu }]),
    ...(rack === null ? [] : [{ name: 'rack', values: [rack] }]),
  ]
}

test.each<[readonly OfferOrder[]]>([[['RANDOM']], [OFFER_ORDER_PACKING]])(
  'any history, order %j: nothing used twice, nothing where it may not be, nobody left over or asleep who fits, counts add up',
  offerOrder => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 50, size: 'max' }), fc.nat(), (steps, seed) => {
        const scene = new Scene(offerOrder, seed)
        for (const next of steps) scene.take(next)
      }),
      { numRuns: 40 },
    )
  },
)
