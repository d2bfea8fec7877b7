import { describe, expect, test } from 'vitest'
import { taskId } from '../../../src/core/base/ids.ts'
import { prng } from '../../../src/core/base/prng.ts'
import type { TaskRow } from '../../../src/core/ledger/rows.ts'
import { FLAPPING_SETTINGS } from '../../../src/core/task/flapping.ts'
import { TASK_STATUSES, type TaskStatus } from '../../../src/core/task/status.ts'
import { decide } from '../../../src/core/task/transitions.ts'
import { configRow, taskRow } from '../../fixtures/rows.ts'

const { config } = configRow('c')
const facts = {
  scheduler: 's',
  flapping: FLAPPING_SETTINGS,
  random: prng(1),
  heldBackMs: () => 0,
  newTaskId: () => taskId('next'),
}

function decided(row: TaskRow, to: TaskStatus, by: { who?: string; why?: string } = {}): TaskRow {
  const placement = { agentId: 'a' as NonNullable<TaskRow['agentId']>, host: 'h', ports: {} }
  return decide({ row, config }, { taskId: row.taskId, to, placement, ...by }, { ...facts, nowMs: 1 }).row ?? row
}

describe('freshEvents', () => {
  test('one event: absent; a chain of two: 2; and one again afterwards', () => {
    const running = decided(decided(taskRow('t'), 'ASSIGNED'), 'RUNNING')
    expect(running.freshEvents).toBeUndefined()
    const chained = decided(decided(running, 'KILLING'), 'PARTITIONED')
    expect([chained.status, chained.freshEvents]).toEqual(['LOST', 2])
    expect(decided(decided(running, 'PARTITIONED'), 'RUNNING').freshEvents).toBeUndefined()
  })

  test('any course of a task: the last events it counts are the new ones, and the one before has the status before', () => {
    const statuses = Object.keys(TASK_STATUSES) as TaskStatus[]
    for (let seed = 1; seed <= 200; seed++) {
      const random = prng(seed)
      let row = taskRow('t')
      for (let step = 0; step < 60; step++) {
        const next = decided(row, statuses[random.int(0, statuses.length)]!)
        if (next === row || next.version === row.version) continue
        const fresh = next.freshEvents ?? 1
        expect(next.events.slice(0, -fresh).every(event => row.events.includes(event))).toBe(true)
        expect(next.events.slice(-fresh).some(event => row.events.includes(event))).toBe(false)
        expect(next.events.at(-fresh - 1)?.status).toBe(row.status)
        row = next
      }
    }
  })
})

test('who wanted a transition and why stand in its event', () => {
  const row = decided(decided(taskRow('t'), 'ASSIGNED'), 'KILLING', { who: 'ada', why: 'too warm' })
  expect(row.events.at(-1)).toMatchObject({ status: 'KILLING', who: 'ada', why: 'too warm' })
})
