import { describe, expect, test } from 'vitest'
import { type AgentActorOptions, agent } from '../../src/actors/agent.ts'
import type { AgentStore, StoreChange, TaskMachine } from '../../src/actors/agent-ports.ts'
import { silentMetrics } from '../../src/actors/ports.ts'
import { createSimSystem } from '../../src/actors/sim-shell.ts'
import { NO_IDENTITY } from '../../src/core/executor/agent-book.ts'
import { FakeLeader, type FakeLeaderOptions, taskInfo } from '../fixtures/fake-leader.ts'

/** The agent on virtual time, with a machine where everything works and nothing takes time. */
function simulated(
  leaderOptions: FakeLeaderOptions = {},
  more: Partial<AgentActorOptions> = {},
  machineMore: Partial<TaskMachine> = {},
) {
  const sim = createSimSystem({ seed: 7 })
  const leader = new FakeLeader({ ...leaderOptions })
  const changes: StoreChange[] = []
  const fatal: unknown[] = []
  const store: AgentStore = {
    load: () => ({
      identity: NO_IDENTITY,
      records: [],
      checkpoints: new Map(),
      statuses: [],
      tombstones: new Map(),
      quarantined: [],
    }),
    write: async change => void changes.push(change),
  }
  const machine: TaskMachine = {
    bootId: 'boot-1',
    prepare: async () => ({ ok: true }),
    startRun: async () => ({ ok: true }),
    findRuns: async () => [],
    sweepRun: () => {},
    terminate: () => {},
    awaitEmpty: (_taskId, _options, empty) => empty(),
    release: () => {},
    killOrphans: () => 0,
    removeSandbox: async () => {},
    sandboxes: async () => [],
    readLog: async () => {
      throw new Error('the disk is gone')
    },
    vitals: () => ({ load1: 0, freeRamMb: 0, freeDiskMb: 0, diskUsedFraction: 0 }),
    ...machineMore,
  }
  const ref = sim.spawn(
    agent({
      host: 'h1',
      schedulers: ['http://10.0.0.1:8081', 'http://10.0.0.2:8081'],
      attributes: [],
      offer: () => ({ resources: { cpusMilli: 1_000, ramMb: 100, diskMb: 100, gpus: 0 }, portRanges: [] }),
      place: 'place-1',
      draining: false,
      logUrl: null,
      agentVersion: '0',
      instanceId: 'i',
      killCapMs: 1_000,
      sandboxKeepMs: 1_000,
      redialMsMax: 30_000,
      secret: null,
      newNonce: () => 'nonce-0123456789',
      hash: text => text,
      dialer: leader.dialer,
      store,
      machine,
      metrics: silentMetrics,
      fatal: cause => fatal.push(cause),
      ...more,
    }),
  )
  return { sim, ref, leader, changes, fatal, store }
}

test('nobody answers: the addresses are dialled in turn, with pauses that stay below 30 s', async () => {
  const { sim, leader } = simulated({ reachable: false })
  await sim.settle()
  const pauses: number[] = []
  for (let dials = 1; dials < 40; dials++) {
    const pauseMs = sim.nextTimerInMs ?? 0
    // Other timers (the keeper's sweep) fall in between.
    let waitedMs = 0
    while (leader.dialed.length === dials) {
      const stepMs = Math.max(sim.nextTimerInMs ?? 0, 0)
      waitedMs += stepMs
      sim.advance(stepMs)
      await sim.settle()
    }
    expect(pauseMs).toBeLessThanOrEqual(30_000)
    pauses.push(waitedMs)
  }
  expect(Math.max(...pauses)).toBeLessThanOrEqual(30_000)
  expect(Math.max(...pauses)).toBeGreaterThan(2_000)
  expect(new Set(leader.dialed)).toEqual(new Set(['http://10.0.0.1:8081', 'http://10.0.0.2:8081']))
  expect(leader.dialed[0]).not.toBe(leader.dialed[1])
})

test('a leader that falls silent for three heartbeats: the agent hangs up and dials again', async () => {
  const { sim, leader } = simulated({ heartbeatMs: 5_000 })
  await sim.settle()
  expect(leader.connections).toBe(1)
  sim.advance(5_000)
  await sim.settle()
  expect(leader.all('HEARTBEAT').length).toBeGreaterThan(1)
  leader.send = () => {}
  for (let n = 0; n < 4; n++) {
    sim.advance(5_000)
    await sim.settle()
  }
  expect(leader.closes[0]?.reason).toContain('nothing heard for 15 s')
})

test('no WELCOME within 10 s: the agent hangs up', async () => {
  const { sim, leader } = simulated({ greets: false })
  await sim.settle()
  sim.advance(9_999)
  await sim.settle()
  expect(leader.closes).toEqual([])
  sim.advance(1)
  await sim.settle()
  expect(leader.closes[0]?.reason).toBe('no answer to HELLO within 10 s')
})

test('a status that nobody acknowledges comes again after 5 s, and only the first of its task', async () => {
  const { sim, leader } = simulated({ acknowledges: false })
  await sim.settle()
  leader.launch('t-1', taskInfo([{ cmdline: 'true' }]))
  await sim.settle()
  expect(leader.statuses('t-1')).toEqual(['STARTING#1'])
  for (let second = 0; second < 6; second++) {
    sim.advance(1_000)
    await sim.settle()
  }
  expect(leader.statuses('t-1')).toEqual(['STARTING#1', 'STARTING#1'])
})

test('a launch is acknowledged after its record is durable, not before; a failed flush is fatal and nothing is acknowledged', async () => {
  const { sim, leader, store, fatal, changes } = simulated()
  await sim.settle()
  let flushed = (): void => {}
  let failed = (_cause: Error): void => {}
  store.write = change => {
    changes.push(change)
    return new Promise((resolve, reject) => {
      flushed = resolve
      failed = reject
    })
  }
  leader.launch('t-1', taskInfo([{ cmdline: 'true' }]))
  await sim.settle()
  expect(leader.all('LAUNCH_ACK')).toEqual([])
  expect(changes.at(-1)?.records).toMatchObject([{ taskId: 't-1', state: 'ACCEPTED', bootId: 'boot-1' }])
  flushed()
  await sim.settle()
  expect(leader.all('LAUNCH_ACK')).toHaveLength(1)
  leader.launch('t-2', taskInfo([{ cmdline: 'true' }]))
  await sim.settle()
  failed(new Error('EIO'))
  await sim.settle()
  expect(String(fatal[0])).toContain('EIO')
  expect(leader.all('LAUNCH_ACK')).toHaveLength(1)
})

test('a log that cannot be read: an answer with the reason, not silence', async () => {
  const { sim, leader } = simulated()
  await sim.settle()
  leader.send({
    type: 'LOG_READ',
    epoch: leader.epoch,
    request: 1,
    taskId: 't-1',
    process: null,
    run: null,
    stream: 'stdout',
    offset: 0,
    length: 10,
  })
  await sim.settle()
  expect(leader.all('LOG_DATA')[0]).toMatchObject({ request: 1, error: 'the disk is gone' })
})

test('1,100 tasks: listed in pages of 500, each once, the last page says so; a reconcile likewise', async () => {
  const { sim, leader } = simulated(
    {},
    { offer: () => ({ resources: { cpusMilli: 1e9, ramMb: 1e9, diskMb: 1e9, gpus: 0 }, portRanges: [] }) },
  )
  await sim.settle()
  const ids = Array.from({ length: 1_100 }, (_, n) => `t-${n}`)
  for (const id of ids) leader.launch(id, taskInfo([{ cmdline: 'true' }]))
  await sim.settle()
  leader.drop()
  await sim.settle()
  leader.received.length = 0
  sim.advance(30_000)
  await sim.settle()
  const pages = leader.all('TASKS')
  expect(pages.map(({ tasks, last }) => [tasks.length, last])).toEqual([
    [500, false],
    [500, false],
    [100, true],
  ])
  expect(new Set(pages.flatMap(({ tasks }) => tasks.map(({ taskId }) => taskId)))).toEqual(new Set(ids))
  leader.send({ type: 'RECONCILE', epoch: leader.epoch, taskIds: null })
  await sim.settle()
  const results = leader.all('RECONCILE_RESULT')
  expect(results.map(({ tasks, last }) => [tasks.length, last])).toEqual(pages.map(p => [p.tasks.length, p.last]))
})

test('a runner that fails and is made anew: the kill it had heard is not forgotten', async () => {
  let fail: ((cause: Error) => void) | undefined
  const findRuns = (): Promise<[]> =>
    fail === undefined ? new Promise((_, reject) => (fail = reject)) : Promise.resolve([])
  const { sim, leader } = simulated({}, {}, { findRuns })
  await sim.settle()
  leader.launch('t-1', taskInfo([{ cmdline: 'true' }]))
  await sim.settle()
  leader.kill('t-1')
  await sim.settle()
  expect(leader.all('KILL_ACK')).toHaveLength(1)
  fail?.(new Error('EIO'))
  await sim.settle()
  sim.advance(1_000)
  await sim.settle()
  expect(leader.statuses('t-1').at(-1)).toContain('KILLED')
})

describe('what the machine offers changes while it runs', () => {
  const OFFER = { cpusMilli: 1_000, ramMb: 10_000, diskMb: 10_000, gpus: 0 }
  /** With an agent whose machine is now `is`. */
  async function running() {
    const machine = { is: OFFER }
    const world = simulated({}, { offer: () => ({ resources: machine.is, portRanges: [[31_000, 31_001]] }) })
    await world.sim.settle()
    world.leader.received.length = 0
    const pass = async (ms: number): Promise<void> => {
      for (let at = 0; at < ms; at += 5_000) {
        world.sim.advance(5_000)
        await world.sim.settle()
      }
    }
    return { ...world, machine, pass, updates: () => world.leader.all('UPDATE_AGENT') }
  }

  test('told within a minute, again with every heartbeat until acknowledged, and not after', async () => {
    const { sim, leader, machine, pass, updates } = await running()
    await pass(60_000)
    expect(updates()).toEqual([])
    machine.is = { ...OFFER, cpusMilli: 500 }
    await pass(60_000)
    expect(updates()[0]).toMatchObject({ n: 1, resources: { cpusMilli: 500 }, portRanges: [[31_000, 31_001]] })
    const before = updates().length
    await pass(5_000)
    expect(updates()).toHaveLength(before + 1)
    leader.send({ type: 'UPDATE_AGENT_ACK', epoch: leader.epoch, n: 1 })
    await sim.settle()
    const acknowledged = updates().length
    await pass(60_000)
    expect(updates()).toHaveLength(acknowledged)
  })

  test('a late acknowledgement of what was said before: the later word is still repeated', async () => {
    const { sim, leader, machine, pass, updates } = await running()
    machine.is = { ...OFFER, cpusMilli: 500 }
    await pass(60_000)
    machine.is = { ...OFFER, cpusMilli: 250 }
    await pass(60_000)
    leader.send({ type: 'UPDATE_AGENT_ACK', epoch: leader.epoch, n: 1 })
    await sim.settle()
    const before = updates().length
    await pass(5_000)
    expect(updates().slice(before)).toMatchObject([{ n: 2, resources: { cpusMilli: 250 } }])
  })

  test('the connection is lost before it is acknowledged: the next HELLO says it, and nothing else has to', async () => {
    const { leader, machine, pass, updates } = await running()
    machine.is = { ...OFFER, cpusMilli: 500 }
    await pass(60_000)
    leader.drop()
    leader.received.length = 0
    await pass(60_000)
    expect(leader.all('HELLO').at(-1)).toMatchObject({ resources: { cpusMilli: 500 } })
    expect(updates()).toEqual([])
  })

  test('less than is in use: the task runs on, the next is refused', async () => {
    const { sim, leader, machine, pass } = await running()
    const info = taskInfo([{ cmdline: 'true' }], { cpusMilli: 800 })
    leader.launch('t', info)
    await sim.settle()
    machine.is = { ...OFFER, cpusMilli: 500 }
    await pass(60_000)
    leader.launch('u', taskInfo([{ cmdline: 'true' }], { cpusMilli: 10 }))
    await sim.settle()
    const answers = leader.all('LAUNCH_ACK').flatMap(({ results }) => results.map(({ taskId, code }) => [taskId, code]))
    expect(answers).toEqual([
      ['t', 'ok'],
      ['u', 'does_not_fit'],
    ])
    expect(leader.statuses('t')).not.toContainEqual(expect.stringMatching(/KILLED|FAILED|LOST/))
  })

  test('an agent whose tasks are all to end says that it takes no more', async () => {
    const { sim, updates, ref } = await running()
    ref.tell({ type: 'killAllTasks', replyTo: { path: '/test', tell: () => true } })
    await sim.settle()
    expect(updates()).toMatchObject([{ draining: true }])
  })
})

test('many acknowledgements in one message: one write', async () => {
  const { sim, leader, changes } = simulated({ acknowledges: false })
  await sim.settle()
  for (const id of ['t', 'u', 'v']) leader.launch(id, taskInfo([{ cmdline: 'true' }]))
  await sim.settle()
  changes.length = 0
  const acks = ['t', 'u', 'v'].map(taskId => ({ taskId, seq: 1 }))
  leader.send({ type: 'STATUS_ACK', epoch: leader.epoch, acks })
  await sim.settle()
  expect(changes.filter(({ dropStatuses }) => dropStatuses !== undefined)).toMatchObject([{ dropStatuses: acks }])
})
