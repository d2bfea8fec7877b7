import { describe, expect, test } from 'vitest'
import type { Transitioned } from '../../src/actors/task-state-machine.ts'
import { agentId, taskId } from '../../src/core/base/ids.ts'
import type { Rejection } from '../../src/core/base/rejection.ts'
import { agentKey, agentProof, leaderProof } from '../../src/wire/agent-proof.ts'
import type { Hello, LogData } from '../../src/wire/messages/agent.ts'
import { A1, collect, type FakeConnection, gateway, hello, hmac, onA1, report } from '../fixtures/gateway-under-test.ts'
import { agentRow, configRow, putAgent, putConfig, putTask, taskRow } from '../fixtures/rows.ts'

describe('AgentGateway takes agents in', () => {
  test('a new agent gets an id, is told only once its row is committed, and is offered after its task list', async () => {
    const { system, log, ledger, connect, agents, view } = await gateway()
    const connection = connect()
    log.hold()
    connection.says(hello())
    await system.settle()
    expect(connection.sent).toEqual([])
    log.release()
    await system.settle()
    expect(connection.ofType('WELCOME')).toMatchObject([{ agentId: 'uuid-1', clusterId: 'c0ffee', epoch: [3, 1] }])
    expect(ledger.view.agent(agentId('uuid-1'))).toMatchObject({
      host: 'h1',
      attributes: [{ name: 'rack', values: ['r1', 'r2'] }],
    })
    expect(agents).toEqual([])
    connection.says({ type: 'TASKS', tasks: [], last: true })
    await system.settle()
    expect(connection.ofType('TASKS_DONE')).toMatchObject([{ kill: [], forget: [] }])
    expect(agents).toEqual([{ type: 'agentUp', agentId: 'uuid-1' }])
    expect(view.connected(agentId('uuid-1'))).toBe(true)
  })

  test('agents without a rack or host are counted where the gateway is looked at', async () => {
    const { system, connect } = await gateway()
    const counted = () =>
      system.inspection.actors().find(({ kind }) => kind === 'AgentGateway')?.stateSummary.withoutHostOrRack
    const attribute = (name: string) => ({ name, values: ['x'] })
    const before = Number(counted())
    connect().says(hello({ host: 'whole', attributes: [attribute('host'), attribute('rack')] }))
    await system.settle()
    expect(counted()).toBe(before)
    connect().says(hello({ host: 'rackless', attributes: [attribute('host')] }))
    await system.settle()
    expect(counted()).toBe(before + 1)
  })

  test('where an agent has its work folder is kept, also when it does not say so the next time', async () => {
    const { ready, ledger } = await gateway()
    await ready({ agentId: A1, workDir: '/var/lib/daybreak' })
    expect(ledger.view.agent(A1)).toMatchObject({ workDir: '/var/lib/daybreak' })
    await ready({ agentId: A1 })
    expect(ledger.view.agent(A1)).toMatchObject({ workDir: '/var/lib/daybreak' })
  })

  test('a known agent that says the same again: nothing is appended', async () => {
    const { system, log, connect } = await gateway()
    const first = connect()
    first.says(hello({ agentId: A1 }))
    await system.settle()
    const appended = log.appended.length
    const second = connect()
    second.says(hello({ agentId: A1 }))
    await system.settle()
    expect(second.ofType('WELCOME').length).toBe(1)
    expect(log.appended.length).toBe(appended)
  })

  test('two connections with one agent id: the newer wins, the older is closed with 4408', async () => {
    const { ready, view } = await gateway()
    const older = await ready()
    const newer = await ready()
    expect(older.closed?.code).toBe(4408)
    expect(newer.closed).toBeNull()
    expect(view.connected(A1)).toBe(true)
  })

  test('with a secret: a right proof is let in and answered with ours, a wrong one is told nothing but the refusal', async () => {
    const { system, connect } = await gateway({ secret: 'correct horse battery' })
    const key = agentKey(hmac, 'correct horse battery')
    const good = connect()
    good.says(hello({ proof: agentProof(hmac, key, 'listener-nonce', 'agent-nonce-0123456789') }))
    await system.settle()
    expect(good.ofType('WELCOME')[0]?.proof).toBe(leaderProof(hmac, key, 'listener-nonce', 'agent-nonce-0123456789'))
    const bad = connect()
    bad.says(hello({ proof: agentProof(hmac, agentKey(hmac, 'wrong'), 'listener-nonce', 'agent-nonce-0123456789') }))
    await system.settle()
    expect(bad.sent).toMatchObject([{ type: 'REJECT', code: 'auth', message: 'authentication failed' }])
    expect(bad.closed?.code).toBe(4401)
  })

  test('another version or another cluster: refused with both sides named', async () => {
    const { system, connect } = await gateway()
    const future = connect()
    future.says(hello({ protoMin: 7, protoMax: 9 }))
    const foreign = connect()
    foreign.says(hello({ clusterId: 'beef' }))
    await system.settle()
    expect(future.ofType('REJECT')[0]).toMatchObject({
      code: 'version',
      message: 'agent speaks 7-9, this scheduler 1-1',
    })
    expect(foreign.ofType('REJECT')[0]?.message).toMatch(/belongs to cluster beef, not c0ffee/)
    expect([future.closed?.code, foreign.closed?.code]).toEqual([4401, 4401])
  })

  test('anything before HELLO, or a second HELLO: closed', async () => {
    const { system, connect, ready } = await gateway()
    const rude = connect()
    rude.says({ type: 'KILL_ACK', taskId: 't' })
    const twice = await ready()
    twice.says(hello({ agentId: A1 }))
    await system.settle()
    expect([rude.closed?.code, twice.closed?.code]).toEqual([1007, 1007])
  })

  test('silent for 15 s: given up, and its offers are withdrawn; a heartbeat keeps it', async () => {
    const { system, ready, agents, view } = await gateway()
    const quiet = await ready()
    for (let n = 0; n < 6; n++) {
      system.advance(5_000)
      quiet.says({ type: 'HEARTBEAT', n, load1: 0, freeRamMb: 1, freeDiskMb: 1, taskDigest: 'd' })
      system.run()
    }
    expect(quiet.closed).toBeNull()
    expect(quiet.ofType('HEARTBEAT_ACK').length).toBe(6)
    system.advance(25_000)
    expect(quiet.closed?.reason).toMatch(/silent for over 15 s/)
    expect(agents.at(-1)).toEqual({ type: 'agentDown', agentId: A1 })
    expect(view.connected(A1)).toBe(false)
    expect(view.silentMs(A1)).toBeNull()
  })
})

describe('AgentGateway and agents that are not what they should be', () => {
  test('port ranges that overlap, touch, stand on their heads or out of order: stored as what they mean', async () => {
    const { system, ledger, connect } = await gateway()
    const portRanges: [number, number][] = [
      [31_005, 31_010],
      [31_000, 31_004],
      [31_003, 31_006],
      [9, 5],
      [80, 80],
    ]
    connect().says(hello({ agentId: A1, portRanges }))
    await system.settle()
    expect(ledger.view.agent(A1)?.portRanges).toEqual([
      [80, 80],
      [31_000, 31_010],
    ])
  })

  test('agent-44: two machines with one cloned work folder: both are refused, and the one that is left is let in', async () => {
    const { system, connect } = await gateway()
    const dial = async (bootId: string): Promise<FakeConnection> => {
      const connection = connect()
      connection.says(hello({ agentId: A1, bootId, host: bootId }))
      await system.settle()
      return connection
    }
    await dial('m1')
    await dial('m2')
    const third = await dial('m1')
    const fourth = await dial('m2')
    expect(fourth.ofType('REJECT')).toMatchObject([{ code: 'duplicate' }])
    expect(fourth.ofType('REJECT')[0]?.message).toMatch(/m1.*m2|m2.*m1/)
    expect(third.closed).not.toBeNull()
    system.advance(10_000)
    expect((await dial('m1')).ofType('REJECT')).toHaveLength(1)
    // The other machine is switched off.
    system.advance(61_000)
    expect((await dial('m1')).ofType('WELCOME')).toHaveLength(1)
  })

  test('one machine whose connections break often is not taken for two', async () => {
    const { system, connect } = await gateway()
    for (let n = 0; n < 6; n++) {
      const connection = connect()
      connection.says(hello({ agentId: A1 }))
      await system.settle()
      expect(connection.ofType('WELCOME')).toHaveLength(1)
    }
  })
})

describe('AgentGateway and agents that are away', () => {
  const machines = (count: number) =>
    Array.from({ length: count }, (_, n) => [
      putAgent(agentRow(`a${n}`, { host: `h${n}` })),
      putTask(taskRow(`t${n}`, { status: 'RUNNING', instance: n, agentId: agentId(`a${n}`), host: `h${n}` })),
    ]).flat()
  const beat = (connection: FakeConnection) =>
    connection.says({ type: 'HEARTBEAT', n: 1, load1: 0, freeRamMb: 1, freeDiskMb: 1, taskDigest: 'd' })

  test('agent-33: away for 75 s: its tasks are proposed PARTITIONED, and not before', async () => {
    const { system, ready, proposed } = await gateway({ changes: [putConfig(configRow()), ...machines(1)] })
    const connection = await ready({ agentId: agentId('a0'), host: 'h0' }, [report('t0', 'RUNNING')])
    connection.onClose(1006, 'gone')
    system.advance(70_000)
    expect(proposed).toEqual([])
    system.advance(10_000)
    expect(proposed[0]).toMatchObject({
      taskId: 't0',
      to: 'PARTITIONED',
      message: 'Nothing was heard of h0 for over 75 s',
    })
  })

  test('agent-33: back in time: a PARTITIONED task that still runs there is RUNNING again', async () => {
    const { ready, proposed } = await gateway({
      changes: [putAgent(agentRow('a1')), putConfig(configRow()), onA1('t', 'PARTITIONED')],
    })
    await ready({}, [report('t', 'RUNNING')])
    expect(proposed).toMatchObject([{ taskId: 't', to: 'RUNNING', expectStatus: 'PARTITIONED' }])
  })

  test('a leader that is new: agents have as long to come as others to come back', async () => {
    const { system, proposed } = await gateway({ changes: [putConfig(configRow()), ...machines(1)] })
    system.advance(74_000)
    expect(proposed).toEqual([])
    system.advance(10_000)
    expect(proposed[0]).toMatchObject({ taskId: 't0', to: 'PARTITIONED' })
  })

  test('more than a quarter away at once: their tasks are kept until enough are back', async () => {
    const { system, ready, proposed } = await gateway({ changes: [putConfig(configRow()), ...machines(4)] })
    const two = [await ready({ agentId: agentId('a0') }, [report('t0', 'RUNNING')])]
    two.push(await ready({ agentId: agentId('a1') }, [report('t1', 'RUNNING')]))
    for (let n = 0; n < 30; n++) {
      system.advance(5_000)
      for (const connection of two) beat(connection)
      system.run()
    }
    expect(proposed).toEqual([])
    two.push(await ready({ agentId: agentId('a2') }, [report('t2', 'RUNNING')]))
    system.advance(5_000)
    expect(proposed).toMatchObject([{ taskId: 't3', to: 'PARTITIONED' }])
  })

  test('what an agent says of itself while it runs: in the ledger first, then offered anew and acknowledged', async () => {
    const { system, ledger, log, ready, agents } = await gateway({ changes: [putAgent(agentRow('a1'))] })
    const connection = await ready()
    agents.length = 0
    log.hold()
    const { portRanges, attributes } = hello()
    const resources = { cpusMilli: 500, ramMb: 1, diskMb: 1, gpus: 0 }
    connection.says({ type: 'UPDATE_AGENT', n: 7, resources, portRanges, attributes, draining: false })
    await system.settle()
    expect(connection.ofType('UPDATE_AGENT_ACK')).toEqual([])
    log.letGo()
    await system.settle()
    expect(connection.ofType('UPDATE_AGENT_ACK')).toMatchObject([{ n: 7 }])
    expect(agents).toEqual([{ type: 'agentUp', agentId: A1 }])
    expect(ledger.view.agent(A1)).toMatchObject({ total: resources, host: 'h1' })
  })

  test.each<[string, Hello['attributes'], string]>([
    ['without a value', [{ name: 'rack', values: [] }], 'attribute "rack" has no value: give it one, or leave it out'],
    ['twice', [1, 2].map(n => ({ name: 'rack', values: [`r${n}`] })), 'attribute "rack" is there twice'],
    ['no constraint could name', [{ name: 'rack', values: ['a,b'] }], 'attribute "rack" has the value "a,b"'],
  ])('life-61: an attribute %s: that agent alone is refused, with the fault in words', async (_, attributes, text) => {
    const { system, ledger, ready } = await gateway({ changes: [putAgent(agentRow('a1'))] })
    const bad = await ready({ agentId: agentId('a2'), attributes })
    expect(bad.ofType('REJECT')).toMatchObject([{ code: 'attributes', message: expect.stringContaining(text) }])
    expect(bad.closed?.code).toBe(4401)
    expect(ledger.view.agent(agentId('a2'))).toBeUndefined()
    const good = await ready()
    const { resources, portRanges } = hello()
    const row = ledger.view.agent(A1)
    good.says({ type: 'UPDATE_AGENT', n: 1, resources, portRanges, attributes, draining: false })
    await system.settle()
    expect(good.ofType('REJECT')).toMatchObject([{ code: 'attributes', message: expect.stringContaining(text) }])
    expect(ledger.view.agent(A1)).toEqual(row)
  })

  test('a draining agent is offered nothing, from its HELLO or from the moment it says so; its tasks are kept', async () => {
    const changes = [putAgent(agentRow('a1', { host: 'h1' })), putConfig(configRow()), onA1('t', 'RUNNING')]
    const { system, ready, agents, proposed, view } = await gateway({ changes })
    const connection = await ready({ draining: true }, [report('t', 'RUNNING')])
    expect(agents).toEqual([])
    expect([view.connected(A1), view.takesTasks(A1)]).toEqual([true, false])
    const { resources, portRanges, attributes } = hello()
    const says = async (draining: boolean) => {
      connection.says({ type: 'UPDATE_AGENT', n: 1, resources, portRanges, attributes, draining })
      await system.settle()
    }
    await says(false)
    expect(agents).toEqual([{ type: 'agentUp', agentId: A1 }])
    await says(true)
    expect(agents.at(-1)).toEqual({ type: 'agentDown', agentId: A1 })
    expect(proposed).toEqual([])
  })

  test('more connections without a HELLO than are waited for: the oldest makes way', async () => {
    const { connect } = await gateway()
    const connections = Array.from({ length: 1001 }, () => connect())
    expect(connections[0]?.closed?.reason).toMatch(/too many connections/)
    expect(connections[1]?.closed).toBeNull()
    expect(connections[1000]?.closed).toBeNull()
  })

  test('a kill between HELLO and WELCOME is not said before the WELCOME, and not forgotten', async () => {
    const changes = [putAgent(agentRow('a1')), putConfig(configRow()), onA1('t', 'KILLING')]
    const { system, log, connect, ref } = await gateway({ changes })
    log.hold()
    const connection = connect()
    connection.says(hello({ agentId: A1 }))
    ref.tell({ type: 'kill', taskId: taskId('t'), agentId: A1, reason: 'because' })
    await system.settle()
    expect(connection.sent).toEqual([])
    log.letGo()
    await system.settle()
    connection.says({ type: 'TASKS', tasks: [report('t', 'RUNNING')], last: true })
    await system.settle()
    expect(connection.sent.map(message => message.type)).toEqual(['WELCOME', 'TASKS_DONE'])
    expect(connection.ofType('TASKS_DONE')).toMatchObject([{ kill: ['t'] }])
  })

  test('a launch that is staged while the list is compared leaves only after its commit', async () => {
    const { system, log, ledger, connect } = await gateway({
      changes: [putAgent(agentRow('a1')), putConfig(configRow())],
    })
    const connection = connect()
    connection.says(hello({ agentId: A1 }))
    await system.settle()
    connection.says({ type: 'TASKS', tasks: [], last: true })
    log.hold()
    ledger.stage({ cause: { who: 't', why: 't', wallMs: 1 }, changes: [onA1('t', 'ASSIGNED')] })
    await system.settle()
    expect(connection.ofType('LAUNCH')).toEqual([])
    log.letGo()
    await system.settle()
    expect(connection.ofType('LAUNCH')).toHaveLength(1)
  })
})

describe('AgentGateway compares task lists', () => {
  const world = [putAgent(agentRow('a1', { host: 'h1' })), putConfig(configRow())]

  test('what is unknown to the agent is proposed LOST, a launch that never arrived is sent, a stray is killed', async () => {
    const changes = [
      ...world,
      onA1('assigned', 'ASSIGNED'),
      onA1('gone', 'RUNNING', { instance: 1 }),
      onA1('kept', 'RUNNING', { instance: 2 }),
    ]
    const { ready, proposed } = await gateway({ changes })
    const connection = await ready({}, [report('kept', 'RUNNING'), report('stray', 'RUNNING'), report('old', 'FAILED')])
    expect(proposed).toMatchObject([
      { type: 'propose', taskId: 'gone', to: 'LOST', message: 'Task is unknown to the agent' },
    ])
    expect(connection.ofType('TASKS_DONE')).toMatchObject([{ kill: ['stray'], forget: ['old'] }])
    const launched = connection.ofType('LAUNCH').flatMap(message => message.tasks.map(task => task.taskId))
    expect(new Set(launched)).toEqual(new Set(['assigned']))
  })

  test('a list in several pages is compared whole', async () => {
    const { system, connect, proposed } = await gateway({ changes: [...world, onA1('t', 'RUNNING')] })
    const connection = connect()
    connection.says(hello({ agentId: A1 }))
    await system.settle()
    connection.says({ type: 'TASKS', tasks: [report('x', 'RUNNING')], last: false })
    await system.settle()
    expect(connection.ofType('TASKS_DONE')).toEqual([])
    connection.says({ type: 'TASKS', tasks: [report('t', 'RUNNING')], last: true })
    await system.settle()
    expect(connection.ofType('TASKS_DONE')).toMatchObject([{ kill: ['x'] }])
    expect(proposed).toEqual([])
  })
})

describe('AgentGateway launches, kills and hears', () => {
  const world = [putAgent(agentRow('a1', { host: 'h1' })), putConfig(configRow())]

  test('a launch carries what the task needs, its digest and the epoch; the same launch has the same digest', async () => {
    const { system, ready, ref, ledger } = await gateway({ changes: world })
    const connection = await ready()
    const row = taskRow('t', { status: 'ASSIGNED', agentId: A1, host: 'h1', ports: { http: 31_001 } })
    ledger.stage({ cause: { who: 'test', why: 'assign', wallMs: 0 }, changes: [putTask(row)] })
    await system.settle()
    ref.tell({ type: 'launch', taskId: taskId('t') })
    await system.settle()
    ref.tell({ type: 'launch', taskId: taskId('t') })
    await system.settle()
    const [first, second] = connection.ofType('LAUNCH')
    expect(first).toMatchObject({
      epoch: [3, 1],
      tasks: [{ taskId: 't', info: { ports: { http: 31_001 }, instance: 0, job: { name: 'hello' } } }],
    })
    expect(second?.tasks[0]?.digest).toBe(first?.tasks[0]?.digest)
  })

  test('launches of one commit reach an agent as one message, each task once, and before a kill that comes behind them', async () => {
    const { system, ready, ref, ledger } = await gateway({ changes: world })
    const connection = await ready()
    const changes = ['t', 'u', 'v'].map((id, instance) => onA1(id, 'ASSIGNED', { instance }))
    ledger.stage({ cause: { who: 'test', why: 'assign', wallMs: 0 }, changes })
    await system.settle()
    for (const id of ['t', 'u', 't']) ref.tell({ type: 'launch', taskId: taskId(id) })
    ref.tell({ type: 'kill', taskId: taskId('t'), agentId: A1, reason: 'because' })
    ref.tell({ type: 'launch', taskId: taskId('v') })
    await system.settle()
    const said = connection.sent.filter(({ type }) => type === 'LAUNCH' || type === 'KILL')
    expect(said).toMatchObject([
      { type: 'LAUNCH', tasks: [{ taskId: 't' }, { taskId: 'u' }] },
      { type: 'KILL', taskId: 't' },
      { type: 'LAUNCH', tasks: [{ taskId: 'v' }] },
    ])
  })

  test('launches too large for one message go in several, each task once', async () => {
    const data = 'x'.repeat(40_000)
    const config = configRow('c1', { executor: { name: 'AuroraExecutor', data } })
    const { system, ready, ref, ledger } = await gateway({ changes: [world[0]!, putConfig(config)] })
    const connection = await ready()
    const ids = ['t', 'u', 'v']
    const changes = ids.map((id, instance) => onA1(id, 'ASSIGNED', { instance, configId: config.configId }))
    ledger.stage({ cause: { who: 'test', why: 'assign', wallMs: 0 }, changes })
    await system.settle()
    for (const id of ids) ref.tell({ type: 'launch', taskId: taskId(id) })
    await system.settle()
    expect(connection.ofType('LAUNCH').map(({ tasks }) => tasks.map(task => task.taskId))).toEqual([
      ['t'],
      ['u'],
      ['v'],
    ])
  })

  test('a refused launch becomes LOST, naming the host and the reason; a duplicate does not', async () => {
    const { system, ready, proposed } = await gateway({ changes: [...world, onA1('t', 'ASSIGNED')] })
    const connection = await ready({}, [report('t', 'ACCEPTED')])
    const results = [
      { taskId: 't', code: 'does_not_fit' as const, message: 'only 0.5 core(s) are free' },
      { taskId: 't', code: 'duplicate_task' as const, message: 'it runs' },
    ]
    connection.says({ type: 'LAUNCH_ACK', results })
    await system.settle()
    expect(proposed).toMatchObject([
      {
        taskId: 't',
        to: 'LOST',
        expectStatus: 'ASSIGNED',
        message: 'h1 refused the launch: only 0.5 core(s) are free',
      },
    ])
  })

  test('a launch that is invalid in itself counts as a failure: as a loss it would be replaced for ever', async () => {
    const { system, ready, proposed } = await gateway({ changes: [...world, onA1('t', 'ASSIGNED')] })
    const connection = await ready({}, [report('t', 'ACCEPTED')])
    connection.says({ type: 'LAUNCH_ACK', results: [{ taskId: 't', code: 'invalid', message: 'no such role' }] })
    await system.settle()
    expect(proposed).toMatchObject([
      { to: 'FAILED', expectStatus: 'ASSIGNED', message: 'h1 refused the launch: no such role' },
    ])
  })

  test('life-39: a status that cannot be read is acknowledged and changes nothing; its neighbours are proposed', async () => {
    const { system, ready, proposed } = await gateway({ changes: [...world, onA1('t', 'STARTING')] })
    const connection = await ready({}, [report('t', 'STARTING')])
    connection.onMessage({ type: 'QUARANTINED_STATUS', taskId: 'bad', seq: 7, because: 'state: Invalid option' })
    connection.onMessage({ type: 'QUARANTINED_STATUS', taskId: null, seq: 7, because: 'taskId: too short' })
    const neighbour = {
      taskId: 't',
      seq: 2,
      state: 'RUNNING',
      source: 'executor',
      reason: null,
      message: null,
    } as const
    connection.says({ type: 'STATUS', ...neighbour, atMs: 1 })
    await system.settle()
    expect(connection.closed).toBe(null)
    expect(connection.ofType('STATUS_ACK')).toMatchObject([{ acks: [{ taskId: 'bad', seq: 7 }] }])
    expect(proposed).toMatchObject([{ taskId: 't', to: 'RUNNING' }])
  })

  test('a kill goes to the agent that has the task; without a connection nothing is sent', async () => {
    const { system, ready, ref } = await gateway({ changes: world })
    const connection = await ready()
    ref.tell({ type: 'kill', taskId: taskId('t'), agentId: A1, reason: 'Killed by jane' })
    ref.tell({ type: 'kill', taskId: taskId('u'), agentId: agentId('elsewhere'), reason: 'x' })
    await system.settle()
    expect(connection.ofType('KILL')).toMatchObject([{ taskId: 't', reason: 'Killed by jane' }])
  })

  test('a status is proposed with its sequence number and acknowledged only after the task has answered', async () => {
    const { system, ready, proposed } = await gateway({ changes: [...world, onA1('t', 'STARTING')] })
    const connection = await ready({}, [report('t', 'RUNNING')])
    connection.says({
      type: 'STATUS',
      taskId: 't',
      seq: 4,
      state: 'RUNNING',
      source: 'executor',
      reason: null,
      message: 'up',
      atMs: 1,
    })
    await system.settle()
    const proposal = proposed.at(-1)
    expect(proposal).toMatchObject({ type: 'propose', taskId: 't', to: 'RUNNING', agentSeq: 4, message: 'up' })
    expect(connection.ofType('STATUS_ACK')).toEqual([])
    const answer: Transitioned = { taskId: taskId('t'), result: 'SUCCESS' }
    if (proposal?.type === 'propose') proposal.replyTo?.tell(answer)
    await system.settle()
    expect(connection.ofType('STATUS_ACK')).toMatchObject([{ acks: [{ taskId: 't', seq: 4 }] }])
    expect(connection.ofType('FORGET')).toEqual([])
  })

  test('2,500 statuses that one commit answers: three messages to their agent, none without its acknowledgement', async () => {
    const { system, ready, proposed } = await gateway({ changes: world })
    const connection = await ready()
    const status = { type: 'STATUS', source: 'executor', reason: null, message: null, atMs: 1 } as const
    for (let n = 0; n < 2_500; n++) connection.says({ ...status, taskId: `t${n}`, seq: 2, state: 'FINISHED' })
    await system.settle()
    expect(connection.ofType('STATUS_ACK')).toEqual([])
    for (const one of proposed) if (one.type === 'propose') one.replyTo?.tell({ taskId: one.taskId, result: 'ILLEGAL' })
    await system.settle()
    const acks = connection.ofType('STATUS_ACK').map(message => message.acks)
    expect(acks.map(({ length }) => length)).toEqual([1_000, 1_000, 500])
    expect(new Set(acks.flat().map(({ taskId }) => taskId)).size).toBe(2_500)
    expect(connection.ofType('FORGET').flatMap(({ taskIds }) => taskIds)).toHaveLength(2_500)
  })

  test('an illegal status is acknowledged too, or it would come for ever; an unknown ended task is forgotten', async () => {
    const { system, ready, proposed } = await gateway({ changes: world })
    const connection = await ready()
    connection.says({
      type: 'STATUS',
      taskId: 'nobody',
      seq: 2,
      state: 'FINISHED',
      source: 'executor',
      reason: null,
      message: null,
      atMs: 1,
    })
    await system.settle()
    const proposal = proposed.at(-1)
    if (proposal?.type === 'propose') proposal.replyTo?.tell({ taskId: taskId('nobody'), result: 'ILLEGAL' })
    await system.settle()
    expect(connection.ofType('STATUS_ACK')).toMatchObject([{ acks: [{ taskId: 'nobody', seq: 2 }] }])
    expect(connection.ofType('FORGET')).toMatchObject([{ taskIds: ['nobody'] }])
  })

  test('life-40: a limit that was broken without words gets its fixed text; an executor that never registered, none', async () => {
    const { system, ready, proposed } = await gateway({ changes: [...world, onA1('t', 'RUNNING')] })
    const connection = await ready({}, [report('t', 'RUNNING')])
    const status = { type: 'STATUS', taskId: 't', state: 'FAILED', source: 'agent', atMs: 1 } as const
    connection.says({ ...status, seq: 1, reason: 'CONTAINER_LIMITATION_MEMORY', message: null })
    connection.says({ ...status, seq: 2, reason: 'CONTAINER_LIMITATION_MEMORY', message: 'x' })
    connection.says({ ...status, seq: 3, reason: 'EXECUTOR_UNREGISTERED', message: 'at 0x7f33' })
    connection.says({ ...status, seq: 4, reason: 'CONTAINER_LIMITATION_DISK', message: null })
    await system.settle()
    expect(proposed.map(one => one.type === 'propose' && one.message)).toEqual([
      'Task used more memory than requested.',
      'x',
      undefined,
      'Task used more disk than requested.',
    ])
  })

  test('a status from an agent that does not have the task changes nothing', async () => {
    const { system, ready, proposed } = await gateway({ changes: [...world, onA1('t', 'RUNNING')] })
    const connection = await ready({ agentId: agentId('a2') })
    connection.says({
      type: 'STATUS',
      taskId: 't',
      seq: 1,
      state: 'FAILED',
      source: 'agent',
      reason: null,
      message: null,
      atMs: 1,
    })
    await system.settle()
    expect(proposed).toEqual([])
    // It would be repeated for ever and stand before others.
    expect(connection.ofType('STATUS_ACK')).toMatchObject([{ acks: [{ taskId: 't', seq: 1 }] }])
  })

  test('a task that runs on an agent to which it is not bound is killed there', async () => {
    const { system, ready } = await gateway({ changes: [...world, onA1('t', 'RUNNING')] })
    const listed = await ready({ agentId: agentId('a2') }, [report('t', 'RUNNING')])
    expect(listed.ofType('TASKS_DONE')).toMatchObject([{ kill: ['t'] }])
    const connection = await ready({ agentId: agentId('a3') })
    connection.says({
      type: 'STATUS',
      taskId: 't',
      seq: 1,
      state: 'RUNNING',
      source: 'agent',
      reason: null,
      message: null,
      atMs: 1,
    })
    await system.settle()
    expect(connection.ofType('KILL')).toMatchObject([{ taskId: 't' }])
  })
})

describe('AgentGateway reads logs', () => {
  const ask = {
    type: 'readLog',
    taskId: taskId('t'),
    agentId: A1,
    process: null,
    run: null,
    stream: 'stdout',
    offset: 0,
    length: 10,
  } as const

  test('the answer goes to who asked; trouble is a refusal in words', async () => {
    const { system, ready, ref } = await gateway()
    const connection = await ready()
    const { ref: replyTo, got } = collect<LogData | Rejection>()
    ref.tell({ ...ask, replyTo })
    ref.tell({ ...ask, replyTo })
    await system.settle()
    const [first, second] = connection.ofType('LOG_READ')
    const data = {
      type: 'LOG_DATA',
      offset: 0,
      size: 2,
      data: new Uint8Array([104, 105]),
      rotated: false,
      process: 'p',
      run: 0,
    } as const
    connection.says({ ...data, request: first?.request ?? 0, error: null })
    connection.says({ ...data, request: second?.request ?? 0, error: 'no such process: q' })
    await system.settle()
    expect(got).toMatchObject([
      { type: 'LOG_DATA', size: 2 },
      { type: 'rejected', code: 'NOT_FOUND', detail: 'no such process: q' },
    ])
  })

  test('not connected, not answering, or gone meanwhile: said so, never left waiting', async () => {
    const { system, ready, ref } = await gateway()
    const { ref: replyTo, got } = collect<LogData | Rejection>()
    ref.tell({ ...ask, replyTo })
    await system.settle()
    const connection = await ready()
    ref.tell({ ...ask, replyTo })
    system.advance(5_000)
    ref.tell({ ...ask, replyTo })
    system.run()
    connection.onClose(1006, 'cut')
    await system.settle()
    expect(got.map(one => 'code' in one && one.code)).toEqual([
      'AGENT_UNREACHABLE',
      'AGENT_UNREACHABLE',
      'AGENT_UNREACHABLE',
    ])
  })
})
