/** `job diff` against the routes of a node, over HTTP. */

import { createHash } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { readJobText } from '../../src/cli/job-file-text.ts'
import { configId } from '../../src/core/base/ids.ts'
import { ADMISSION_SETTINGS, checkConfiguration } from '../../src/core/job/admission.ts'
import { configIdOf } from '../../src/core/job/canonical-config.ts'
import { toJobConfiguration } from '../../src/core/job/job-configuration.ts'
import { readJobOf } from '../../src/core/job/job-file.ts'
import type { TaskConfig } from '../../src/core/job/task-config.ts'
import { type HttpNode, httpNode } from '../fixtures/http-node.ts'
import { jobRow, putConfig, putJob, putTask, taskRow } from '../fixtures/rows.ts'
import { daybreak } from './terminal.ts'

const KEY = { role: 'www', environment: 'prod', name: 'web' }
const file = (cmdline = 'serve', more = '') => `
instances: 3
service: true
${more}
task:
  resources: {cpu: 1, ram: 64MB, disk: 64MB}
  processes:
    - name: server
      cmdline: |
        echo begin
        ${cmdline}
        echo end
`

let node: HttpNode
beforeEach(async () => {
  node = httpNode()
  await node.app.listen({ port: 0, host: '127.0.0.1' })
})
afterEach(() => node.app.close())

/** As admission would have stored it. */
function stored(text: string, key = KEY): TaskConfig {
  const read = readJobOf(readJobText(text).tree, { cluster: 'local', ...key })
  if (!read.ok) throw new Error(JSON.stringify(read.faults))
  const checked = checkConfiguration(toJobConfiguration(read.job.job, 'ann'), ADMISSION_SETTINGS)
  if ('type' in checked) throw new Error(checked.detail)
  return checked.task
}
const idOf = (config: TaskConfig) => configIdOf(config, text => createHash('sha256').update(text).digest('hex'))

/** Instances that run, by the file they were made of. */
function running(text: string, instances: readonly number[], key = KEY): void {
  const config = stored(text, key)
  const id = idOf(config)
  node.ledger.put(
    putConfig({ v: 1, configId: id, config }),
    ...instances.map(instance =>
      putTask(taskRow(`${key.environment}-${instance}`, { job: key, instance, configId: id, status: 'RUNNING' })),
    ),
  )
}
const url = () => `http://127.0.0.1:${(node.app.server.address() as AddressInfo).port}`
const diff = (text: string, more = '', key = 'local/www/prod/web', columns?: number) =>
  daybreak(`job diff ${key} web.yaml ${more}`, null, {
    files: { 'web.yaml': text },
    env: { DAYBREAK_URL: url() },
    ...(columns === undefined ? {} : { columns }),
  })

describe('job diff', () => {
  test('nothing is different: said so, status 0 with and without --exit-code', async () => {
    running(file(), [0, 1, 2])
    const ran = await diff(file())
    expect(ran).toMatchObject({ exit: 0, err: '' })
    expect(ran.out).toBe('Nothing would change: local/www/prod/web is what web.yaml says, 3 instances\n')
    expect((await diff(file(), '--exit-code')).exit).toBe(0)
  })

  test('instances to add, to remove, to change and to leave; what changes in which line', async () => {
    running(file('serve --old', 'priority: 3'), [0, 4])
    running(file(), [1])
    const ran = await diff(file())
    expect(ran.exit).toBe(0)
    expect(ran.out.replace(/ +\n/g, '\n')).toBe(
      [
        'To make local/www/prod/web what web.yaml says',
        'INSTANCES  WHAT              FIELDS',
        '2          would be added',
        '4          would be removed',
        '0          would be changed  priority, task.processes[server].cmdline',
        '1          stay as they are',
        '',
        'Instances 0',
        '  priority: 3 → 0',
        '  task.processes[server].cmdline:',
        '      echo begin',
        '    - serve --old',
        '    + serve',
        '      echo end',
        '',
      ].join('\n'),
    )
  })

  test('as JSON: numbers of instances, and every changed field before and after', async () => {
    running(file('serve --old'), [0, 1, 4])
    const ran = await diff(file(), '--json --exit-code')
    expect(ran.exit).toBe(1)
    expect(ran.json()).toEqual({
      job: 'local/www/prod/web',
      from: 'local/www/prod/web',
      differs: true,
      add: [2],
      remove: [4],
      update: [
        {
          instances: [0, 1],
          changes: [
            {
              path: 'task.processes[server].cmdline',
              before: 'echo begin\nserve --old\necho end\n',
              after: 'echo begin\nserve\necho end\n',
            },
          ],
        },
      ],
      unchanged: [],
    })
  })

  test('two configurations run: each with its own changes', async () => {
    running(file('a'), [0])
    running(file('b'), [1, 2])
    const { update } = (await diff(file(), '--json')).json<{ update: { instances: number[]; changes: unknown[] }[] }>()
    expect(update.map(({ instances }) => instances)).toEqual([[0], [1, 2]])
  })

  test('only some instances: the others are not looked at; one that is nowhere is a slip', async () => {
    running(file('serve --old'), [0, 1, 4])
    const ran = await diff(file(), '--json', 'local/www/prod/web/1-2')
    expect(ran.json()).toMatchObject({ add: [2], remove: [], update: [{ instances: [1] }], unchanged: [] })
    expect(await diff(file(), '', 'local/www/prod/web/1,7-8')).toMatchObject({
      exit: 6,
      err: expect.stringContaining('Instances [7-8] neither run nor are in the job file'),
    })
  })

  test('nothing runs: all would be added, and how', async () => {
    const ran = await diff(file(), '--exit-code')
    expect(ran.exit).toBe(1)
    expect(ran.out).toContain('Nothing of it runs: daybreak job create would make all of it.')
    expect(ran.out).toMatch(/0-2 +would be added/)
  })

  test('on every host: the hosts decide how many there are, so what is there is compared', async () => {
    const everywhere = (cmdline: string) => file(cmdline, 'every_host: true').replace('instances: 3\n', '')
    running(everywhere('a'), [0, 5])
    expect((await diff(everywhere('b'), '--json')).json()).toMatchObject({
      add: [],
      remove: [],
      update: [{ instances: [0, 5] }],
    })
    expect((await diff(everywhere('a'))).out).toContain('Nothing would change')
  })

  test('--from: compared with what runs under another key', async () => {
    running(file('serve --old'), [0, 1, 2], { ...KEY, environment: 'devel' })
    const ran = await diff(file(), '--from local/www/devel/web --json')
    const { update } = ran.json<{ update: { changes: { path: string }[] }[] }>()
    expect(update[0]?.changes.map(({ path }) => path)).toEqual(['environment', 'task.processes[server].cmdline'])
    expect(await diff(file(), '--from east/www/devel/web')).toMatchObject({
      exit: 2,
      err: expect.stringContaining('--from names another cluster'),
    })
  })

  test('what admission refuses is refused, with the status of a refusal', async () => {
    const ran = await diff(file('serve', 'tier: best'))
    expect(ran.exit).toBe(10)
    expect(ran.err).toContain("Invalid tier 'best' in TaskConfig.")
  })

  test('a job on a timetable: refused in words', async () => {
    node.ledger.put(
      putConfig({ v: 1, configId: configId('cron'), config: stored(file()) }),
      putJob(
        jobRow(KEY, { configId: configId('cron'), cron: { schedule: '* * * * *', collisionPolicy: 'CANCEL_NEW' } }),
      ),
    )
    expect(await diff(file())).toMatchObject({ exit: 10, err: expect.stringContaining('Cron jobs are not supported.') })
  })

  test('on a terminal the table fits', async () => {
    running(file('serve --old', 'priority: 3'), [0, 1, 2])
    const { out } = await diff(file(), '', 'local/www/prod/web', 60)
    for (const line of out.split('\n').slice(1, 5)) expect(line.length).toBeLessThanOrEqual(60)
  })

  test('it changes nothing, and keeps no request id', async () => {
    running(file('serve --old'), [0])
    await diff(file())
    expect(node.told).toEqual([])
  })
})
