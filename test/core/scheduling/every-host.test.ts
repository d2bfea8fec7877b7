import { expect, test } from 'vitest'
import { agentId, taskId } from '../../../src/core/base/ids.ts'
import type { TaskRow } from '../../../src/core/ledger/rows.ts'
import { everyHostPlan } from '../../../src/core/scheduling/every-host.ts'
import { taskRow } from '../../fixtures/rows.ts'

const hosts = (...ids: string[]) => ids.map(agentId)
const placed = (instance: number, on: string): TaskRow =>
  taskRow(`t${instance}`, { instance, status: 'RUNNING', agentId: agentId(on), host: on })
const pending = (instance: number): TaskRow => taskRow(`t${instance}`, { instance })

test('hosts without an instance get one, under the lowest free numbers', () => {
  expect(everyHostPlan(hosts('a', 'b', 'c'), [placed(1, 'b')], 100)).toEqual({
    insert: [0, 2],
    end: [],
    hosts: 3,
    served: 1,
  })
})

test('what is on the way counts: nothing is made twice', () => {
  expect(everyHostPlan(hosts('a', 'b'), [placed(0, 'a'), pending(1)], 100).insert).toEqual([])
})

test('a host has gone and its task was replaced: the replacement ends', () => {
  expect(everyHostPlan(hosts('a'), [placed(0, 'a'), pending(1)], 100).end).toEqual([taskId('t1')])
})

test('a task on a host that is away for a moment, or not allowed any more, is left alone', () => {
  expect(everyHostPlan(hosts('a'), [placed(0, 'a'), placed(1, 'gone')], 100)).toMatchObject({ insert: [], end: [] })
})

test('more hosts than a job may have tasks: as many as it may', () => {
  expect(everyHostPlan(hosts('a', 'b', 'c'), [], 2).insert).toEqual([0, 1])
})
