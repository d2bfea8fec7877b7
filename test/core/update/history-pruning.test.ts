import { expect, test } from 'vitest'
import { type UpdateSummary, updatesToForget } from '../../../src/core/update/history-pruning.ts'
import { isEnded, UPDATE_STATUSES, type UpdateStatus, updateState } from '../../../src/core/update/update-status.ts'
import { HELLO, updateEvent } from '../../fixtures/rows.ts'

const DAY = 86_400_000
const NOW = 100 * DAY
const SETTINGS = { perJobMax: 2, ageMsMax: 30 * DAY }
const ENDED: readonly UpdateStatus[] = ['ROLLED_FORWARD', 'ROLLED_BACK', 'ABORTED', 'FAILED', 'ERROR']

function update(key: string, createdAtMs: number, status: UpdateStatus, name = 'hello'): UpdateSummary {
  return { key, job: { ...HELLO, name }, status, createdAtMs, lastModifiedAtMs: createdAtMs }
}
const gone = (updates: readonly UpdateSummary[], hasTasks = true) =>
  updatesToForget(updates, () => hasTasks, NOW, SETTINGS)

test('life-52: active updates survive everything: age, number, and that their job has no task', () => {
  const active = (Object.keys(UPDATE_STATUSES) as UpdateStatus[]).filter(status => !isEnded(status))
  expect(active.length).toBe(6)
  expect(
    gone(
      active.map((status, n) => update(`u${n}`, n, status)),
      false,
    ),
  ).toEqual([])
})

test('life-52: an ERROR update of a job without tasks goes, however young', () => {
  expect(gone([update('u', NOW, 'ERROR')], false)).toEqual(['u'])
  expect(gone([update('u', NOW, 'ERROR')])).toEqual([])
})

test('life-52: keep 2: the two newest ended ones of each job stay', () => {
  const updates = ENDED.map((status, n) => update(`u${n}`, NOW - n * DAY, status))
  expect(gone([...updates, update('v', NOW - 9 * DAY, 'FAILED', 'other')])).toEqual(['u2', 'u3', 'u4'])
})

test('life-52: created exactly at the cutoff stays, a millisecond earlier goes', () => {
  const cutoff = NOW - SETTINGS.ageMsMax
  expect(gone([update('at', cutoff, 'ABORTED'), update('before', cutoff - 1, 'ABORTED')])).toEqual(['before'])
})

test('expired ones are not counted among those that stay', () => {
  const old = [1, 2, 3].map(n => update(`old${n}`, NOW - (40 + n) * DAY, 'FAILED'))
  const young = [1, 2].map(n => update(`young${n}`, NOW - n * DAY, 'FAILED'))
  expect(gone([...old, ...young])).toEqual(['old1', 'old2', 'old3'])
})

test('state of an update: from its events alone, whatever order they come in', () => {
  const events = [
    updateEvent('u', 3, { atMs: 30, status: 'ROLLED_BACK' }),
    updateEvent('u', 1, { atMs: 10, status: 'ROLLING_FORWARD' }),
    updateEvent('u', 4, { atMs: 40, instance: { instance: 0, action: 'INSTANCE_ROLLED_BACK' } }),
    updateEvent('u', 2, { atMs: 20, instance: { instance: 0, action: 'INSTANCE_UPDATING' } }),
  ]
  expect(updateState(events)).toEqual({ status: 'ROLLED_BACK', createdAtMs: 10, lastModifiedAtMs: 40 })
  expect(updateState([])).toBeNull()
  expect(updateState(events.slice(2))).toBeNull()
})
