import { createHmac } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { agentKey, agentProof, leaderProof } from '../../../src/wire/agent-proof.ts'
import { CLOSE } from '../../../src/wire/messages/agent.ts'
import { agentUnderTest, workFolder } from '../../fixtures/agent-under-test.ts'
import { FakeLeader, taskInfo } from '../../fixtures/fake-leader.ts'

describe('the first words', () => {
  test('HELLO says who and what; the id it was given is told again by the next agent on the folder', async () => {
    const first = await agentUnderTest()
    await first.leader.ready()
    const hello = first.leader.all('HELLO')[0]
    expect(hello).toMatchObject({
      agentId: null,
      clusterId: null,
      maxEpoch: null,
      host: 'test-host',
      resources: { cpusMilli: 4_000, ramMb: 1_000, diskMb: 1_000, gpus: 0 },
      portRanges: [[31_000, 32_000]],
      executors: ['AuroraExecutor'],
      proof: '',
    })
    expect(hello?.attributes).toEqual([
      { name: 'host', values: ['test-host'] },
      { name: 'rack', values: ['r1'] },
    ])
    await first.leave()
    const second = await agentUnderTest({ workDir: first.workDir, leader: new FakeLeader() })
    await second.leader.ready()
    expect(second.leader.all('HELLO')[0]).toMatchObject({
      agentId: 'agent-1',
      clusterId: 'test-cluster',
      maxEpoch: [1, 1],
    })
    expect(second.leader.all('HELLO')[0]?.instanceId).not.toBe(hello?.instanceId)
  })

  test('a node that does not lead sends it on; a circle of redirects ends, and it begins anew', async () => {
    const { leader } = await agentUnderTest({ leader: { reachable: false } })
    await leader.until(() => leader.dialed.length >= 2, 'two dials')
    leader.redirectTo = 'http://127.0.0.1:9/agent/v1'
    leader.reachable = true
    await leader.ready()
    expect(leader.dialed.at(-1)).toBe('http://127.0.0.1:9/agent/v1')

    const circle = new FakeLeader()
    const dial = circle.dialer.dial
    let dials = 0
    circle.dialer.dial = url => {
      dials += 1
      if (dials <= 8) circle.redirectTo = `http://127.0.0.1:${dials}`
      return dial(url)
    }
    const { logged } = await agentUnderTest({ leader: circle })
    await circle.ready()
    expect(logged.some(line => line.includes('more than 5 redirects'))).toBe(true)
  })

  test('a secret: the proof is the leader’s to check, and a leader that does not know it is not obeyed', async () => {
    const hmac = (key: Uint8Array | string, text: string) => createHmac('sha256', key).update(text).digest('hex')
    const key = agentKey(hmac, 'a secret of sixteen')
    const { leader } = await agentUnderTest({ leader: { greets: false }, options: { secret: 'a secret of sixteen' } })
    await leader.until(() => leader.all('HELLO').length === 1, 'HELLO')
    const { proof, nonce } = leader.all('HELLO')[0] ?? { proof: '', nonce: '' }
    expect(proof).toBe(agentProof(hmac, key, 'leader-nonce-0123456789', nonce))
    leader.welcome('forged')
    await leader.until(() => leader.closes.length === 1, 'the end of the connection')
    expect(leader.closes[0]?.code).toBe(CLOSE.rejected)
    await leader.until(() => leader.all('HELLO').length === 2, 'another HELLO')
    leader.welcome(leaderProof(hmac, key, 'leader-nonce-0123456789', leader.all('HELLO')[1]?.nonce ?? ''))
    await leader.until(() => leader.all('TASKS').length === 1, 'its tasks')
  })

  test('nothing is launched before the task list was compared', async () => {
    const { leader, workDir } = await agentUnderTest({ leader: { greets: false } })
    await leader.until(() => leader.all('HELLO').length === 1, 'HELLO')
    leader.welcome()
    await leader.until(() => leader.all('TASKS').length === 1, 'its tasks')
    leader.launch('t-1', taskInfo([{ cmdline: 'true' }]))
    leader.send({ type: 'TASKS_DONE', epoch: leader.epoch, kill: [], forget: [] })
    await leader.ready()
    leader.launch('t-2', taskInfo([{ cmdline: 'true' }]))
    await leader.status('t-2', 'FINISHED')
    expect(leader.statuses('t-1')).toEqual([])
    expect(workDir).not.toBe('')
  })
})

describe('agent-31: leaders of yesterday', () => {
  const stale: { desc: string; leader: Partial<FakeLeader>; why: string }[] = [
    { desc: 'a lower epoch', leader: { epoch: [4, 9] }, why: 'stale leader epoch 4.9 < 5.1' },
    { desc: 'another cluster', leader: { clusterId: 'x', epoch: [9, 1] }, why: 'foreign cluster x' },
    { desc: 'a log that went backwards', leader: { position: 9, epoch: [9, 1] }, why: "leader's log went backwards" },
  ]
  test.each(stale)(
    '$desc: the connection is closed, nothing changes, also after a restart of the agent',
    async ({ leader: change, why }) => {
      const workDir = workFolder()
      const first = await agentUnderTest({ workDir, leader: { epoch: [5, 1], position: 10 } })
      await first.leader.ready()
      first.leader.launch('t-1', taskInfo([{ cmdline: 'sleep 60' }]))
      await first.leader.status('t-1', 'RUNNING')
      await first.leave()
      const leader = new FakeLeader({ epoch: [5, 1], position: 10 })
      Object.assign(leader, change)
      leader.killAtConnect = ['t-1']
      const second = await agentUnderTest({ workDir, leader })
      await leader.until(() => leader.closes.length > 0, 'the refusal')
      expect(leader.closes[0]).toMatchObject({ code: CLOSE.staleLeader })
      expect(leader.closes[0]?.reason).toContain(why)
      expect(leader.all('TASKS')).toEqual([])
      expect((await second.agent.inspect()).tasks).toMatchObject([{ taskId: 't-1', state: 'RUNNING' }])
    },
  )

  test('life-41: a kill of a lower epoch on a good connection: refused, the task runs on, and the connection closes', async () => {
    const { leader, agent } = await agentUnderTest({ leader: { epoch: [5, 1] } })
    await leader.ready()
    leader.launch('t-1', taskInfo([{ cmdline: 'sleep 60' }]))
    await leader.status('t-1', 'RUNNING')
    leader.send({ type: 'KILL', epoch: [4, 1], taskId: 't-1', graceSecs: null, reason: '' })
    await leader.until(() => leader.closes.length === 1, 'the end of the connection')
    expect(leader.closes[0]).toEqual({ code: CLOSE.staleLeader, reason: 'stale leader epoch 4.1 < 5.1' })
    expect(leader.all('KILL_ACK')).toEqual([])
    expect((await agent.inspect()).tasks).toMatchObject([{ taskId: 't-1', state: 'RUNNING' }])
  })
})

describe('statuses', () => {
  test('one of a task is in flight; the next follows its acknowledgement; all again after a reconnect', async () => {
    const { leader, agent } = await agentUnderTest({ leader: { acknowledges: false } })
    await leader.ready()
    leader.launch('t-1', taskInfo([{ cmdline: 'true' }]))
    while ((await agent.inspect()).tasks[0]?.state !== 'FINISHED') await new Promise(setImmediate)
    expect(leader.statuses('t-1')).toEqual(['STARTING#1'])
    leader.acknowledge('t-1', 1)
    await leader.status('t-1', 'RUNNING')
    leader.drop()
    await leader.until(() => leader.connections === 2 && leader.statuses('t-1').length === 3, 'the second connection')
    expect(leader.statuses('t-1')).toEqual(['STARTING#1', 'RUNNING#2', 'RUNNING#2'])
    leader.acknowledge('t-1', 2)
    await leader.status('t-1', 'FINISHED')
  })

  test('agent-29: acknowledged, but not forgotten: the next connection hears the end again, with its old number', async () => {
    const { leader } = await agentUnderTest()
    await leader.ready()
    leader.launch('t-1', taskInfo([{ cmdline: 'true' }]))
    await leader.status('t-1', 'FINISHED')
    leader.drop()
    await leader.until(() => leader.statuses('t-1').length === 4, 'the end again')
    expect(leader.statuses('t-1').at(-1)).toBe('FINISHED#3')
    expect(leader.all('TASKS').at(-1)?.tasks).toMatchObject([{ taskId: 't-1', state: 'FINISHED', lastSeq: 3 }])
    leader.forget('t-1')
    leader.drop()
    await leader.until(() => leader.all('TASKS').length === 3, 'the third list')
    expect(leader.all('TASKS').at(-1)?.tasks).toEqual([])
  })

  test('a kill of a task that has ended: acknowledged, and the end is told again', async () => {
    const { leader } = await agentUnderTest()
    await leader.ready()
    leader.launch('t-1', taskInfo([{ cmdline: 'true' }]))
    await leader.status('t-1', 'FINISHED')
    await leader.until(() => leader.statuses('t-1').length === 3, 'its end')
    leader.kill('t-1')
    await leader.until(() => leader.all('KILL_ACK').length === 1, 'the acknowledgement')
    await leader.until(() => leader.statuses('t-1').length === 4, 'the end again')
  })
})

test('agent-34: what the leader does not know it kills when the agent connects', async () => {
  const workDir = workFolder()
  const first = await agentUnderTest({ workDir })
  await first.leader.ready()
  first.leader.launch('t-1', taskInfo([{ cmdline: 'sleep 60' }]))
  await first.leader.status('t-1', 'RUNNING')
  await first.leave()
  const leader = new FakeLeader()
  leader.killAtConnect = ['t-1']
  await agentUnderTest({ workDir, leader })
  await leader.status('t-1', 'KILLED')
})

test('RECONCILE: what is here with its state, and what is not', async () => {
  const { leader } = await agentUnderTest()
  await leader.ready()
  leader.launch('t-1', taskInfo([{ cmdline: 'sleep 60' }]))
  await leader.status('t-1', 'RUNNING')
  leader.send({ type: 'RECONCILE', epoch: leader.epoch, taskIds: ['t-1', 't-9'] })
  await leader.until(() => leader.all('RECONCILE_RESULT').length === 1, 'the answer')
  expect(leader.all('RECONCILE_RESULT')[0]).toMatchObject({
    tasks: [{ taskId: 't-1', state: 'RUNNING', killRequested: false }],
    unknown: ['t-9'],
    last: true,
  })
})

test('no tasks at all: one page, and it is the last', async () => {
  const { leader } = await agentUnderTest()
  await leader.ready()
  expect(leader.all('TASKS')).toEqual([{ type: 'TASKS', tasks: [], last: true }])
})

test('an agent without a rack says so in its own log when it starts, with the key to set', async () => {
  const { logged } = await agentUnderTest({ options: { attributes: [] } })
  const said = logged.filter(line => line.includes('agent-place-unknown'))
  expect(said).toHaveLength(1)
  expect(said[0]).toContain('set agent.attributes.rack in its config')
  expect((await agentUnderTest()).logged.some(line => line.includes('agent-place-unknown'))).toBe(false)
})
