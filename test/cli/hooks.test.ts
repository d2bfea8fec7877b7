import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type FakeScheduler, fakeScheduler } from './fake-scheduler.ts'
import { daybreak, type Ran } from './terminal.ts'

const KEY = 'local/www-data/devel/hello'
const JOB = { role: 'www-data', environment: 'devel', name: 'hello' }
const FILE = '/home/ann/.daybreak/client.yaml'

let scheduler: FakeScheduler
let folder: string
beforeEach(async () => {
  scheduler = await fakeScheduler()
  scheduler.addTask(JOB, 0, 'RUNNING')
  folder = mkdtempSync(join(tmpdir(), 'daybreak-hooks-'))
})
afterEach(async () => {
  rmSync(folder, { recursive: true, force: true })
  await scheduler.close()
})

const withHooks = (line: string, yaml: string): Promise<Ran> => daybreak(line, scheduler, { files: { [FILE]: yaml } })
const mutations = () => scheduler.seen.filter(request => request.method === 'POST')
const read = (name: string): string => readFileSync(join(folder, name), 'utf8')

describe('command hooks', () => {
  test('before: reads what is asked for, then the command runs; its words go to stderr', async () => {
    const yaml = `hooks: [{name: look, on: job kill, before: 'cat > ${folder}/asked; echo seen'}]`
    const ran = await withHooks(`job kill ${KEY}/0 -m why`, yaml)
    expect(ran).toMatchObject({ exit: 0, err: 'seen\n' })
    expect(ran.out).toContain('Job kill succeeded')
    expect(JSON.parse(read('asked'))).toEqual({
      event: 'before',
      command: 'job kill',
      arguments: [`${KEY}/0`],
      options: { batchSize: '1', batching: true, maxTotalFailures: '0', message: 'why' },
      user: 'ann',
    })
  })

  test('what a hook leaves running behind it holds up nothing', async () => {
    const yaml = `hooks: [{name: tell, on: job kill, before: 'echo told; sleep 30 & echo $! > ${folder}/pid'}]`
    const startMs = performance.now()
    const ran = await withHooks(`job kill ${KEY}/0`, yaml)
    process.kill(Number(read('pid')))
    expect(ran).toMatchObject({ exit: 0, err: 'told\n' })
    expect(performance.now() - startMs).toBeLessThan(4_000)
  })

  test('before that says no: nothing is sent, no later hook runs, and the status is its own', async () => {
    const yaml = `
hooks:
  - {name: freeze, on: [job create, job kill], before: 'echo it is Friday; exit 17'}
  - {name: later, on: '*', before: 'touch ${folder}/later', after: 'touch ${folder}/later'}
`
    const ran = await withHooks(`job kill ${KEY}/0`, yaml)
    expect(ran.exit).toBe(17)
    expect(ran.err).toContain('it is Friday\nerror: Command aborted by command hook freeze with error code 17\n')
    expect(ran.err).toContain('--skip-hooks freeze')
    expect(ran.out).toBe('')
    expect(scheduler.seen).toEqual([])
    expect(() => read('later')).toThrow()
    const json = await withHooks(`job kill ${KEY}/0 --json`, yaml)
    expect(json.json()).toMatchObject({ error: { exit: 17 } })
  })

  test('after: every one runs, also of a command that failed, and knows how it ended; what it comes to is only said', async () => {
    const yaml = `
hooks:
  - {name: one, on: job kill, after: 'cat > ${folder}/one; exit 3'}
  - {name: two, on: job, after: 'echo $DAYBREAK_HOOK $DAYBREAK_EVENT $DAYBREAK_COMMAND > ${folder}/two'}
  - {name: other, on: quota get, after: 'touch ${folder}/other'}
`
    const ran = await withHooks(`job kill ${KEY}/7`, yaml)
    expect(ran.exit).toBe(6)
    expect(ran.err).toContain('warning: command hook one ended with error code 3 after the command\n')
    expect(JSON.parse(read('one'))).toMatchObject({ event: 'after', exit: 6 })
    expect(read('two')).toBe('two after job kill\n')
    expect(() => read('other')).toThrow()
  })

  test('--skip-hooks: those named, or all of them without even reading the file; a name that is not there is told', async () => {
    const yaml = `
hooks:
  - {name: a, on: job *, before: exit 1}
  - {name: b, on: '* status', before: exit 2}
`
    expect((await withHooks(`job status ${KEY}`, yaml)).exit).toBe(1)
    expect((await withHooks(`job status ${KEY} --skip-hooks a`, yaml)).exit).toBe(2)
    expect(await withHooks(`job status ${KEY} --skip-hooks a,b`, yaml)).toMatchObject({ exit: 0, err: '' })
    expect((await withHooks(`job status ${KEY} --skip-hooks all`, '{')).exit).toBe(0)
    const typo = await withHooks(`job status ${KEY} --skip-hooks a,b,c`, yaml)
    expect(typo.err).toBe(`warning: --skip-hooks: ${FILE} has no hook 'c'\n`)
  })

  test.each([
    ['{', 'Unable to parse'],
    ['[1]', 'a map with the key hooks is expected'],
    ['hook: []', "'hook' is not known here; hooks is"],
    ['hooks: {}', 'hooks is a list'],
    ['hooks: [1]', 'hooks[0] is a map'],
    ['hooks: [{name: a, on: job kil, before: x}]', "hooks[0].on: there is no command 'job kil'"],
    ['hooks: [{name: a, on: [], before: x}]', 'hooks[0].on is empty'],
    ['hooks: [{name: all, on: job, before: x}]', 'hooks[0].name'],
    ['hooks: [{name: a, on: job}]', 'hooks[0] has neither before nor after'],
    ['hooks: [{name: a, on: job, before: 3}]', 'hooks[0].before is a command line'],
    ['hooks: [{name: a, on: job, befor: x}]', 'hooks[0].befor is not known'],
    ['hooks: [{name: a, on: job, before: x}, {name: a, on: job, after: x}]', "hooks[1].name: 'a' is there twice"],
  ])('a file that says %j: 3, with the place, and nothing is asked', async (yaml, text) => {
    const ran = await withHooks(`job kill ${KEY}/0`, yaml)
    expect(ran.exit).toBe(3)
    expect(ran.err).toContain(FILE)
    expect(ran.err).toContain(text)
    expect(ran.err).toContain('--skip-hooks all')
    expect(scheduler.seen).toEqual([])
  })

  test('an empty file and none are no hooks; a file that is named has to be there; completion has none', async () => {
    expect((await withHooks(`job status ${KEY}`, '')).exit).toBe(0)
    expect((await withHooks('completion bash', "hooks: [{name: a, on: '*', before: exit 1}]")).exit).toBe(0)
    const env = { DAYBREAK_CLIENT_CONFIG: '/home/ann/none.yaml' }
    const named = await daybreak(`job status ${KEY}`, scheduler, { env })
    expect(named).toMatchObject({ exit: 3, err: 'error: Unable to read /home/ann/none.yaml: there is no such file\n' })
    expect(mutations()).toEqual([])
  })
})
