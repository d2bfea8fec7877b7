import { readFile } from 'node:fs/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type FakeScheduler, fakeScheduler } from './fake-scheduler.ts'
import { CLIENT_EXIT, daybreak } from './terminal.ts'

const KEY = 'local/www-data/devel/hello'
const JOB = { role: 'www-data', environment: 'devel', name: 'hello' }
const HELLO = 'examples/hello.yaml'
const ADHOC = {
  'once.yaml': `
instances: 2
task:
  resources: {cpu: 0.1, ram: 1MB, disk: 1MB}
  processes: [{name: main, cmdline: 'true'}]
`,
}

let scheduler: FakeScheduler
beforeEach(async () => {
  scheduler = await fakeScheduler()
})
afterEach(() => scheduler.close())
const mutations = () => scheduler.seen.filter(request => request.method === 'POST')

describe('job create', () => {
  test('sends the job once, with a request id and the user, and says where it is', async () => {
    const ran = await daybreak(`job create ${KEY} ${HELLO}`, scheduler)
    expect(ran).toMatchObject({ exit: 0, err: '' })
    expect(ran.out).toBe(`Job create succeeded: job url=${scheduler.url}/api/v1/jobs/www-data/devel/hello\n`)
    expect(mutations()).toHaveLength(1)
    expect(mutations()[0]?.headers).toMatchObject({
      'idempotency-key': expect.stringMatching(/^request-/),
      'daybreak-user': 'ann',
    })
    expect(mutations()[0]?.body).toMatchObject({
      job: { key: JOB, owner: 'ann', instanceCount: 3, task: { isService: true, ports: ['http'] } },
    })
  })

  test('--wait: shows progress until all instances run', async () => {
    const ran = await daybreak(`job create ${KEY} ${HELLO} --wait`, scheduler)
    expect(ran.exit).toBe(0)
    expect(ran.out).toContain('All instances are RUNNING')
    expect(ran.err.split('\n')).toEqual([
      '0/3 RUNNING, 3 PENDING',
      '0/3 RUNNING, 3 ASSIGNED',
      '0/3 RUNNING, 3 STARTING',
      '3/3 RUNNING',
      '',
    ])
  })

  test('--wait --json: one JSON document, no progress', async () => {
    const ran = await daybreak(`job create ${KEY} ${HELLO} --wait --json`, scheduler)
    expect(ran.err).toBe('')
    expect(ran.json()).toMatchObject({ job: KEY, instances: [0, 1, 2], active: [{ status: 'RUNNING' }, {}, {}] })
  })

  test('--wait, nothing placed: names the reasons and ends with the status of a timeout', async () => {
    scheduler.next = () => null
    scheduler.pendingReason = 'Insufficient: CPU'
    scheduler.pendingDetails = ['1 of 1 hosts have too little CPU; the largest has 2 cores']
    const ran = await daybreak(`job create ${KEY} ${HELLO} --wait --timeout 3`, scheduler)
    expect(ran.exit).toBe(9)
    expect(ran.err).toContain('pending: Insufficient: CPU')
    expect(ran.err).toContain('the largest has 2 cores')
    expect(ran.err).toContain('Not all instances were RUNNING in time: 0/3 RUNNING, 3 PENDING')
    expect(ran.sleptMs).toBeLessThanOrEqual(3000)
  })

  test('a reason whose explanation says no more than itself is shown once', async () => {
    scheduler.next = () => null
    scheduler.pendingReason = 'No agents available'
    scheduler.pendingDetails = ['No agents available']
    const ran = await daybreak(`job create ${KEY} ${HELLO} --wait --timeout 1s`, scheduler)
    expect(ran.exit).toBe(CLIENT_EXIT.timeout)
    expect(ran.err).toContain('(pending: No agents available)')
  })

  test('--wait, a service that fails again and again: gives up with the message of its last run', async () => {
    scheduler.next = task => (task.status === 'PENDING' ? 'STARTING' : 'FAILED')
    const ran = await daybreak(`job create ${KEY} ${HELLO} --wait`, scheduler)
    expect(ran.exit).toBe(4)
    expect(ran.err).toContain('Instance 0 is FAILED: Command exited with status 7')
  })

  test('--wait-until FINISHED, an ad-hoc job: ends when its work is done, or with its failure', async () => {
    scheduler.next = task => (task.status === 'PENDING' ? 'RUNNING' : 'FINISHED')
    const good = await daybreak(`job create ${KEY} once.yaml --wait-until FINISHED`, scheduler, { files: ADHOC })
    expect(good).toMatchObject({ exit: 0 })
    expect(good.out).toContain('All instances have FINISHED')
    scheduler.next = task => (task.instance === 1 ? 'FAILED' : 'FINISHED')
    const bad = await daybreak('job create local/a/devel/b once.yaml --wait-until finished', scheduler, {
      files: ADHOC,
    })
    expect(bad.exit).toBe(4)
    expect(bad.err).toContain('Instance 1 is FAILED: Command exited with status 7')
  })

  test('a service is not waited for until FINISHED', async () => {
    const ran = await daybreak(`job create ${KEY} ${HELLO} --wait-until FINISHED`, scheduler)
    expect(ran.exit).toBe(6)
    expect(mutations()).toEqual([])
  })

  test('answer lost and then 503: sent again under the same key, done once', async () => {
    const busy = { status: 503, problem: { code: 'NOT_LEADER', detail: 'no leader' }, headers: { 'retry-after': '1' } }
    scheduler.trouble.push('drop', busy)
    const ran = await daybreak(`job create ${KEY} ${HELLO}`, scheduler)
    expect(ran.exit).toBe(0)
    const keys = mutations().map(request => request.headers['idempotency-key'])
    expect(keys).toHaveLength(3)
    expect(new Set(keys).size).toBe(1)
    expect(scheduler.tasks).toHaveLength(3)
    expect(ran.err).toContain('trying again for')
    expect(ran.sleptMs).toBeGreaterThanOrEqual(1000)
  })

  test('a node that does not lead sends on: method, body and key go along', async () => {
    const leader = await fakeScheduler()
    try {
      const location = `${leader.url}/api/v1/jobs`
      scheduler.trouble.push({ status: 307, problem: {}, headers: { location } })
      const ran = await daybreak(`job create ${KEY} ${HELLO}`, scheduler)
      expect(ran.exit).toBe(0)
      expect(leader.tasks).toHaveLength(3)
      expect(leader.seen[0]?.headers['idempotency-key']).toBe(mutations()[0]?.headers['idempotency-key'])
    } finally {
      await leader.close()
    }
  })

  test('503 for ever: gives up after --timeout', async () => {
    for (let n = 0; n < 50; n++)
      scheduler.trouble.push({ status: 503, problem: { code: 'NOT_LEADER', detail: 'no leader' } })
    const ran = await daybreak(`job create ${KEY} ${HELLO} --timeout 5`, scheduler)
    expect(ran.exit).toBe(7)
    expect(ran.err).toContain('no leader (NOT_LEADER)')
    expect(ran.sleptMs).toBeLessThanOrEqual(5000)
  })

  test('a refusal is shown whole: text, code, faults, remedy', async () => {
    scheduler.trouble.push({
      status: 422,
      problem: {
        code: 'INVALID_REQUEST',
        detail: 'The task can never fit',
        remedy: 'ask for at most 2 cores',
        faults: [{ path: 'task.resources.cpusMilli', text: 'the largest host has 2 cores' }],
      },
    })
    const ran = await daybreak(`job create ${KEY} ${HELLO} --json`, scheduler)
    expect(ran.exit).toBe(4)
    expect(ran.err).toBe(
      [
        'error: Job creation failed due to error:',
        'The task can never fit (INVALID_REQUEST)',
        '  task.resources.cpusMilli: the largest host has 2 cores',
        '  → ask for at most 2 cores',
        '',
      ].join('\n'),
    )
    expect(ran.json()).toMatchObject({ error: { exit: 4, code: 'INVALID_REQUEST', remedy: 'ask for at most 2 cores' } })
  })

  test.each([401, 403])('%d: not tried again, status 30, for reads and changes', async status => {
    const no = { status, problem: { code: 'AUTH_FAILED', detail: 'Subject ann is not permitted' } }
    for (const line of [`job status ${KEY}`, `job killall ${KEY}`, 'job list local']) {
      scheduler.seen.length = 0
      scheduler.trouble.push(no)
      const ran = await daybreak(line, scheduler)
      expect(ran).toMatchObject({ exit: 30, out: '', sleptMs: 0 })
      expect(ran.err).toContain('Subject ann is not permitted (AUTH_FAILED)')
      expect(scheduler.seen).toHaveLength(1)
    }
  })

  test('nobody listens: says which URL and how to start a node', async () => {
    const gone = await fakeScheduler()
    await gone.close()
    const env = { DAYBREAK_URL: gone.url }
    const ran = await daybreak(`job create ${KEY} ${HELLO} --timeout 1`, null, { env })
    expect(ran.exit).toBe(7)
    expect(ran.err).toContain(`Cannot reach the scheduler at ${gone.url}: connection refused`)
    expect(ran.err).toContain('daybreak start config/local.yaml')
  })

  test('faulty file: every fault with file and line, nothing is sent', async () => {
    const files = {
      'bad.yaml':
        'instances: many\nservise: true\ntask:\n  resources: {cpu: 1, ram: 1GB}\n  processes:\n    - name: a/b\n',
    }
    const ran = await daybreak(`job create ${KEY} bad.yaml`, scheduler, { files })
    expect(ran.exit).toBe(3)
    expect(ran.err.split('\n')).toEqual([
      'error: Error loading configuration: bad.yaml has 5 faults',
      "  bad.yaml:1  instances: Cannot coerce 'many' to Integer",
      '  bad.yaml:2  servise: Unknown schema attribute servise; did you mean service?',
      '  bad.yaml:4  task.resources.disk: disk is required',
      '  bad.yaml:6  task.processes[0].cmdline: cmdline is required',
      '  bad.yaml:6  task.processes[0].name: Task has invalid process: Invalid process name: a/b',
      '',
    ])
    expect(scheduler.seen).toEqual([])
  })

  test('a field without an engine: refused when the job would be another one, warned about otherwise', async () => {
    const files = {
      'cron.yaml': `cron_schedule: '* * * * *'\n${ADHOC['once.yaml']}`,
      'sla.yaml': `update_config: {}\n${ADHOC['once.yaml']}`,
    }
    const cron = await daybreak(`job create ${KEY} cron.yaml`, scheduler, { files })
    expect(cron.exit).toBe(3)
    expect(cron.err).toContain('cron.yaml:1  cron_schedule: this version has no cron engine')
    const sla = await daybreak(`job create ${KEY} sla.yaml`, scheduler, { files })
    expect(sla.exit).toBe(0)
    expect(sla.err).toContain('warning: update_config:')
  })

  test('Ctrl-C while waiting: status 130, the job goes on', async () => {
    scheduler.next = () => null
    const ran = await daybreak(`job create ${KEY} ${HELLO} --wait`, scheduler, { interruptAt: 3 })
    expect(ran.exit).toBe(130)
    expect(scheduler.tasks).toHaveLength(3)
  })
})

describe('job status and list', () => {
  const settle = () => {
    scheduler.addTask(JOB, 0, 'RUNNING', { isService: true })
    scheduler.addTask(JOB, 1, 'PENDING', { ports: {} })
    scheduler.addTask(JOB, 1, 'FAILED', {
      failureCount: 2,
      events: [
        {
          atMs: Date.UTC(2026, 0, 31, 10),
          status: 'FAILED',
          message: 'Command exited with status 7\u001b[31m',
          scheduler: 'x',
          who: null,
          why: null,
        },
      ],
    })
    scheduler.pendingReason =
      'Constraint not satisfied: rack. Insufficient: CPU, RAM, disk and ports on every host of the cluster'
  }

  test('80 columns: nothing is wider, the message wraps, escape codes of others do not pass', async () => {
    settle()
    const ran = await daybreak(`job status ${KEY}`, scheduler, { columns: 80 })
    expect(ran.exit).toBe(0)
    expect(ran.out).toMatchInlineSnapshot(`
      "local/www-data/devel/hello  service, 2 wanted, 1 RUNNING, 1 PENDING
      INST  STATUS   FOR  HOST      PORTS       FAILED  MESSAGE
         0  RUNNING   0s  worker-1  http:31000       0
         1  PENDING   0s                             0  Constraint not satisfied:
                                                        rack. Insufficient: CPU, RAM,
                                                        disk and ports on every host
                                                        of the cluster
      What they wait for: daybreak job explain local/www-data/devel/hello

      ended
      INST  STATUS    FOR  HOST      PORTS       FAILED  MESSAGE
         1  FAILED  2h00m  worker-1  http:31001       2  Command exited with status 7
      "
    `)
    expect(Math.max(...ran.out.split('\n').map(line => line.length))).toBeLessThanOrEqual(80)
    expect(ran.out).not.toContain('\u001b')
  })

  test('colours only on a terminal without NO_COLOR', async () => {
    settle()
    const coloured = await daybreak(`job status ${KEY}`, scheduler, { columns: 80, env: { NO_COLOR: '' } })
    expect(coloured.out).toContain('\u001b[32mRUNNING')
    const piped = await daybreak(`job status ${KEY}`, scheduler, { env: { NO_COLOR: '' } })
    expect(piped.out).not.toContain('\u001b')
  })

  test('--verbose: as Aurora prints it', async () => {
    scheduler.addTask(JOB, 0, 'RUNNING', { metadata: [{ key: 'k', value: 'v' }] })
    const ran = await daybreak(`job status ${KEY} -v`, scheduler)
    expect(ran.out).toContain(
      'Active tasks (1):\n\tTask role: www-data, env: devel, name: hello, instance: 0, status: RUNNING on worker-1',
    )
    expect(ran.out).toContain('\t  CPU: 0.1 core(s), RAM: 64 MB, Disk: 64 MB\n\t  assigned ports: {http: 31000}\n')
    expect(ran.out).toContain("\t\t  (key: 'k', value: 'v')")
  })

  test('--json and --write-json: the tasks', async () => {
    settle()
    for (const flag of ['--json', '--write-json']) {
      const ran = await daybreak(`job status ${KEY} ${flag}`, scheduler)
      expect(ran.json()).toMatchObject([
        { job: KEY, active: [{ status: 'RUNNING' }, {}], inactive: [{ status: 'FAILED' }] },
      ])
    }
  })

  test('no match: text ends with 6, JSON with 0 and the error', async () => {
    const text = await daybreak('job status local/nobody/devel/x', scheduler)
    expect(text).toMatchObject({ exit: 6, err: 'error: Found no jobs matching local/nobody/devel/x\n' })
    const json = await daybreak('job status local/nobody/devel/x --write-json', scheduler)
    expect(json.exit).toBe(0)
    expect(json.json()).toEqual({ jobspec: 'local/nobody/devel/x', error: 'No matching jobs found' })
  })

  test('what listens there is no node: its 404 is not taken for a job that does not exist', async () => {
    for (const line of [`job status ${KEY} --json`, `job killall ${KEY}`]) {
      scheduler.trouble.push({ status: 404, problem: {} })
      const ran = await daybreak(line, scheduler)
      expect(ran.exit).toBe(7)
      expect(ran.err).toContain('answers, but not as a Daybreak node does')
    }
    expect(mutations()).toEqual([])
  })

  test('patterns: what matches, one key per line in a pipe, a table on a terminal', async () => {
    scheduler.addTask(JOB, 0, 'RUNNING')
    scheduler.addTask({ ...JOB, name: 'other' }, 0, 'PENDING')
    scheduler.addTask({ ...JOB, role: 'ads' }, 0, 'RUNNING')
    expect((await daybreak("job list 'local/www-*'", scheduler)).out).toBe(`${KEY}\nlocal/www-data/devel/other\n`)
    const table = await daybreak('job list', scheduler, { columns: 80 })
    expect(table.out).toMatch(/^JOB +KIND/)
    expect(table.out.split('\n')).toHaveLength(5)
    expect((await daybreak("job status '*/*/*/hel*' --json", scheduler)).json()).toHaveLength(2)
  })
})

describe('job kill and killall', () => {
  beforeEach(() => {
    for (let id = 0; id < 4; id++) scheduler.addTask(JOB, id, 'RUNNING')
  })

  test('kill: batch after batch, each waited for', async () => {
    const ran = await daybreak(`job kill ${KEY}/0-1,3 -m because`, scheduler)
    expect(ran).toMatchObject({ exit: 0, err: '' })
    expect(ran.out).toBe(
      'Successfully killed instances [0]\nSuccessfully killed instances [1]\nSuccessfully killed instances [3]\nJob kill succeeded\n',
    )
    expect(mutations().map(request => request.body)).toEqual(
      [0, 1, 3].map(id => ({ instances: [id], message: 'because' })),
    )
    expect(scheduler.tasks.map(task => task.status)).toEqual(['KILLED', 'KILLED', 'RUNNING', 'KILLED'])
  })

  test('an instance that was replaced before its turn: what is killed then is waited for', async () => {
    let second = scheduler.tasks[1]!
    scheduler.next = task => (task.taskId === second.taskId ? null : task.status === 'KILLING' ? 'KILLED' : null)
    const onSleep = (_nowMs: number, sleeps: number): void => {
      if (sleeps > 1) return
      Object.assign(second, { status: 'FAILED' })
      second = scheduler.addTask(JOB, 1, 'RUNNING')
    }
    const ran = await daybreak(`job kill ${KEY}/0-1 --timeout 10`, scheduler, { onSleep })
    expect(second.status).toBe('KILLING')
    expect(ran).toMatchObject({ exit: 4, out: 'Successfully killed instances [0]\n' })
  })

  test('some of the instances are not there: the others are killed, with a warning that names them', async () => {
    const ran = await daybreak(`job kill ${KEY}/1,7`, scheduler)
    expect(ran.out).toContain('Job kill succeeded')
    expect(ran.err).toBe(`warning: Left out: instances [7] are not active; active instances of ${KEY}: [0-3]\n`)
    expect(mutations().map(request => request.body)).toEqual([{ instances: [1] }])
  })

  test('kill without instances: status 6, and nothing is sent', async () => {
    const ran = await daybreak(`job kill ${KEY}`, scheduler)
    expect(ran.exit).toBe(6)
    expect(ran.err).toContain(
      'The instances list cannot be omitted in a kill command!; use killall to kill all instances',
    )
    expect(scheduler.seen).toEqual([])
  })

  test('nothing to kill: status 6, with the instances that are not there and those that are', async () => {
    const ran = await daybreak(`job kill ${KEY}/6-8,10`, scheduler)
    expect(ran).toMatchObject({
      exit: 6,
      err: `error: No tasks to kill found for job ${KEY}: instances [6-8, 10] are not active\n  → active instances of ${KEY}: [0-3]\n`,
    })
    const none = await daybreak('job kill local/a/devel/none/0', scheduler)
    expect(none.err).toContain(
      '→ there is no job local/a/devel/none; list those of the role: daybreak job list local/a\n',
    )
    expect((await daybreak('job killall local/a/devel/none', scheduler)).exit).toBe(6)
    for (const task of scheduler.tasks) Object.assign(task, { status: 'KILLED' })
    expect((await daybreak(`job killall ${KEY}`, scheduler)).exit).toBe(6)
    expect(mutations()).toEqual([])
  })

  test('not killed in time: 9 without batching, 4 with it', async () => {
    scheduler.next = () => null
    const once = await daybreak(`job kill ${KEY}/0,1 --no-batching --timeout 10`, scheduler)
    expect(once).toMatchObject({ exit: 9, err: 'error: Instances [0-1] were not killed in time\n' })
    const batched = await daybreak(`job kill ${KEY}/2-3 --timeout 10`, scheduler)
    expect(batched.exit).toBe(4)
    expect(batched.err).toContain('Exceeded maximum number of errors while killing instances')
    const allowed = await daybreak(`job kill ${KEY}/2-3 --max-total-failures 2`, scheduler)
    expect(allowed.exit).toBe(4)
    expect(allowed.err).toContain(
      'error: Errors occurred while killing instances\n  instance 2: was not killed in time',
    )
    expect(allowed.sleptMs).toBeGreaterThan(2 * 250_000)
  })

  test('--timeout is over before all batches are begun: 9, and no further one begins, whatever may fail', async () => {
    scheduler.next = () => null
    const ran = await daybreak(`job kill ${KEY}/0-3 --timeout 10 --max-total-failures 4`, scheduler)
    expect(ran.exit).toBe(9)
    expect(ran.err).toContain('Instances [0-3] were not killed in time\n  → [1-3] were not touched')
    expect(mutations().map(request => request.body)).toEqual([{ instances: [0] }])
  })

  test('killall that runs out of time: 9; with --json a failure is the one document', async () => {
    scheduler.next = () => null
    expect((await daybreak(`job killall ${KEY} --timeout 10`, scheduler)).exit).toBe(9)
    const json = await daybreak(`job kill ${KEY}/2-3 --max-total-failures 2 --json`, scheduler)
    expect(json.exit).toBe(4)
    expect(json.json<{ error: { faults: { path: string }[] } }>().error.faults.map(({ path }) => path)).toEqual([
      'instance 2',
      'instance 3',
    ])
  })

  test('a job whose policy counts its instances: a warning, as the policy stays as it is', async () => {
    const page = (type: string) => {
      const active = scheduler.tasks.filter(task => task.instance === 0)
      scheduler.pages.set('/api/v1/jobs/www-data/devel/hello', {
        config: { slaPolicy: { type } },
        active,
        inactive: [],
      })
    }
    page('percentage')
    const warned = await daybreak(`job kill ${KEY}/0 --timeout 1`, scheduler)
    expect(warned.err).toContain('warning: Killing instances without updating SlaPolicy.\n')
    page('coordinator')
    expect((await daybreak(`job kill ${KEY}/0 --timeout 1`, scheduler)).err).not.toContain('SlaPolicy')
  })

  test('a batch that fails in part: what may fail is counted over all batches', async () => {
    scheduler.next = task => (task.status === 'KILLING' && task.instance % 2 === 0 ? 'KILLED' : null)
    const ran = await daybreak(`job kill ${KEY}/0-3 --batch-size 2 --max-total-failures 1`, scheduler)
    expect(ran.exit).toBe(4)
    expect(ran.out).toBe('Successfully killed instances [0]\nSuccessfully killed instances [2]\n')
    expect(ran.err).toContain('Exceeded maximum number of errors while killing instances')
    expect(ran.err).toContain('not killed in time: [1, 3]')
  })

  test('killall: all at once, the job with them', async () => {
    const ran = await daybreak(`job killall ${KEY}`, scheduler)
    expect(ran.out).toBe('Successfully killed instances [0-3]\nJob killall succeeded\n')
    expect(mutations().map(request => request.body)).toEqual([{ all: true }])
  })

  test('killall in batches: the last takes the job', async () => {
    const ran = await daybreak(`job killall ${KEY} --batch-size 3 --json`, scheduler)
    expect(ran.json()).toEqual({ job: KEY, killed: [0, 1, 2, 3], notKilledInTime: [] })
    expect(mutations().map(request => request.body)).toEqual([{ instances: [0, 1, 2] }, { all: true }])
  })
})

describe('job add', () => {
  beforeEach(() => {
    for (let id = 0; id < 2; id++) scheduler.addTask(JOB, id, 'RUNNING', { isService: true })
  })

  test('so many more like the instance named, and waits for them if asked to', async () => {
    const ran = await daybreak(`job add ${KEY}/0 2 --wait`, scheduler)
    expect(ran).toMatchObject({ exit: 0, out: `Added instances [2-3] to ${KEY}\nAll of them are RUNNING\n` })
    expect(mutations().map(request => request.body)).toEqual([{ like: 0, count: 2 }])
    const json = await daybreak(`job add ${KEY}/1 1 --json`, scheduler)
    expect(json.json()).toEqual({ job: KEY, instances: [4] })
  })

  test('a job whose policy counts its instances: a warning', async () => {
    const page = { config: { slaPolicy: { type: 'count' } }, active: [], inactive: [] }
    scheduler.pages.set('/api/v1/jobs/www-data/devel/hello', page)
    const ran = await daybreak(`job add ${KEY}/0 1`, scheduler)
    expect(ran).toMatchObject({ exit: 0, err: 'warning: Adding instances without updating SlaPolicy.\n' })
  })

  test('an instance that is not active, none named, no number: refused with words', async () => {
    const idle = await daybreak(`job add ${KEY}/9 1`, scheduler)
    expect(idle).toMatchObject({
      exit: 10,
      err: expect.stringContaining('No active task found for a given instance ID.'),
    })
    const none = await daybreak(`job add ${KEY} 1`, scheduler)
    expect(none).toMatchObject({ exit: 2, err: expect.stringContaining('CLUSTER/ROLE/ENV/NAME/INSTANCE') })
    expect((await daybreak(`job add ${KEY}/0 none`, scheduler)).exit).toBe(2)
    expect(mutations()).toHaveLength(1)
  })
})

describe('job restart', () => {
  beforeEach(() => {
    for (let id = 0; id < 3; id++) scheduler.addTask(JOB, id, 'RUNNING', { isService: true })
  })

  test('batch after batch, each watched', async () => {
    const ran = await daybreak(`job restart ${KEY} --batch-size 2 --watch-secs 10`, scheduler)
    expect(ran.exit).toBe(0)
    expect(ran.err).toBe(
      'Restarting instances [0-1]; each must stay RUNNING for 10 s\n' +
        'Restarting instances [2]; each must stay RUNNING for 10 s\n',
    )
    expect(ran.out).toContain(`Restarted instances [0-1]\nRestarted instances [2]\nJob ${KEY} restarted successfully\n`)
    expect(ran.sleptMs).toBeGreaterThanOrEqual(20_000)
    expect(scheduler.tasks.filter(task => task.status === 'RUNNING')).toHaveLength(3)
  })

  test('an instance that does not stay up: status 4, the reason, no word of success', async () => {
    scheduler.next = task => {
      if (task.ancestorId !== null && task.status === 'RUNNING' && task.instance === 1) return 'FAILED'
      return ({ PENDING: 'RUNNING', KILLING: 'KILLED' }[task.status as string] as never) ?? null
    }
    const ran = await daybreak(`job restart ${KEY} --watch-secs 5`, scheduler)
    expect(ran.exit).toBe(4)
    expect(ran.err).toContain('Instance 1: did not stay RUNNING for 5 s')
    expect(ran.out).not.toContain('success')
    expect(mutations().map(request => request.body)).toEqual([{ instances: [0] }, { instances: [1] }])
  })

  test('so many may fail: 0, and it is said which did; another try each if so many are given', async () => {
    scheduler.next = task => {
      if (task.ancestorId !== null && task.status === 'RUNNING' && task.instance === 1) return 'FAILED'
      return ({ PENDING: 'RUNNING', KILLING: 'KILLED' }[task.status as string] as never) ?? null
    }
    const line = `job restart ${KEY} --watch-secs 5 --max-total-failures 1 --max-per-instance-failures 1 --batch-size 3`
    const ran = await daybreak(line, scheduler)
    expect(ran.exit).toBe(0)
    expect(ran.out).toContain(`Job ${KEY} restarted but for instances [1], as many as may fail\n`)
    expect(ran.out).not.toContain('success')
    expect(mutations().map(request => request.body)).toEqual([{ instances: [0, 1, 2] }, { instances: [1] }])
  })

  test('Ctrl-C: says what is done, what is begun and what is not touched', async () => {
    const ran = await daybreak(`job restart ${KEY} --watch-secs 5`, scheduler, { interruptAt: 20 })
    expect(ran.exit).toBe(130)
    expect(ran.err).toContain('Restarted: [0]; begun: [1]; not touched: [2]\n')
    const early = await daybreak(`job restart ${KEY} --watch-secs 5`, scheduler, { interruptAt: 1 })
    expect(early.err).toContain('Nothing is restarted yet; begun: [0]; not touched: [1-2]\n')
  })

  test('negative --max-total-failures, unknown instances: status 6', async () => {
    const negative = await daybreak(`job restart ${KEY} --max-total-failures=-1`, scheduler)
    expect(negative).toMatchObject({
      exit: 6,
      err: 'error: max_total_failures option must be >0, but you specified -1\n',
    })
    expect((await daybreak(`job restart ${KEY}/2-4`, scheduler)).err).toContain(
      `instances [3-4] are not active\n  → active instances of ${KEY}: [0-2]\n`,
    )
  })
})

describe('the command line', () => {
  test.each([
    'job status',
    'job create local/a/b',
    'job create local/a/b examples/hello.yaml',
    'job kill local/a/devel/b/4-1',
    'job kill local/a/devel/b/1-2-5',
    'job killall local/a/devel/b/',
    'job status local/a/devel/b --timeout soon',
    `job create ${KEY} ${HELLO} --bind nothing`,
    'job bogus',
    'bogus',
  ])('%s: status 2', async line => {
    const ran = await daybreak(line, scheduler)
    expect(ran.exit).toBe(2)
    expect(ran.err).not.toBe('')
    expect(scheduler.seen).toEqual([])
  })

  test('an unknown cluster names those that are known', async () => {
    const files = { '/home/ann/.daybreak/clusters.yaml': 'east: {url: "http://east:8081"}\n' }
    const ran = await daybreak('job status west/a', scheduler, { files })
    expect(ran.exit).toBe(3)
    expect(ran.err).toContain('Unknown cluster: west')
    expect(ran.err).toContain('known clusters: local, east')
  })

  test('a cluster of the clusters file, and --url, are where it says', async () => {
    const files = { '/etc/clusters.yaml': `east: {url: "${scheduler.url}/"}\n` }
    const env = { DAYBREAK_URL: 'http://127.0.0.1:1', DAYBREAK_CLUSTERS: '/etc/clusters.yaml' }
    scheduler.addTask(JOB, 0, 'RUNNING')
    expect((await daybreak('job list east', null, { files, env })).out).toBe('east/www-data/devel/hello\n')
    expect((await daybreak(`job list local --url ${scheduler.url}`, null, { env: {} })).out).toBe(`${KEY}\n`)
  })

  test('no words at all, --help and --version: success', async () => {
    for (const line of ['', '--help', 'help', 'help job', 'job create --help']) {
      const ran = await daybreak(line, null, { columns: 80 })
      expect(ran.exit).toBe(0)
      expect(ran.out).toContain('Usage: daybreak')
    }
    expect((await daybreak('--version', null)).out).toMatch(/^\d+\.\d+\.\d+\n$/)
  })

  test('the exit statuses are the documented ones', async () => {
    const doc = await readFile('docs/operating/client.md', 'utf8')
    const documented = [...doc.matchAll(/^\| (\d+) \|/gm)].map(found => Number(found[1]))
    expect(documented).toEqual(Object.values(CLIENT_EXIT))
  })

  test('every verb shows an example', async () => {
    for (const verb of ['create', 'status', 'list', 'inspect', 'kill', 'killall', 'restart', 'add']) {
      const ran = await daybreak(`job ${verb} --help`, scheduler, { columns: 80 })
      expect(ran.exit).toBe(0)
      expect(ran.out).toContain(`  daybreak job ${verb} local`)
    }
  })
})
