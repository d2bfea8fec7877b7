import { describe, expect, test } from 'vitest'
import { configId } from '../../src/core/base/ids.ts'
import * as rest from '../../src/wire/rest.ts'
import { FOLLOWING, httpNode } from '../fixtures/http-node.ts'
import { configRow, putConfig, putTask, taskRow } from '../fixtures/rows.ts'

const URL = '/api/v1/quotas/www-data'
const QUOTA = { cpusMilli: 4000, ramMb: 8192, diskMb: 100 }
const NOTHING = { cpusMilli: 0, ramMb: 0, diskMb: 0, gpus: 0 }

async function node() {
  const made = httpNode()
  await made.system.settle()
  /** Lets the keeper run until the answer is there. */
  const post = async (url: string, payload: object, headers: Record<string, string> = {}) => {
    let isAnswered = false
    const answer = made.app.inject({ method: 'POST', url, payload, headers }).finally(() => {
      isAnswered = true
    })
    while (!isAnswered) await made.system.settle()
    return answer
  }
  /** A running production task of 100 thousandths of a core, 64 MB of RAM and of disk. */
  const run = (id: string) =>
    made.ledger.put(
      putConfig(configRow('p', { production: true, tier: 'preferred' })),
      putTask(taskRow(id, { configId: configId('p'), status: 'RUNNING' })),
    )
  return { ...made, post, run }
}

describe('quotas', () => {
  test('set, read, increase: what is asked is what is there, with what the role uses', async () => {
    const { app, post, run } = await node()
    const set = await post(`${URL}:set`, QUOTA)
    expect([set.statusCode, rest.quotaSet.parse(set.json())]).toEqual([200, { role: 'www-data', quota: QUOTA }])
    run('t')
    const shown = rest.roleQuota.parse((await app.inject(URL)).json())
    const used = { cpusMilli: 100, ramMb: 64, diskMb: 64, gpus: 0 }
    expect(shown).toEqual({
      role: 'www-data',
      quota: QUOTA,
      prodShared: used,
      prodDedicated: NOTHING,
      nonProdShared: NOTHING,
      nonProdDedicated: NOTHING,
    })
    const more = await post(`${URL}:increase`, { cpusMilli: -500, ramMb: 8, diskMb: 0 })
    expect(rest.quotaSet.parse(more.json()).quota).toEqual({ cpusMilli: 3500, ramMb: 8200, diskMb: 100 })
  })

  test('a list of all: roles with a quota or in use, in order; a role that has neither uses nothing', async () => {
    const { app, post, run } = await node()
    await post('/api/v1/quotas/zebra:set', QUOTA)
    run('t')
    const { quotas } = rest.quotaList.parse((await app.inject('/api/v1/quotas')).json())
    expect(quotas.map(({ role, quota }) => [role, quota])).toEqual([
      ['www-data', null],
      ['zebra', QUOTA],
    ])
    expect(rest.roleQuota.parse((await app.inject('/api/v1/quotas/nobody')).json())).toMatchObject({
      quota: null,
      prodShared: NOTHING,
    })
  })

  test('refusals: too little, malformed, no such verb, no role', async () => {
    const { post, run } = await node()
    run('t')
    const refusals = [
      await post(`${URL}:set`, { cpusMilli: 99, ramMb: 64, diskMb: 64 }),
      await post(`${URL}:set`, { cpusMilli: -1, ramMb: 0, diskMb: 0 }),
      await post(`${URL}:set`, { ...QUOTA, cpu: 4 }),
      await post(`${URL}:increase`, { cpusMilli: 0.5, ramMb: 0, diskMb: 0 }),
      await post('/api/v1/quotas/a%20b:set', QUOTA),
      await post(`${URL}:drop`, QUOTA),
      await post(URL, QUOTA),
    ]
    expect(refusals.map(({ statusCode }) => statusCode)).toEqual([422, 422, 422, 422, 422, 404, 405])
    const [tooLittle, negative, unknown, half, role] = refusals.map(response => rest.problem.parse(response.json()))
    expect(tooLittle?.detail).toBe(
      'Quota: 0.099 core(s), 64 MB RAM, 64 MB disk is less then current prod reservation: 0.1 core(s), 64 MB RAM, 64 MB disk',
    )
    expect(tooLittle?.remedy).toContain('end some of it first')
    expect(negative?.faults).toMatchObject([{ path: 'cpusMilli' }])
    expect(unknown?.detail).toContain('cpu')
    expect(half?.faults).toMatchObject([{ path: 'cpusMilli' }])
    expect(role?.detail).toBe('Role a b is invalid.')
  })

  test('a role that cannot be: refused when it is read too, not shown as one that has nothing', async () => {
    const { app } = await node()
    const answered = await app.inject('/api/v1/quotas/a%20b')
    expect([answered.statusCode, rest.problem.parse(answered.json()).detail]).toEqual([422, 'Role a b is invalid.'])
  })

  test('the same request id: the same answer, added once; another request under it is refused', async () => {
    const { app, post } = await node()
    const headers = { 'idempotency-key': 'mine', 'daybreak-user': 'root' }
    const by = { cpusMilli: 1000, ramMb: 1, diskMb: 1 }
    const [first, again] = [await post(`${URL}:increase`, by, headers), await post(`${URL}:increase`, by, headers)]
    expect(again.json()).toEqual(first.json())
    expect((await app.inject(URL)).json().quota).toEqual({ cpusMilli: 1000, ramMb: 1, diskMb: 1 })
    expect((await post(`${URL}:set`, QUOTA, headers)).statusCode).toBe(422)
  })

  test('nothing is answered before it is committed; a node that follows sends on', async () => {
    const { app, post, ledger, set, system } = await node()
    ledger.isHeld = true
    let isAnswered = false
    const answer = post(`${URL}:set`, QUOTA).finally(() => {
      isAnswered = true
    })
    while (ledger.view.quota('www-data') === undefined) await system.settle()
    await app.inject('/health')
    expect(isAnswered).toBe(false)
    ledger.commit()
    expect((await answer).statusCode).toBe(200)
    set.leader = FOLLOWING
    const sent = await app.inject(URL)
    expect([sent.statusCode, sent.headers.location]).toEqual([307, `http://127.0.0.1:8181${URL}`])
  })
})

test('tiers: those of the node that leads, by name, and which is production', async () => {
  const { app } = await node()
  expect(rest.tierList.parse((await app.inject('/api/v1/tiers')).json())).toEqual({
    defaultTier: 'preemptible',
    tiers: [
      { name: 'preemptible', preemptible: true, revocable: false, production: false },
      { name: 'preferred', preemptible: false, revocable: false, production: true },
      { name: 'revocable', preemptible: true, revocable: true, production: false },
    ],
  })
})
