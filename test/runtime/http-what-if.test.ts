import { expect, test } from 'vitest'
import type { TriedOut } from '../../src/actors/what-if.ts'
import { rejected } from '../../src/core/base/rejection.ts'
import * as rest from '../../src/wire/rest.ts'
import { httpNode } from '../fixtures/http-node.ts'

const PLAN: TriedOut['plan'] = {
  seed: 1,
  hosts: { connected: 1, drained: 0, lost: 0 },
  jobs: [],
  preempted: [],
}
const tryOut = { method: 'POST', url: '/api/v1/what-if', payload: {} } as const

test('what is left of a quota: below zero too, GPUs where they are counted', async () => {
  const { app, set } = httpNode()
  const left = { cpusMilli: -500, ramMb: 1, diskMb: 2 }
  set.whatIf = ({ replyTo }) => {
    const quotaLeft = [
      { role: 'a', left: { ...left, gpus: 3 } },
      { role: 'b', left },
    ]
    replyTo.tell({ type: 'triedOut', plan: PLAN, refused: [], warnings: [], quotaLeft })
  }
  const response = await app.inject(tryOut)
  expect(rest.whatIfPlan.parse(response.json()).quotaLeft).toEqual([
    { role: 'a', ...left, gpus: 3 },
    { role: 'b', ...left },
  ])
})

test('a trial that met a bug: 500 with what it says', async () => {
  const { app, set } = httpNode()
  set.whatIf = ({ replyTo }) => replyTo.tell(rejected('INTERNAL', 'The trial failed: why'))
  const response = await app.inject(tryOut)
  expect(response.statusCode).toBe(500)
  expect(response.json()).toMatchObject({ code: 'INTERNAL', detail: 'The trial failed: why' })
})
