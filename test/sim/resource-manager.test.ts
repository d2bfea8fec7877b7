/**
 * A whole leader over machines that a resource manager lends by offers, on virtual time: offers come, go back, are taken
 * back and overtaken, the manager goes away, jobs come and tasks end. No room is used twice, no task is launched on an
 * offer that is not held, and in the end everything that fits runs.
 */
import { afterEach, describe, expect, test } from 'vitest'
import { createLedger, type LedgerActor } from '../../src/actors/ledger.ts'
import { LAUNCH_FAILED, OFFER_VANISHED } from '../../src/actors/offer-driver.ts'
import { silentLogger, silentMetrics } from '../../src/actors/ports.ts'
import { createSimSystem, type SimSystem } from '../../src/actors/sim-shell.ts'
import { agentId, type TaskId } from '../../src/core/base/ids.ts'
import { prng } from '../../src/core/base/prng.ts'
import type { TaskRow } from '../../src/core/ledger/rows.ts'
import { EXPIRING_OFFERS } from '../../src/core/offers/expiring-offers.ts'
import type { TaskStatus } from '../../src/core/task/status.ts'
import { followLeadership, type LeaderTree } from '../../src/runtime/leadership.ts'
import { MemoryLog } from '../fixtures/memory-log.ts'
import { putAgent, taskConfig } from '../fixtures/rows.ts'
import { SimDriver } from '../fixtures/sim-driver.ts'
import { DRIVER_MISTAKE, SimResourceManager } from '../fixtures/sim-resource-manager.ts'

const SCHEDULER = {
  allowedEnvironments: '^devel$',
  maxTasksPerJob: 100,
  transientTimeout: 300_000,
  killRetry: 15_000,
  schedulePenaltyMax: 5_000,
  agentHeartbeat: 5_000,
  agentUnreachable: 75_000,
  agentForget: 7 * 86_400_000,
  registrationDelay: 60_000,
  reconciliation: {
    initialDelay: 20_000,
    explicitInterval: 120_000,
    implicitInterval: 120_000,
    spread: 60_000,
    batchSize: 3,
    batchInterval: 1_000,
  },
  startSpread: 0,
  offerOrder: ['RANDOM'],
  preemption: { enabled: false, delay: 5_000, interval: 2_000, batch: 100, reservation: 180_000 },
  flapping: { threshold: 0, pauseMin: 1_000, pauseMax: 10_000, restartsPerSecond: 100 },
  webhook: { url: null, timeout: 5_000, headersFile: null, secretFile: null, statuses: [], job: null },
  requestOutcomes: { keep: 86_400_000, max: 100_000 },
  pruning: { keep: 172_800_000, keepMin: 3_600_000, perJob: 100 },
  updatePruning: { interval: 900_000, keep: 2_592_000_000, perJob: 10 },
}

class World {
  readonly log = new MemoryLog()
  readonly sim: SimSystem
  readonly ledger: LedgerActor
  readonly manager: SimResourceManager
  readonly driver = new SimDriver()
  readonly tree: LeaderTree
  readonly answers: unknown[] = []
  readonly counts = new Map<string, number>()
  /** Told of every turn. */
  onTurn: (line: string) => void = () => {}
  #serial = 0

  private constructor(seed: number, sizes: Readonly<Record<string, number>>) {
    this.sim = createSimSystem({ seed, trace: line => this.onTurn(line) })
    const { sim, log } = this
    this.ledger = createLedger({ system: sim, log, clock: sim.clock, metrics: silentMetrics, logger: silentLogger })
    this.manager = new SimResourceManager(sizes, task => {
      return (this.ledger.view.config(task.configId)?.resources.cpusMilli ?? 0) + 10
    })
    this.tree = followLeadership({
      system: sim,
      ledger: this.ledger,
      listener: { onConnection: null },
      config: {
        scheduler: SCHEDULER as unknown as Parameters<typeof followLeadership>[0]['config']['scheduler'],
        executor: { overheadCpus: 10, overheadRam: 0 },
      },
      secret: '',
      hostName: 'leader',
      driver: this.driver,
      resourceManager: { name: 'sim', port: this.manager },
      handOver: () => log.transfer(),
      endProcess: cause => {
        throw cause
      },
      metrics: {
        ...silentMetrics,
        count: (name, by = 1) => void this.counts.set(name, (this.counts.get(name) ?? 0) + by),
      },
      logger: silentLogger,
      uuid: () => `uuid-${++this.#serial}`,
    })
  }

  static async start(sizes: Readonly<Record<string, number>>, seed = 1): Promise<World> {
    const world = new World(seed, sizes)
    await world.log.start(world.ledger.listener)
    world.tree.prepared()
    world.log.elect()
    await world.settle()
    world.driver.register()
    await world.settle()
    return world
  }

  async settle(): Promise<void> {
    await this.sim.settle()
    this.manager.deliver()
    await this.sim.settle()
  }

  async advance(ms: number): Promise<void> {
    this.sim.advance(ms)
    await this.settle()
  }

  async create(name: string, instances: number, cores: number, ports: readonly string[] = []): Promise<void> {
    const job = { role: 'www-data', environment: 'devel', name }
    const resources = { cpusMilli: cores, ramMb: 1, diskMb: 1, gpus: 0 }
    const task = taskConfig({
      job,
      resources,
      ports,
      constraints: [],
      executor: { name: 'AuroraExecutor', data: '{}' },
    })
    this.tree.leading?.jobKeeper.tell({
      type: 'create',
      job: { key: job, owner: 'alice', instanceCount: instances, task },
      requestId: `create-${name}`,
      fingerprint: name,
      user: 'alice',
      replyTo: this.sim.function('answers', answer => void this.answers.push(answer)),
    })
    await this.settle()
  }

  tasks(...statuses: TaskStatus[]): TaskRow[] {
    return [...this.ledger.view.tasks()].filter(task => statuses.includes(task.status))
  }
}

let world: World
afterEach(async () => {
  expect(world.manager.faults).toEqual([])
  await world.sim.stop()
})

describe('offers of a resource manager', () => {
  test('several tasks go in one accepted offer, and a status is acknowledged after its commit', async () => {
    world = await World.start({ a: 1000 })
    world.manager.offerAll()
    await world.settle()
    await world.create('job', 3, 300)
    await world.advance(100)
    expect(world.manager.accepts).toEqual([3])
    for (const id of world.manager.launched) world.manager.run(id)
    await world.settle()
    expect(world.tasks('RUNNING')).toHaveLength(3)
    expect(world.manager.acknowledged).toHaveLength(3)
    expect(world.ledger.view.agent(agentId('a'))).toMatchObject({ manager: 'sim', host: 'a' })
  })

  test('the rest of an accepted offer comes with the next one, and not before', async () => {
    world = await World.start({ a: 1000 })
    world.manager.offerAll()
    await world.settle()
    await world.create('first', 1, 300)
    await world.advance(100)
    await world.create('second', 1, 300)
    await world.advance(6_000)
    expect(world.tasks('PENDING')).toHaveLength(1)
    world.manager.offerAll()
    await world.settle()
    await world.advance(100)
    expect(world.manager.accepts).toEqual([1, 1])
    expect(world.tasks('PENDING')).toEqual([])
  })

  test('an offer that nobody uses goes back when its time is over', async () => {
    world = await World.start({ a: 1000 })
    const [offer] = world.manager.offerAll()
    await world.settle()
    await world.advance(EXPIRING_OFFERS.holdMs - 1_000)
    expect(world.manager.declined).toEqual([])
    await world.advance(EXPIRING_OFFERS.jitterMs + 1_000)
    expect(world.manager.declined).toEqual([offer])
  })

  test('sched-13: the stored mode of a machine stays when an offer of it comes', async () => {
    world = await World.start({ a: 1000 })
    world.manager.offerAll()
    await world.settle()
    const row = world.ledger.view.agent(agentId('a'))!
    const cause = { who: 'test', why: 'drain', wallMs: 0 }
    world.ledger.stage({ cause, changes: [putAgent({ ...row, mode: 'DRAINING' })] })
    await world.create('job', 1, 300)
    await world.advance(2_000)
    expect(world.manager.accepts).toEqual([])
    world.manager.decline(world.manager.outstanding)
    world.manager.disconnect()
    await world.settle()
    world.manager.offerAll()
    await world.settle()
    await world.advance(2_000)
    expect(world.ledger.view.agent(agentId('a'))?.mode).toBe('DRAINING')
    expect(world.manager.accepts).toEqual([])
  })

  test('sched-14: launched on an offer that has vanished: LOST in these words, and replaced', async () => {
    world = await World.start({ a: 1000 })
    const [offer] = world.manager.offerAll()
    await world.settle()
    world.log.hold()
    await world.create('job', 1, 300)
    world.sim.advance(5)
    await world.sim.settle()
    world.manager.rescind(offer!)
    await world.settle()
    world.log.letGo()
    await world.settle()
    await world.advance(100)
    const [lost] = world.tasks('LOST')
    expect(lost?.events.at(-1)).toMatchObject({ status: 'LOST', message: LAUNCH_FAILED, why: OFFER_VANISHED })
    expect(world.counts.get('offer_accept_races')).toBe(1)
    expect(world.manager.launched).toEqual([])
    expect(world.tasks('PENDING')).toHaveLength(1)
    world.manager.offerAll()
    await world.settle()
    await world.advance(5_000)
    expect(world.manager.launched).toHaveLength(1)
  })

  test('an offer that replaces another is not given away twice: what is placed and not launched yet takes of it', async () => {
    world = await World.start({ a: 1000 })
    const [first] = world.manager.offerAll()
    await world.settle()
    world.log.hold()
    await world.create('first', 1, 600)
    world.sim.advance(5)
    await world.sim.settle()
    world.manager.rescind(first!)
    world.manager.offerAll()
    await world.settle()
    await world.create('second', 1, 600)
    world.sim.advance(2_000)
    await world.settle()
    world.log.letGo()
    await world.settle()
    await world.advance(100)
    expect(world.manager.accepts).toEqual([1])
    expect(world.tasks('LOST')).toEqual([])
    expect(world.tasks('PENDING')).toHaveLength(1)
  })

  test('an offer that tells nothing new of its machine writes nothing', async () => {
    world = await World.start({ a: 1000 })
    world.manager.offerAll()
    await world.settle()
    const entries = world.log.entries.length
    world.manager.disconnect()
    await world.settle()
    world.manager.offerAll()
    await world.settle()
    expect(world.manager.outstanding).toHaveLength(1)
    expect(world.log.entries).toHaveLength(entries)
  })

  test('the broker fails: it is told again of the offers that are held', async () => {
    world = await World.start({ a: 1000 })
    world.manager.offerAll()
    await world.settle()
    const { view } = world.ledger
    const config = view.config.bind(view)
    world.onTurn = line => {
      if (!line.includes('/offer-broker receives matchRound')) return
      world.onTurn = () => {}
      view.config = () => {
        view.config = config
        throw new Error('the test breaks the broker')
      }
    }
    await world.create('job', 1, 300)
    await world.advance(100)
    expect(world.sim.failures).toHaveLength(1)
    await world.advance(10_000)
    expect(world.manager.accepts).toEqual([1])
  })

  test('the driver fails: the offers of before are void for the broker too, and the tasks are replaced', async () => {
    world = await World.start({ a: 1000 })
    world.manager.offerAll()
    await world.settle()
    world.manager.failNext()
    await world.create('job', 1, 300)
    await world.advance(100)
    await world.advance(1_000)
    expect(world.sim.failures).toHaveLength(1)
    expect(world.tasks('ASSIGNED')).toHaveLength(1)
    await world.create('other', 1, 300)
    await world.advance(1_000)
    expect(world.tasks('PENDING')).toHaveLength(1)
    world.manager.offerAll()
    await world.settle()
    await world.advance(10_000)
    for (const id of world.manager.launched) world.manager.run(id)
    await world.settle()
    expect(world.tasks('RUNNING').map(({ job }) => job.name)).toEqual(['other'])
    // The other one is given up when its time is over.
    await world.advance(300_000)
    world.manager.offerAll()
    await world.settle()
    await world.advance(10_000)
    expect(world.tasks('LOST').map(({ job }) => job.name)).toEqual(['job'])
    expect(world.manager.launched).toHaveLength(2)
  })

  test('the manager is away: what runs is not taken for lost, as it is not by its agents that it is known', async () => {
    world = await World.start({ a: 1000 })
    world.manager.offerAll()
    await world.settle()
    await world.create('job', 1, 300)
    await world.advance(100)
    world.manager.run(world.manager.launched[0] as TaskId)
    await world.settle()
    world.manager.disconnect()
    await world.settle()
    await world.advance(600_000)
    expect(world.tasks('RUNNING')).toHaveLength(1)
  })
})

test.for(Array.from({ length: 12 }, (_, n) => n + 1))(
  'whatever the manager does, no room is used twice and everything that fits runs at last: seed %i',
  async seed => {
    const random = prng(seed)
    world = await World.start({ a: 1000, b: 2000, c: 500 }, seed)
    const create = (name: string): Promise<void> => {
      const ports = ['http', 'admin', 'jmx'].slice(0, random.int(0, 4))
      return world.create(name, random.int(1, 3), random.int(1, 5) * 100, ports)
    }
    let jobs = 0
    for (let step = 0; step < 60; step++) {
      const dice = random.int(0, 100)
      const { manager } = world
      if (dice < 30) manager.offerAll(random.int(1, 3))
      else if (dice < 50) manager.rescind(manager.outstanding[random.int(0, manager.outstanding.length || 1)] ?? '')
      else if (dice < 65 && jobs < 6) await create(`job${++jobs}`)
      else if (dice < 70) world.log.hold()
      else if (dice < 77) world.log.letGo()
      else if (dice < 82) manager.end(manager.launched[random.int(0, manager.launched.length || 1)] as TaskId, 'FAILED')
      else if (dice < 84) manager.disconnect()
      else if (dice < 86) manager.failNext()
      else if (dice < 92) world.sim.advance(random.int(1, 90_000))
      else for (const id of manager.launched) if (random.next() < 0.5) manager.run(id)
      if (random.next() < 0.7) manager.deliver(random)
      if (random.next() < 0.8) await world.sim.settle()
    }
    world.log.letGo()
    world.manager.failNext(false)
    world.manager.disconnect()
    await world.settle()
    // Launches that were lost with their driver are given up after 300 s, and what they took of an offer comes back when
    // that has been held for its time.
    for (let round = 0; round < 80; round++) {
      world.manager.offerAll()
      await world.settle()
      await world.advance(10_000)
      for (const id of world.manager.launched) world.manager.run(id)
      await world.settle()
    }
    // A task that fits nowhere now may have been beaten to it by smaller ones: only then it waits.
    const largest = Math.max(...world.manager.free)
    for (const task of world.tasks('PENDING')) {
      expect(world.manager.needOf(task), task.taskId).toBeGreaterThan(largest)
    }
    expect(world.tasks('ASSIGNED')).toEqual([])
    const mistakes = world.sim.failures.filter(({ error }) => !String(error).includes(DRIVER_MISTAKE))
    expect(mistakes).toEqual([])
  },
)
