/** The life of a scheduler with its real ledger and its real subtree, on virtual time, and a driver that the test lets in. */
import { afterEach, describe, expect, test } from 'vitest'
import { createLedger, type LedgerActor } from '../../src/actors/ledger.ts'
import { type AgentListener, type DriverPort, type Logger, silentMetrics } from '../../src/actors/ports.ts'
import { createActorSystem } from '../../src/actors/shell.ts'
import { createSimSystem, type SimSystem } from '../../src/actors/sim-shell.ts'
import { prng } from '../../src/core/base/prng.ts'
import { readConfig } from '../../src/runtime/config.ts'
import type { LeaderParts } from '../../src/runtime/leader.ts'
import { followLeadership, type LeaderTree } from '../../src/runtime/leadership.ts'
import type { AgentToLeader, LeaderToAgent } from '../../src/wire/messages/agent.ts'
import { MemoryLog } from '../fixtures/memory-log.ts'
import { CAUSE, configRow, putConfig, putTask, taskRow } from '../fixtures/rows.ts'
import { SimDriver } from '../fixtures/sim-driver.ts'

const NOT_REGISTERED = 'Framework has not been registered within the tolerated delay.'
type Listener = AgentListener<AgentToLeader, LeaderToAgent>

const read = readConfig('')
if (!read.ok) throw new Error('the defaults are a config')
const { config } = read

interface Changes {
  readonly listener?: Listener
  readonly config?: LeaderParts['config']
  /** Whether somebody takes over. Default: yes, another node leads then. */
  readonly isAlone?: boolean
  readonly backup?: LeaderParts['backup']
}

class Node {
  readonly sim: SimSystem
  readonly log = new MemoryLog()
  readonly driver = new SimDriver()
  readonly ledger: LedgerActor
  readonly tree: LeaderTree
  /** Names of log lines, oldest first; `errors` with their causes. */
  readonly said: string[] = []
  readonly errors: unknown[] = []
  handOvers = 0
  endings = 0
  /** How often clients could first find this leader. */
  advertised = 0

  constructor({ listener = { onConnection: null }, isAlone = false, ...changes }: Changes = {}) {
    const note = (event: string): void => void this.said.push(event)
    const logger: Logger = {
      debug: note,
      info: note,
      warn: note,
      error: (event, fields) => {
        note(event)
        this.errors.push(fields?.cause ?? fields?.error)
      },
      child: () => logger,
    }
    this.sim = createSimSystem({ seed: 1, log: logger })
    const { sim, log } = this
    this.ledger = createLedger({ system: sim, log, clock: sim.clock, metrics: silentMetrics, logger })
    this.tree = followLeadership({
      system: sim,
      ledger: this.ledger,
      listener,
      config: changes.config ?? config,
      secret: '',
      hostName: 'leader',
      driver: this.driver,
      handOver: async () => {
        this.handOvers++
        if (isAlone) {
          const detail = 'no other member can take over'
          return { type: 'refused', why: 'notNow', detail, remedy: 'start another' }
        }
        log.lose()
        return { type: 'moved', memberId: 2, tookMs: 40 }
      },
      endProcess: () => void this.endings++,
      metrics: silentMetrics,
      logger,
      ...(changes.backup === undefined ? {} : { backup: changes.backup }),
    })
    this.tree.onAdvertised(() => void this.advertised++)
  }

  /** Leads, and has told its driver to register. */
  async elect(): Promise<void> {
    this.log.elect()
    await this.sim.settle()
  }
  async begin(): Promise<void> {
    await this.log.start(this.ledger.listener)
    this.tree.prepared()
    await this.elect()
  }
  async pass(ms: number): Promise<void> {
    this.sim.advance(ms)
    await this.sim.settle()
  }
  async register(): Promise<void> {
    this.driver.register()
    await this.sim.settle()
  }
  get state(): string {
    return this.tree.life.state
  }
  get actors(): number {
    return this.sim.inspection.actors().filter(({ path }) => path.startsWith('/leader')).length
  }
  count(event: string): number {
    return this.said.filter(said => said === event).length
  }
}

let node: Node | null = null
afterEach(async () => {
  const stopped = node?.tree.stop()
  await node?.sim.stop()
  await stopped
  node = null
})
async function begun(changes: Changes = {}): Promise<Node> {
  node = new Node(changes)
  await node.begin()
  return node
}

describe('a driver that registers late or never', () => {
  test('not registered after 1 min: said, nothing ever acted, leadership given away, a follower again', async () => {
    const node = await begun()
    expect([node.state, node.driver.starts]).toEqual(['LEADER_AWAITING_REGISTRATION', [[1, 1]]])
    await node.pass(59_999)
    expect([node.state, node.actors, node.count(NOT_REGISTERED)]).toEqual(['LEADER_AWAITING_REGISTRATION', 0, 0])
    await node.pass(1)
    expect(node.count(NOT_REGISTERED)).toBe(1)
    expect([node.state, node.handOvers, node.driver.isRunning]).toEqual(['STORAGE_PREPARED', 1, false])
    expect([node.ledger.open, node.advertised, node.actors]).toEqual([false, 0, 0])
    // Elected again later: a new reign, with a time of its own.
    await node.elect()
    await node.pass(59_000)
    await node.register()
    expect([node.state, node.advertised, node.count(NOT_REGISTERED)]).toEqual(['ACTIVE', 1, 1])
  })

  test('registered at 59 s: it leads, and goes on to', async () => {
    const node = await begun()
    await node.pass(59_000)
    await node.register()
    await node.pass(120_000)
    expect([node.state, node.advertised, node.count(NOT_REGISTERED)]).toEqual(['ACTIVE', 1, 0])
    expect(node.tree.leading).not.toBeNull()
  })

  test('defeated before registration: never advertised, and a registration that comes after it changes nothing', async () => {
    const node = await begun()
    node.log.lose()
    await node.sim.settle()
    await node.register()
    expect([node.state, node.advertised, node.actors, node.handOvers]).toEqual(['STORAGE_PREPARED', 0, 0, 0])
    expect(node.driver.isRunning).toBe(false)
  })

  test('registered in the very moment of the defeat: nothing is advertised', async () => {
    const node = await begun()
    node.driver.register()
    node.log.lose()
    await node.sim.settle()
    expect([node.state, node.advertised, node.actors]).toEqual(['STORAGE_PREPARED', 0, 0])
  })

  test('alone, never registered: tried again after growing pauses, and never advertised', async () => {
    const node = await begun({ isAlone: true })
    for (const pauseMs of [1_000, 2_000, 4_000]) {
      await node.pass(60_000)
      expect([node.state, node.ledger.open, node.tree.leading]).toEqual(['STORAGE_PREPARED', true, null])
      await node.pass(pauseMs - 1)
      expect(node.state).toBe('STORAGE_PREPARED')
      await node.pass(1)
      expect(node.state).toBe('LEADER_AWAITING_REGISTRATION')
    }
    expect([node.count(NOT_REGISTERED), node.handOvers, node.advertised, node.endings]).toEqual([3, 3, 0, 0])
    await node.register()
    expect([node.state, node.advertised]).toEqual(['ACTIVE', 1])
  })

  test('exits while it leads: everything stops, leadership is given away', async () => {
    const node = await begun()
    await node.register()
    node.driver.exit('the master has ended it')
    await node.sim.settle()
    expect(node.count('Driver exited, terminating lifecycle.')).toBe(1)
    expect([node.state, node.handOvers, node.tree.leading, node.actors]).toEqual(['STORAGE_PREPARED', 1, null, 0])
  })
})

describe('a reign that fails', () => {
  test('actors cannot be made: the subtree is stopped once, the error is told, leadership given away, the process lives', async () => {
    const fault = new Error('rows that make no sense')
    const node = await begun({ config: failing(fault) })
    await node.register()
    expect(node.errors).toContain(fault)
    expect([node.count('reign-failed'), node.driver.stops, node.handOvers]).toEqual([1, 1, 1])
    expect([node.state, node.advertised, node.actors, node.endings]).toEqual(['STORAGE_PREPARED', 0, 0, 0])
  })

  test('alone, and the fault is there again: the third one within ten minutes ends the process', async () => {
    const node = await begun({ isAlone: true, config: failing(new Error('rows that make no sense')) })
    for (const pauseMs of [1_000, 2_000, 4_000]) {
      await node.register()
      await node.pass(pauseMs)
    }
    expect([node.endings, node.advertised]).toEqual([1, 0])
    await node.pass(600_000)
    expect([node.state, node.count('reign-failed')]).toEqual(['DEAD', 3])
  })

  test('the driver cannot be started: as any other fault', async () => {
    node = new Node({ isAlone: true })
    node.driver.failure = new Error('no address')
    await node.begin()
    expect([node.state, node.count('reign-failed'), node.endings]).toEqual(['STORAGE_PREPARED', 1, 0])
    await node.pass(1_000)
    await node.register()
    expect([node.state, node.advertised]).toEqual(['ACTIVE', 1])
  })

  test('an actor of an active reign fails for good: the reign ends, not the process', async () => {
    const node = await begun()
    await node.register()
    for (let n = 0; n <= 10; n++) {
      node.tree.leading?.jobKeeper.tell(null as never)
      await node.pass(Math.min(10_000, 100 * 2 ** n))
    }
    expect([node.count('reign-failed'), node.handOvers, node.endings]).toEqual([1, 1, 0])
    expect([node.state, node.tree.leading, node.actors]).toEqual(['STORAGE_PREPARED', null, 0])
  })
})

describe('a backup is committed', () => {
  /** One backup, without any rows. */
  const backup: LeaderParts['backup'] = {
    folder: {
      path: '/backups',
      clean: async () => {},
      list: async () => [],
      write: () => Promise.reject(new Error('a folder to read from')),
      remove: async () => {},
      read: async () => {},
    },
    schedule: { lastMonoMs: 0 },
    intervalMs: 3_600_000,
    keep: 48,
  }
  const said: string[] = []
  async function restored(isAlone: boolean): Promise<Node> {
    const it = await begun({ backup, isAlone })
    await it.register()
    it.ledger.stage({ cause: CAUSE, changes: [putConfig(configRow()), putTask(taskRow('t'))] })
    await it.sim.settle()
    const ref = it.tree.leading?.backup
    const more = {
      requestId: 'r',
      fingerprint: 'f',
      user: 'bob',
      replyTo: { path: 'test', tell: ({ type }: { type: string }) => said.push(type) > 0 },
    }
    ref?.tell({ type: 'stage', name: 'B', ...more })
    await it.sim.settle()
    said.length = 0
    ref?.tell({ type: 'commit', digest: null, reason: '', ...more, requestId: 'c' })
    return it
  }

  test('no actor of the reign has another turn on the rows that come; leadership is given away when they are committed', async () => {
    const it = await restored(false)
    it.log.hold()
    it.sim.run()
    expect(it.tree.leading).toBeNull()
    expect(it.actors).toBe(0)
    await it.sim.settle()
    expect([said, it.handOvers]).toEqual([[], 0])
    it.log.release()
    await it.sim.settle()
    expect(said).toEqual(['restored'])
    expect(it.handOvers).toBe(1)
    expect(it.count('reign-resigned')).toBe(1)
  })

  test('alone: a new reign begins from the restored rows after the pause', async () => {
    const it = await restored(true)
    await it.sim.settle()
    expect([it.advertised, it.tree.leading]).toEqual([1, null])
    await it.pass(1_000)
    await it.register()
    expect(it.advertised).toBe(2)
    expect(it.ledger.view.counts.tasks).toBe(0)
    expect(it.ledger.view.request('c')).toMatchObject({ outcome: { type: 'restored', name: 'B' } })
    expect(it.endings).toBe(0)
  })
})

describe('a driver that does not stop in order', () => {
  test('it fails to: said, and leadership is given away as ever', async () => {
    const node = await begun()
    node.driver.stopping = 'fails'
    await node.pass(60_000)
    expect([node.count('driver-stop-failed'), node.state, node.handOvers]).toEqual([1, 'STORAGE_PREPARED', 1])
  })

  test('it never does: leadership is given away after 15 s all the same', async () => {
    const node = await begun()
    await node.register()
    node.driver.stopping = 'hangs'
    node.driver.exit('gone')
    await node.pass(14_999)
    expect([node.state, node.handOvers, node.tree.leading, node.actors]).toEqual(['DEAD', 0, null, 0])
    await node.pass(1)
    expect([node.count('reign-ending-late'), node.state, node.handOvers]).toEqual([1, 'STORAGE_PREPARED', 1])
    node.driver.stopping = 'done'
  })
})

describe('before all actors have begun', () => {
  test('one of them fails to at first: nobody finds this leader before it has', async () => {
    let faults = 2
    const listener: Listener = {
      get onConnection() {
        return null
      },
      set onConnection(_taken) {
        if (faults-- > 0) throw new Error('not yet')
      },
    }
    const node = await begun({ listener })
    await node.register()
    expect([node.state, node.tree.leading, node.advertised]).toEqual(['ACTIVE', null, 0])
    expect(node.tree.life).toMatchObject({ isAdvertised: false, waitsFor: 'the actors of its reign to begin' })
    await node.pass(100)
    expect(node.tree.leading).toBeNull()
    await node.pass(200)
    expect([node.advertised, node.tree.life.isAdvertised]).toEqual([1, true])
  })

  test('leadership lost: found by nobody from that very call on, whatever waits in mailboxes', async () => {
    const node = await begun()
    await node.register()
    const seen: unknown[] = []
    node.ledger.onClose(() => seen.push(node.tree.leading, node.tree.life.isAdvertised))
    node.log.lose()
    await node.sim.settle()
    expect(seen).toEqual([null, false])
  })

  test('the log cannot be opened: dead, and a word of the log that comes late begins nothing', async () => {
    node = new Node()
    await node.log.start(node.ledger.listener)
    node.tree.prepareFailed()
    await node.elect()
    expect([node.state, node.driver.starts]).toEqual(['DEAD', []])
  })

  test('the node stops while it leads: everything is stopped, leadership is left to the log', async () => {
    const node = await begun()
    await node.register()
    const stopped = node.tree.stop()
    await node.sim.settle()
    await stopped
    expect([node.state, node.actors, node.handOvers, node.driver.isRunning]).toEqual(['DEAD', 0, 0, false])
  })
})

test('on the real shell, an actor that never comes to rest when the leader begins: the registration is delivered', async () => {
  const system = createActorSystem({
    name: 'test',
    clock: { read: () => ({ wallMs: Date.now(), monoMs: performance.now() }) },
    random: prng(1),
    log: SILENT,
    onEndProcess: error => {
      throw error
    },
  })
  const log = new MemoryLog()
  const clock = { read: () => ({ wallMs: Date.now(), monoMs: performance.now() }) }
  const ledger = createLedger({ system, log, clock, metrics: silentMetrics, logger: SILENT })
  let isBusy = true
  let turns = 0
  const busy = system.spawn<'again'>({
    name: 'busy',
    kind: 'Busy',
    start: context => ({
      receive: () => {
        turns++
        const untilMs = performance.now() + 3
        while (performance.now() < untilMs);
        if (isBusy) context.self.tell('again')
      },
    }),
  })
  // Never read: whoever waited for its turn behind this one would wait for ever.
  for (let n = 0; n < 1_000; n++) busy.tell('again')
  ledger.onOpen(() => {
    throw new Error('a listener that throws')
  })
  const driver = new SimDriver()
  const tree = followLeadership({
    system,
    ledger,
    listener: { onConnection: null },
    config,
    secret: '',
    hostName: 'leader',
    driver: started(driver, () => driver.register()),
    handOver: () => log.transfer(),
    endProcess: cause => {
      throw cause
    },
    metrics: silentMetrics,
    logger: SILENT,
  })
  const advertised = new Promise<void>(resolve => tree.onAdvertised(resolve))
  await log.start(ledger.listener)
  tree.prepared()
  log.elect()
  await advertised
  expect(tree.life).toMatchObject({ state: 'ACTIVE', isRegistered: true })
  expect(turns, 'others had their turns meanwhile').toBeLessThan(1_000)
  isBusy = false
  await Promise.all([tree.stop(), system.stop()])
})

const SILENT: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {}, child: () => SILENT }

/** `then` in a later turn of the event loop. */
function started(driver: SimDriver, then: () => void): DriverPort {
  return {
    name: driver.name,
    start(epoch, events) {
      driver.start(epoch, events)
      setImmediate(then)
    },
    stop: () => driver.stop(),
  }
}

/** The first thing that is asked of it while a reign is made throws. */
function failing(fault: Error): LeaderParts['config'] {
  return {
    scheduler: config.scheduler,
    get executor(): never {
      throw fault
    },
  }
}
