import { describe, expect, test } from 'vitest'
import { search } from '../../../src/core/ledger/search.ts'
import { Tables } from '../../../src/core/ledger/tables.ts'
import {
  agentRow,
  configRow,
  HELLO,
  jobRow,
  putAgent,
  putConfig,
  putJob,
  putTask,
  taskRow,
} from '../../fixtures/rows.ts'

function cluster(): Tables {
  const tables = new Tables()
  const job = (role: string, environment: string, name: string) => putJob(jobRow({ role, environment, name }))
  tables.apply([
    putConfig(configRow()),
    job('web', 'prod', 'front'),
    job('web', 'prod', 'front-cache'),
    job('ads', 'prod', 'web'),
    job('ads', 'test', 'bids'),
    putAgent({ ...agentRow('agent-7'), host: 'web-rack1' }),
    putTask(taskRow('www-data-devel-hello-0-1234abcd', { job: HELLO })),
    putTask(taskRow('www-data-devel-hello-1-9999abcd', { job: HELLO, instance: 1 })),
  ])
  return tables
}
const named = (question: string, limit = 20) =>
  search(cluster(), question, limit).hits.map(({ kind, name }) => `${kind} ${name}`)

describe('search', () => {
  test('the very name first, then what begins so, then what has it inside; roles before jobs before machines', () => {
    expect(named('web')).toEqual([
      'role web',
      'job ads/prod/web',
      'job web/prod/front',
      'job web/prod/front-cache',
      'agent web-rack1',
    ])
    expect(named('front')).toEqual(['job web/prod/front', 'job web/prod/front-cache'])
  })

  test('several words: all of them are in the name, whatever the order and case', () => {
    expect(named('CACHE web')).toEqual(['job web/prod/front-cache'])
    expect(named('web nothing')).toEqual([])
  })

  test('a machine by its host or its id', () => {
    expect(named('rack1')).toEqual(['agent web-rack1'])
    expect(named('agent-7')).toEqual(['agent web-rack1'])
  })

  test('a task by its whole id, by its beginning or its end, and not by a few letters', () => {
    expect(named('www-data-devel-hello-0-1234abcd')).toEqual(['task www-data-devel-hello-0-1234abcd'])
    expect(named('-1234abcd')).toEqual(['task www-data-devel-hello-0-1234abcd'])
    expect(named('www-data-devel')).toHaveLength(2)
    expect(named('abcd')).toEqual([])
  })

  test('more than are asked for: the best, and that there are more', () => {
    const { hits, hasMore } = search(cluster(), 'web', 2)
    expect([hits.map(({ name }) => name), hasMore]).toEqual([['web', 'ads/prod/web'], true])
    expect(search(cluster(), 'web', 5).hasMore).toBe(false)
  })
})
