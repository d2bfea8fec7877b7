import { describe, expect, test } from 'vitest'
import type { PlacementView } from '../../src/actors/offer-broker.ts'
import { type ConfigId, configId } from '../../src/core/base/ids.ts'
import { writeCursor } from '../../src/runtime/http/paging.ts'
import * as rest from '../../src/wire/rest.ts'
import { type HttpNode, httpNode } from '../fixtures/http-node.ts'
import { agentRow, configRow, HELLO, jobRow, putAgent, putConfig, putJob, putTask, taskRow } from '../fixtures/rows.ts'

const NAMES = ['a', 'b', 'c', 'd', 'e']
const ROOM = { cpusMilli: 1, ramMb: 1, diskMb: 1 }

/** A list of five things, and how one of them is named in it. */
interface List {
  readonly url: string
  readonly key: string
  readonly fill: (node: HttpNode, names: readonly string[]) => void
  readonly nameOf: (item: never) => string
}
const LISTS: readonly List[] = [
  {
    url: 'jobs',
    key: 'jobs',
    fill: ({ ledger }, names) => ledger.put(...names.map(name => putJob(jobRow({ ...HELLO, name })))),
    nameOf: ({ key }: { key: { name: string } }) => key.name,
  },
  {
    url: 'roles',
    key: 'roles',
    fill: ({ ledger }, names) => ledger.put(...names.map(role => putJob(jobRow({ ...HELLO, role })))),
    nameOf: ({ role }: { role: string }) => role,
  },
  {
    url: 'tasks',
    key: 'tasks',
    fill: ({ ledger }, names) => ledger.put(...names.map(id => putTask(taskRow(id, { status: 'FAILED' })))),
    nameOf: ({ taskId }: { taskId: string }) => taskId,
  },
  {
    url: 'pending',
    key: 'pending',
    fill: (node, names) => {
      node.ledger.put(...names.map(name => putConfig(configRow(name))))
      node.ledger.put(
        ...names.map(name => putTask(taskRow(name, { job: { ...HELLO, name }, configId: configId(name) }))),
      )
      node.set.placement = waitingFor(node)
    },
    nameOf: ({ job }: { job: { name: string } }) => job.name,
  },
  {
    url: 'agents',
    key: 'agents',
    fill: ({ ledger }, names) => ledger.put(...names.map(name => putAgent({ ...agentRow(name), host: name }))),
    nameOf: ({ host }: { host: string }) => host,
  },
  {
    url: 'quotas',
    key: 'quotas',
    fill: ({ ledger }, names) =>
      ledger.put(
        ...names.map(role => ({ type: 'put', table: 'quota', key: role, row: { v: 1, role, quota: ROOM } }) as const),
      ),
    nameOf: ({ role }: { role: string }) => role,
  },
  {
    url: 'backups',
    key: 'backups',
    fill: ({ set }, names) => {
      set.backup = command => {
        if (command.type !== 'list') return
        // Two of a moment, and in no order of use.
        const files = names.map((name, at) => ({ name, atMs: Math.floor(at / 2), position: 1, bytes: 1 })).reverse()
        command.replyTo.tell({ type: 'listed', folder: '/backups', files, staged: null } as never)
      }
    },
    nameOf: ({ name }: { name: string }) => name,
  },
]

/** Every group of equal tasks that the ledger has PENDING. */
function waitingFor({ ledger }: HttpNode): PlacementView {
  return {
    offers: () => [],
    pending: () => [],
    explain: () => null,
    allowedHosts: () => [],
    offer: () => null,
    largestHost: () => null,
    waiting: (id: ConfigId) => {
      const rows = [...ledger.view.tasksByStatus('PENDING')].filter(row => row.configId === id)
      const job = rows[0]?.job
      if (job === undefined) return null
      return { configId: id, job, taskIds: rows.map(row => row.taskId), penaltyMs: 0, reasons: [], details: [] }
    },
  }
}

async function started(): Promise<HttpNode> {
  const node = httpNode()
  node.ledger.put(putConfig(configRow()))
  await node.system.settle()
  return node
}

describe.each(LISTS)('GET /api/v1/$url', ({ url, key, fill, nameOf }) => {
  test('page by page: everything once, in the order of the whole, `next` null at the end', async () => {
    const node = await started()
    fill(node, NAMES)
    await node.system.settle()
    const seen: string[] = []
    let pages = 0
    for (let cursor: string | null = ''; cursor !== null; pages += 1) {
      const query: string = cursor === '' ? '' : `&cursor=${cursor}`
      const answer = (await node.app.inject(`/api/v1/${url}?limit=2${query}`)).json()
      seen.push(...answer[key].map(nameOf))
      cursor = answer.next
    }
    const whole = (await node.app.inject(`/api/v1/${url}`)).json()
    expect([seen, pages]).toEqual([NAMES, 3])
    expect([whole[key].map(nameOf), whole.next]).toEqual([NAMES, null])
  })

  test('what comes before the cursor meanwhile does not move what follows', async () => {
    const node = await started()
    const [first, ...others] = NAMES as [string, ...string[]]
    fill(node, others)
    await node.system.settle()
    const page = (await node.app.inject(`/api/v1/${url}?limit=2`)).json()
    expect(page[key].map(nameOf)).toEqual(['b', 'c'])
    if (url !== 'backups') fill(node, [first])
    await node.system.settle()
    const next = (await node.app.inject(`/api/v1/${url}?limit=2&cursor=${page.next}`)).json()
    expect(next[key].map(nameOf)).toEqual(['d', 'e'])
  })

  test.each(['nonsense', writeCursor([true as never]), writeCursor(['a', 'b', 'c', 'd'])])(
    'cursor %s: 400 with what to do',
    async cursor => {
      const { app } = await started()
      const response = await app.inject(`/api/v1/${url}?cursor=${cursor}`)
      expect([response.statusCode, response.json().remedy]).toEqual([400, 'begin again without `cursor`'])
    },
  )

  test('a limit that is none: 422 that names it', async () => {
    const { app } = await started()
    for (const limit of ['0', '1001', 'x']) {
      const response = await app.inject(`/api/v1/${url}?limit=${limit}`)
      expect([response.statusCode, response.json().faults[0].path]).toEqual([422, 'limit'])
    }
  })
})

describe('what is named', () => {
  test('pending: only jobs that match', async () => {
    const node = await started()
    LISTS.find(({ url }) => url === 'pending')?.fill(node, ['web', 'wet', 'dry'])
    const names = async (query: string) =>
      rest.pending.parse((await node.app.inject(`/api/v1/pending?${query}`)).json()).pending.map(({ job }) => job.name)
    expect(await names('name=we*')).toEqual(['web', 'wet'])
    expect(await names('role=www-data&environment=devel&name=dry')).toEqual(['dry'])
    expect(await names('role=nobody')).toEqual([])
  })

  test('roles: jobs and cron jobs of each, those of which only tasks are left too', async () => {
    const { app, ledger } = await started()
    const cron = { schedule: '* * * * *', collisionPolicy: 'KILL_EXISTING' } as const
    ledger.put(
      putJob(jobRow({ ...HELLO, role: 'b' }, { cron })),
      putJob(jobRow({ ...HELLO, role: 'b', name: 'other' })),
      putTask(taskRow('t', { job: { ...HELLO, role: 'a' }, status: 'FINISHED' })),
    )
    expect(rest.roleList.parse((await app.inject('/api/v1/roles')).json()).roles).toEqual([
      { role: 'a', jobs: 1, cronJobs: 0 },
      { role: 'b', jobs: 2, cronJobs: 1 },
    ])
  })

  test('one agent: as in the list; a host instead of an id: 404 that names the id', async () => {
    const { app, ledger } = await started()
    ledger.put(putAgent({ ...agentRow('agent-7'), host: 'rack1' }))
    const one = rest.agent.parse((await app.inject('/api/v1/agents/agent-7')).json())
    expect([one]).toEqual(rest.agentList.parse((await app.inject('/api/v1/agents')).json()).agents)
    const byHost = await app.inject('/api/v1/agents/rack1')
    expect([byHost.statusCode, byHost.json().remedy]).toEqual([404, 'on host rack1 is agent-7'])
    expect((await app.inject('/api/v1/agents/none')).json().remedy).toBe('GET /api/v1/agents lists them')
  })

  test('search: hits with what leads on to them; without a question refused', async () => {
    const { app, ledger } = await started()
    ledger.put(putJob(jobRow()), putAgent({ ...agentRow('agent-7'), host: 'hello-rack' }))
    const found = rest.searchFound.parse((await app.inject('/api/v1/search?q=hello')).json())
    expect(found).toEqual({
      hits: [
        { kind: 'job', name: 'www-data/devel/hello', job: HELLO },
        { kind: 'agent', name: 'hello-rack', agentId: 'agent-7' },
      ],
      hasMore: false,
    })
    for (const query of ['', '?q=', '?q=%20', '?q=a&limit=101'])
      expect((await app.inject(`/api/v1/search${query}`)).statusCode).toBe(422)
  })
})
