import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CLIENT_EXIT } from '../../src/cli/exit-status.ts'
import type { WhatIfPlan } from '../../src/wire/rest.ts'
import { type FakeScheduler, fakeScheduler } from './fake-scheduler.ts'
import { daybreak } from './terminal.ts'

const KEY = { role: 'www-data', environment: 'prod', name: 'web' }
const PLAN: WhatIfPlan = {
  seed: 7,
  hosts: { connected: 3, drained: 0, lost: 0 },
  jobs: [],
  preempted: [],
  refused: [],
  warnings: [],
  quotaLeft: [],
}
type PlannedJob = WhatIfPlan['jobs'][number]

/** Of a job whose tasks were all placed on h1. */
function planned(name: string, asked: number, pending: readonly number[] = []): PlannedJob {
  const placed = asked - pending.length
  return {
    key: { ...KEY, name },
    asked,
    displaced: 0,
    placed,
    placements: Array.from({ length: placed }, (_, instance) => ({ instance, host: 'h1' })),
    pending: [...pending],
    reasons: [],
    details: [],
  }
}

const TASK = 'task:\n  resources: {cpu: 1, ram: 64MB, disk: 64MB}\n  processes: [{name: run, cmdline: sleep 1}]\n'
const named = (name: string, cluster = ''): string =>
  `${cluster}role: www-data\nenvironment: prod\nname: ${name}\n${TASK}`

let scheduler: FakeScheduler
beforeEach(async () => {
  scheduler = await fakeScheduler()
})
afterEach(() => scheduler.close())

const answering = (plan: Partial<WhatIfPlan>): void => void scheduler.pages.set('/api/v1/what-if', { ...PLAN, ...plan })
const appliedKeys = (): string[] =>
  (scheduler.seen.at(-1)!.body as { apply: { key: { name: string } }[] }).apply.map(({ key }) => key.name)

describe('what-if', () => {
  test('every task finds a place: 0; any stays pending: 4', async () => {
    answering({ jobs: [planned('web', 2)] })
    expect(await daybreak('what-if local --drain h2', scheduler)).toMatchObject({ exit: CLIENT_EXIT.ok, err: '' })
    answering({ jobs: [planned('web', 2), planned('api', 1, [0])] })
    expect(await daybreak('what-if local --drain h2', scheduler)).toMatchObject({ exit: CLIENT_EXIT.commandFailed })
  })

  test('one task and many: each in its own words', async () => {
    answering({ jobs: [planned('web', 1)] })
    expect((await daybreak('what-if local --drain h2', scheduler)).out).toContain('\nThe task finds a place.\n')
    answering({ jobs: [planned('web', 2)] })
    expect((await daybreak('what-if local --drain h2', scheduler)).out).toContain('\nAll 2 tasks find a place.\n')
  })

  test('what is left of a quota: GPUs where it counts them', async () => {
    const left = { role: 'www-data', cpusMilli: 1500, ramMb: 10, diskMb: 20 }
    answering({
      quotaLeft: [
        { ...left, gpus: 2 },
        { ...left, role: 'other' },
      ],
    })
    const { out } = await daybreak('what-if local --drain h2', scheduler)
    expect(out).toContain('Quota left for www-data: 1.5 core(s), 10 MB RAM, 20 MB disk, 2 GPU(s)\n')
    expect(out).toContain('Quota left for other: 1.5 core(s), 10 MB RAM, 20 MB disk\n')
  })
})

describe('what-if --apply', () => {
  test('a file without a cluster: that of the command is meant', async () => {
    answering({})
    const files = { 'web.yaml': named('web') }
    expect(await daybreak('what-if local --apply web.yaml', scheduler, { files })).toMatchObject({ exit: 0, err: '' })
    expect(appliedKeys()).toEqual(['web'])
  })

  test('a file for the cluster that is asked, alone or with others in it', async () => {
    answering({})
    const files = {
      'web.yaml': named('web', 'cluster: local\n'),
      'more.yaml': `jobs:\n- &job\n${named('api', 'cluster: local\n').replace(/^/gm, '  ').trimEnd()}\n- {<<: *job, name: db}\n`,
    }
    const line = 'what-if local --apply web.yaml --apply more.yaml'
    expect(await daybreak(line, scheduler, { files })).toMatchObject({ exit: 0, err: '' })
    expect(appliedKeys()).toEqual(['web', 'api', 'db'])
  })

  test('a file for another cluster: refused in the words of job create, with its line, and nothing is asked', async () => {
    const files = {
      'web.yaml': named('web', 'cluster: west\n'),
      'more.yaml': `jobs:\n- &job\n${named('api').replace(/^/gm, '  ').trimEnd()}\n- {<<: *job, name: db, cluster: west}\n`,
    }
    const text = "The file says cluster 'west', the command says 'local'"
    const created = await daybreak('job create local/www-data/prod/web web.yaml', scheduler, { files })
    const tried = await daybreak('what-if local --apply web.yaml', scheduler, { files })
    expect(created.err).toContain(`web.yaml:1  cluster: ${text}`)
    expect(tried).toMatchObject({ exit: CLIENT_EXIT.configuration, err: created.err })
    const several = await daybreak('what-if local --apply more.yaml', scheduler, { files })
    expect(several.err).toContain(`jobs[1].cluster: ${text}`)
    expect(scheduler.seen).toEqual([])
  })

  test('a job in two files, or twice in one: both are named, and nothing is asked', async () => {
    const twice = `jobs:\n- &job\n${named('api').replace(/^/gm, '  ').trimEnd()}\n- {<<: *job}\n`
    const files = { 'a.yaml': named('web'), 'b.yaml': TASK, 'twice.yaml': twice }
    const apart = await daybreak('what-if local --apply a.yaml --apply www-data/prod/web=b.yaml', scheduler, { files })
    expect(apart).toMatchObject({ exit: CLIENT_EXIT.configuration })
    expect(apart.err).toContain('Job www-data/prod/web is in a.yaml and in b.yaml')
    const inOne = await daybreak('what-if local --apply twice.yaml', scheduler, { files })
    expect(inOne.err).toContain('Job www-data/prod/api is in twice.yaml twice')
    expect(scheduler.seen).toEqual([])
  })
})

describe('job create --dry-run', () => {
  const files = { 'web.yaml': TASK }
  const tried = () => daybreak('job create local/www-data/prod/web web.yaml --dry-run', scheduler, { files })

  test('only other jobs stay pending: 0', async () => {
    answering({ jobs: [planned('api', 1, [0]), planned('web', 1)] })
    expect(await tried()).toMatchObject({ exit: CLIENT_EXIT.ok })
  })

  test('a task of the job itself stays pending, or it would be refused: 4', async () => {
    answering({ jobs: [planned('web', 2, [1])] })
    expect(await tried()).toMatchObject({ exit: CLIENT_EXIT.commandFailed })
    const refused = { key: 'www-data/prod/web', code: 'JOB_EXISTS', detail: 'there', remedy: null, faults: [] }
    answering({ refused: [refused] })
    expect(await tried()).toMatchObject({ exit: CLIENT_EXIT.commandFailed })
  })
})
