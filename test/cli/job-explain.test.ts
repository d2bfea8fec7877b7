import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { slotsInWords, whyNoSlots } from '../../src/core/preempt/words.ts'
import { GangRoom } from '../../src/core/scheduling/gang-room.ts'
import { gangVeto } from '../../src/core/scheduling/veto.ts'
import type { JobExplanation } from '../../src/wire/rest.ts'
import { type FakeScheduler, fakeScheduler, START_MS } from './fake-scheduler.ts'
import { daybreak } from './terminal.ts'

const KEY = { role: 'www-data', environment: 'prod', name: 'api' }
const GROUP: JobExplanation['pending'][number] = {
  instances: [2],
  sinceMs: START_MS - 240_000,
  nextTryMs: 31_000,
  reasons: ['Limit not satisfied: host'],
  details: [],
  hosts: 2,
  verdicts: [{ text: 'Limit not satisfied: host', hosts: 2 }],
  nearest: [],
  changes: [],
  never: null,
}
const EXPLAINED: JobExplanation = {
  key: KEY,
  byStatus: { PENDING: 1 },
  pending: [GROUP],
  more: { configurations: 0, instances: [] },
  throttled: [],
  starting: [],
}

let scheduler: FakeScheduler
beforeEach(async () => {
  scheduler = await fakeScheduler()
})
afterEach(() => scheduler.close())

async function shown(explained: JobExplanation, columns?: number): Promise<string> {
  scheduler.pages.set('/api/v1/jobs/www-data/prod/api/explain', explained)
  const ran = await daybreak('job explain local/www-data/prod/api', scheduler, columns === undefined ? {} : { columns })
  expect(ran).toMatchObject({ exit: 0, err: '' })
  return ran.out
}

test('nothing fits and nothing alone would help: said so', async () => {
  expect(await shown(EXPLAINED)).toContain('No single change opens a host')
})

test('hosts that fit now: not contradicted by a line that no change would open one', async () => {
  const out = await shown({ ...EXPLAINED, pending: [{ ...GROUP, verdicts: [{ text: 'Fits now', hosts: 2 }] }] })
  expect(out).toContain('Fits now')
  expect(out).not.toContain('No single change')
})

test('room that is made on many hosts: every line of it is shown, the rest counted', async () => {
  const slots = ['a', 'b', 'c', 'd'].map(host => ({ host, victims: [] }))
  const details = slotsInWords(slots)
  expect(details.at(-1)).toBe('preempting on 1 more host for this group')
  const out = await shown({ ...EXPLAINED, pending: [{ ...GROUP, details: [...details] }] })
  for (const text of details) expect(out).toContain(`${text}\n`)
})

test('a long reason: broken between words at the width of the terminal', async () => {
  const text = whyNoSlots({ ...SEARCHED, hosts: 40, refused: 1, withoutVictims: 30, tooSmall: 9 })
  expect(text).toBe(
    'no preemption: 40 hosts searched, of which 1 refuses the task whoever runs there, 30 have no task that this one may preempt, 9 would be too small, or over a limit, even without all tasks that this one may preempt',
  )
  const out = await shown({ ...EXPLAINED, pending: [{ ...GROUP, details: [text] }] }, 80)
  expect(Math.max(...out.split('\n').map(line => line.length))).toBeLessThanOrEqual(80)
  expect(out.replace(/\s+/g, ' ')).toContain(text)
})

test('more configurations than are looked at: how many, of which instances, and where they are seen', async () => {
  const out = await shown({ ...EXPLAINED, more: { configurations: 2, instances: [20, 21, 22] } })
  expect(out).toContain(
    '2 more configurations wait (instances 20-22); the first 1 are looked at here. Why each task waits, in short: daybreak job status local/www-data/prod/api\n',
  )
})

test('docs/operating/explain.md quotes what the source says', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/operating/explain.md'), 'utf8')
  const victims = [1, 2].map(n => `v${n}`) as never[]
  expect(page).toContain(`\`${slotsInWords([{ host: 'h4', victims }])[0]}\``)
  expect(page).toContain('`no preemption: 40 hosts searched, of which …`')
  const gang = new GangRoom(8)
  gang.fitting = 5
  expect(page).toContain(`\`${gang.help()}\``)
  expect(page).toContain(`\`${gangVeto(8, 5).text}\``)
})

const SEARCHED: Parameters<typeof whyNoSlots>[0] = {
  slots: [],
  hosts: 0,
  refused: 0,
  roomy: 0,
  withoutVictims: 0,
  tooSmall: 0,
  suitable: 0,
  gangFound: 0,
  isCutShort: false,
}
