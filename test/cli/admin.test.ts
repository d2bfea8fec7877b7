import { afterEach, beforeEach, expect, test } from 'vitest'
import { type FakeScheduler, fakeScheduler } from './fake-scheduler.ts'
import { daybreak } from './terminal.ts'

let scheduler: FakeScheduler
beforeEach(async () => {
  scheduler = await fakeScheduler()
})
afterEach(() => scheduler.close())

test('force-state: posts status and reason under a request id, and says what was and what is', async () => {
  scheduler.pages.set('/api/v1/tasks/t-1:force-state', { taskId: 't-1', from: 'RUNNING', to: 'LOST' })
  const ran = await daybreak('admin force-state t-1 lost --reason scrapped', scheduler)
  expect(ran).toMatchObject({ exit: 0, out: 'Task t-1 was RUNNING and was forced to LOST\n', err: '' })
  expect(scheduler.seen).toMatchObject([{ method: 'POST', body: { status: 'LOST', reason: 'scrapped' } }])
  expect(scheduler.seen[0]?.headers['idempotency-key']).toMatch(/./)
})

test('force-state without a reason, or to a status that is none: a fault of usage, nothing is sent', async () => {
  const bare = await daybreak('admin force-state t-1 LOST', scheduler)
  expect(bare.exit).toBe(2)
  expect(bare.err).toContain('--reason')
  const odd = await daybreak('admin force-state t-1 ALIVE --reason x', scheduler)
  expect(odd.exit).toBe(2)
  expect(odd.err).toContain("no status 'ALIVE'")
  expect(scheduler.seen).toEqual([])
})

test('force-state refused: the text and the remedy of the scheduler', async () => {
  const problem = {
    code: 'ILLEGAL_TRANSITION',
    detail: 'Task t-1 is FINISHED: it cannot become LOST',
    remedy: 'DELETED',
  }
  scheduler.trouble.push({ status: 409, problem })
  const ran = await daybreak('admin force-state t-1 LOST --reason x', scheduler)
  expect(ran.exit).toBe(10)
  expect(ran.err).toContain('it cannot become LOST')
  expect(ran.err).toContain('DELETED')
})

test('prune: filters as the scheduler takes them', async () => {
  scheduler.pages.set('/api/v1/tasks:prune', { tasks: 12 })
  const line = 'admin prune --job ads/prod/web --host a --host b --status failed --limit 20 --reason noise'
  const ran = await daybreak(line, scheduler)
  expect(ran).toMatchObject({ exit: 0, out: 'Forgot 12 ended tasks\n' })
  expect(scheduler.seen.at(-1)?.body).toEqual({
    reason: 'noise',
    jobs: [{ role: 'ads', environment: 'prod', name: 'web' }],
    hosts: ['a', 'b'],
    statuses: ['FAILED'],
    limit: 20,
  })
  expect((await daybreak('admin prune --all --reason x --json', scheduler)).json()).toEqual({ tasks: 12 })
  expect(scheduler.seen.at(-1)?.body).toEqual({ reason: 'x', all: true })
})

test('prune of tasks that live, of half a job key, or of no task at all: a fault of usage', async () => {
  for (const wrong of ['--status RUNNING', '--job web', '--limit 0'])
    expect((await daybreak(`admin prune ${wrong} --reason x`, scheduler)).exit).toBe(2)
  expect(scheduler.seen).toEqual([])
})

test('reconcile: explicit unless said otherwise, and says what has begun', async () => {
  scheduler.pages.set('/api/v1/admin:reconcile', { kind: 'explicit', steps: 3, isUnderWay: false })
  const ran = await daybreak('admin reconcile --batch-size 10', scheduler)
  expect(ran).toMatchObject({ exit: 0, out: 'An explicit run has begun: 3 batches to ask\n', err: '' })
  expect(scheduler.seen.at(-1)).toMatchObject({ method: 'POST', body: { kind: 'explicit', batchSize: 10 } })
  scheduler.pages.set('/api/v1/admin:reconcile', { kind: 'implicit', steps: 1, isUnderWay: false })
  expect((await daybreak('admin reconcile --implicit', scheduler)).out).toBe(
    'An implicit run has begun: 1 agent to ask\n',
  )
  expect(scheduler.seen.at(-1)?.body).toEqual({ kind: 'implicit' })
  expect((await daybreak('admin reconcile --implicit --json', scheduler)).json()).toMatchObject({ steps: 1 })
})

test('reconcile while a run of that kind is under way, or with nothing to ask: says so', async () => {
  scheduler.pages.set('/api/v1/admin:reconcile', { kind: 'explicit', steps: 0, isUnderWay: true })
  expect((await daybreak('admin reconcile', scheduler)).out).toContain('under way')
  scheduler.pages.set('/api/v1/admin:reconcile', { kind: 'explicit', steps: 0, isUnderWay: false })
  expect((await daybreak('admin reconcile', scheduler)).out).toContain('no task is bound to an agent')
})

test('reconcile in batches of 0, of a half or of a word, or of both kinds: a fault of usage, nothing is sent', async () => {
  for (const size of ['0', '-3', '1.5', 'many']) {
    const ran = await daybreak(`admin reconcile --batch-size ${size}`, scheduler)
    expect(ran.exit).toBe(2)
    expect(ran.err).toContain('Batch size must be greater than zero.')
    expect(ran.err).toContain('1 to 1000')
  }
  expect((await daybreak('admin reconcile --explicit --implicit', scheduler)).exit).toBe(2)
  expect(scheduler.seen).toEqual([])
})

test('release-held: says what is killed, who is given up, and of whom nothing was held', async () => {
  scheduler.pages.set('/api/v1/admin:release-held', {
    killed: [{ agentId: 'a1', host: 'h1', tasks: 30 }],
    away: ['b1'],
  })
  const ran = await daybreak('admin release-held a1 b1 c1 --reason scrapped', scheduler)
  expect(ran.exit).toBe(0)
  expect(ran.out.split('\n')).toMatchObject([
    '30 unknown tasks on h1 (a1) will be killed',
    expect.stringContaining('Agent b1 was given up'),
    'Nothing of agent c1 was held',
    '',
  ])
  expect(scheduler.seen.at(-1)?.body).toEqual({ agents: ['a1', 'b1', 'c1'], reason: 'scrapped' })
  expect((await daybreak('admin release-held --reason x --json', scheduler)).json()).toMatchObject({ away: ['b1'] })
  expect(scheduler.seen.at(-1)?.body).toEqual({ reason: 'x' })
  scheduler.pages.set('/api/v1/admin:release-held', { killed: [], away: [] })
  expect((await daybreak('admin release-held --reason x', scheduler)).out).toBe('Nothing was held\n')
  expect((await daybreak('admin release-held a1', scheduler)).exit).toBe(2)
})
