import { expect, test } from 'vitest'
import type { PendingView } from '../../src/actors/offer-broker.ts'
import { type ConfigId, configId, taskId } from '../../src/core/base/ids.ts'
import type { Explanation } from '../../src/core/scheduling/explanation.ts'
import * as rest from '../../src/wire/rest.ts'
import { httpNode } from '../fixtures/http-node.ts'
import { configRow, HELLO, jobRow, putConfig, putJob, putTask, taskRow } from '../fixtures/rows.ts'

const NOTHING: Explanation = { hosts: 0, verdicts: [], nearest: [], changes: [], never: null }

test('more configurations wait than one answer explains: the others are counted, with their instances', async () => {
  const { app, ledger, set } = httpNode()
  ledger.put(putJob(jobRow()), putConfig(configRow()))
  for (let n = 0; n < 22; n++) {
    const id = `c${String(n).padStart(2, '0')}`
    ledger.put(putConfig(configRow(id)), putTask(taskRow(`t${n}`, { instance: n, configId: configId(id) })))
  }
  const waiting = (id: ConfigId): PendingView => ({
    configId: id,
    job: HELLO,
    taskIds: [taskId(`t${Number(id.slice(1))}`)],
    penaltyMs: 5,
    reasons: [],
    details: [],
  })
  set.placement = {
    offers: () => [],
    pending: () => [],
    // biome-ignore lint/correctness/useYield: nothing is worth a pause here
    explain: function* () {
      return NOTHING
    },
    allowedHosts: () => [],
    waiting,
    offer: () => null,
    largestHost: () => null,
  }
  const { role, environment, name } = HELLO
  const answered = await app.inject(`/api/v1/jobs/${role}/${environment}/${name}/explain`)
  const { pending, more } = rest.jobExplanation.parse(answered.json())
  expect(pending).toHaveLength(20)
  const shown = pending.flatMap(({ instances }) => instances)
  expect(more.configurations).toBe(2)
  expect([...shown, ...more.instances].sort((a, b) => a - b)).toEqual(Array.from({ length: 22 }, (_, n) => n))
})
