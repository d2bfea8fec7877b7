import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readJobText } from '../../../src/cli/job-file-text.ts'
import { readTaskData } from '../../../src/core/executor/task-data.ts'
import { pathText } from '../../../src/core/job/field-schema.ts'
import { executorData, parseConstraint, toJobConfiguration } from '../../../src/core/job/job-configuration.ts'
import { parseBind, readJobFile, readJobOf } from '../../../src/core/job/job-file.ts'
import { nearestName } from '../../../src/core/job/nearest-name.ts'
import type { Struct, Tree } from '../../../src/core/job/template.ts'
import { unbuiltFields } from '../../../src/core/job/unbuilt-fields.ts'
import { jobConfiguration } from '../../../src/wire/rest.ts'

const KEY = { cluster: 'c', role: 'www', environment: 'prod', name: 'hello' }
const TASK = { processes: [{ name: 'hello', cmdline: 'run' }], resources: { cpu: 1, ram: '128MB', disk: '64MB' } }

const read = (job: Struct, binds: Struct[] = []) => readJobOf(job, KEY, binds)
/** `path: text` of every fault. */
const faults = (job: Struct, binds: Struct[] = []): string[] => {
  const found = read(job, binds)
  return found.ok ? [] : found.faults.map(fault => `${pathText(fault.path)}: ${fault.text}`)
}
const good = (job: Struct, binds: Struct[] = []) => {
  const found = read(job, binds)
  if (!found.ok) throw new Error(JSON.stringify(found.faults))
  return found.job
}
const withTask = (task: Struct): Struct => ({ task: { ...TASK, ...task } })
const withProcess = (process: Struct): Struct => withTask({ processes: [{ name: 'a', cmdline: 'x', ...process }] })

describe('the blob', () => {
  const job = {
    service: true,
    instances: 1,
    task: {
      processes: [{ name: 'hello', cmdline: 'run -p {{thermos.ports[http]}} -i {{mesos.instance}}' }],
      resources: { cpu: 1.0, ram: '128MB', disk: '64MB' },
    },
  }

  test('has exactly the keys of the wire, and the schema defaults', () => {
    expect(JSON.parse(executorData(good(job).job))).toEqual({
      name: 'hello',
      role: 'www',
      environment: 'prod',
      cluster: 'c',
      service: true,
      production: false,
      priority: 0,
      max_task_failures: 1,
      cron_collision_policy: 'KILL_EXISTING',
      enable_hooks: false,
      metadata: [],
      executor_config: { name: 'AuroraExecutor', data: '' },
      health_check_config: {
        health_checker: { http: { endpoint: '/health', expected_response: 'ok', expected_response_code: 0 } },
        initial_interval_secs: 15,
        interval_secs: 10,
        timeout_secs: 1,
        max_consecutive_failures: 0,
        min_consecutive_successes: 1,
      },
      lifecycle: {
        http: {
          port: 'health',
          graceful_shutdown_endpoint: '/quitquitquit',
          shutdown_endpoint: '/abortabortabort',
          graceful_shutdown_wait_secs: 5,
          shutdown_wait_secs: 5,
        },
      },
      task: {
        name: 'hello',
        max_failures: 1,
        max_concurrency: 0,
        finalization_wait: 30,
        constraints: [],
        resources: { cpu: 1, ram: 134_217_728, disk: 67_108_864, gpu: 0 },
        processes: [
          {
            name: 'hello',
            cmdline: 'run -p {{thermos.ports[http]}} -i {{mesos.instance}}',
            max_failures: 1,
            daemon: false,
            ephemeral: false,
            min_duration: 5,
            final: false,
          },
        ],
      },
    })
  })

  test('the agent reads it: assigned ports {http: 31000}, instance 2', () => {
    const launch = { instance: 2, hostname: 'h', taskId: 't', ports: { http: 31_000 } }
    const found = readTaskData(executorData(good(job).job), launch)
    expect(found.ok && found.task.processes[0]?.cmdline).toBe('run -p 31000 -i 2')
  })

  test('the same job with instances 1 then 5, or another update_config: byte for byte the same', () => {
    const one = executorData(good(job).job)
    expect(executorData(good({ ...job, instances: 5 }).job)).toBe(one)
    expect(executorData(good({ ...job, instances: 5, update_config: { batch_size: 3 } }).job)).toBe(one)
  })

  test('an escape stays escaped in it, and its end is the agent', () => {
    const data = executorData(good(withProcess({ cmdline: "docker ps --format '{{&.Names}}'" })).job)
    const found = readTaskData(data, { instance: 0, hostname: 'h', taskId: 't', ports: {} })
    expect(found.ok && found.task.processes[0]?.cmdline).toBe("docker ps --format '{{.Names}}'")
  })

  test('order and sequential become constraints, bind is gone', () => {
    const processes = ['a', 'b', 'c'].map(name => ({ name, cmdline: 'x' }))
    const final = { name: 'z', cmdline: 'x', final: true }
    const data = (task: Struct) => JSON.parse(executorData(good(withTask(task)).job)).task
    expect(data({ processes, order: ['b', 'a'], bind: { x: 1 } })).toMatchObject({
      constraints: [{ order: ['b', 'a'] }],
    })
    expect(data({ processes: [...processes, final], sequential: true })).toMatchObject({
      constraints: [{ order: ['a', 'b', 'c'] }],
    })
    expect(Object.keys(data({ processes, bind: { x: 1 }, order: ['a', 'b'] }))).not.toContain('bind')
  })
})

describe('what is submitted', () => {
  test('passes the schema of the API, facts in canonical form', () => {
    const job = good({
      instances: 4,
      tier: 'preferred',
      contact: 'ann {{&x}}',
      priority: '7',
      constraints: { rack: '!a,b', host: 'limit:2' },
      metadata: [
        { key: 'b', value: 1 },
        { key: 'a', value: 'z' },
        { key: 'a', value: 'y' },
        { key: 'a', value: 'y' },
      ],
      partition_policy: { delay_secs: 30 },
      task: { ...TASK, resources: { cpu: 0.5, ram: 1.5 * 1024 * 1024, disk: '2GiB' } },
    })
    const sent = toJobConfiguration(job.job, 'ann')
    expect(jobConfiguration.parse(sent)).toEqual(sent)
    expect(sent).toMatchObject({
      key: { role: 'www', environment: 'prod', name: 'hello' },
      instanceCount: 4,
      task: {
        owner: 'ann',
        tier: 'preferred',
        priority: 7,
        contactEmail: 'ann {{x}}',
        resources: { cpusMilli: 500, ramMb: 1, diskMb: 2048, gpus: 0 },
        constraints: [
          { name: 'host', rule: { type: 'limit', limit: 2 } },
          { name: 'rack', rule: { type: 'value', negated: true, values: ['a', 'b'] } },
        ],
        metadata: [
          { key: 'a', value: 'y' },
          { key: 'a', value: 'z' },
          { key: 'b', value: '1' },
        ],
        partitionPolicy: { reschedule: true, delaySecs: 30 },
      },
    })
  })

  test('ports: of any text, through the portmap of an announcer', () => {
    const ports = (job: Struct) => toJobConfiguration(good(job).job, 'a').task.ports
    expect(ports(withProcess({ cmdline: 'x {{thermos.ports[thrift]}}' }))).toEqual(['thrift'])
    expect(ports({ ...withProcess({ cmdline: 'x {{thermos.ports[thrift]}}' }), announce: {} })).toEqual([
      'http',
      'thrift',
    ])
    const shell = { health_checker: { shell: { shell_command: 'curl :{{thermos.ports[admin]}}' } } }
    expect(ports({ ...withTask({}), health_check_config: shell })).toEqual(['admin'])
    const announce = { portmap: { http: 80 } }
    expect(ports({ ...withTask({}), announce, constraints: { dedicated: 'www/x' } })).toEqual([])
  })

  test.each([
    ['limit:3', { type: 'limit', limit: 3 }],
    ['a', { type: 'value', negated: false, values: ['a'] }],
    ['!a,b,a', { type: 'value', negated: true, values: ['a', 'b'] }],
    ['limit:x', null],
    ['', null],
    ['a,,b', null],
  ])('constraint %s', (text, rule) => {
    expect(parseConstraint('n', text)?.rule ?? null).toEqual(rule)
  })

  test('another executor gets its own data', () => {
    const sent = toJobConfiguration(
      good({ ...withTask({}), executor_config: { name: 'mine', data: 'for {{role}}' } }).job,
      'a',
    )
    expect(sent.task.executor).toEqual({ name: 'mine', data: 'for www' })
  })
})

describe('coercion', () => {
  test.each<[string, Tree, string]>([
    ['instances', '1.5', "Cannot coerce '1.5' to Integer"],
    ['instances', true, "Cannot coerce 'true' to Integer"],
    ['instances', Number.POSITIVE_INFINITY, "Cannot coerce 'null' to Integer"],
    ['service', 'yes', "Cannot coerce 'yes' to Boolean"],
    ['contact', [1], "Cannot coerce '[1]' to String"],
    ['contact', true, "Cannot coerce 'true' to String"],
    ['constraints', 'limit:1', "Cannot coerce 'limit:1' to Map(String, String)"],
    ['metadata', {}, "Cannot coerce '{}' to List(Metadata)"],
    ['lifecycle', 'off', "Cannot coerce 'off' to LifecycleConfig"],
    [
      'cron_collision_policy',
      'WAIT',
      'CronCollisionPolicy only accepts the following values: KILL_EXISTING, CANCEL_NEW, RUN_OVERLAP',
    ],
  ])('%s: %j is refused', (field, value, text) => {
    expect(faults({ ...withTask({}), [field]: value })).toEqual([`${field}: ${text}`])
  })

  test.each<[string, Tree, unknown]>([
    ['instances', 1.9, 1],
    ['instances', ' 3 ', 3],
    ['service', 'TRUE', true],
    ['service', 0, false],
    ['contact', 5, '5'],
    ['cron_collision_policy', 'cancel_new', 'CANCEL_NEW'],
    ['priority', '{{n}}', 7],
  ])('%s: %j is %j', (field, value, expected) => {
    expect(good({ ...withTask({}), [field]: value, bind: { n: 7 } }).job).toHaveProperty(field, expected)
  })

  test.each<[Tree, number | null]>([
    [1024, 1024],
    ['1024', 1024],
    ['1KB', 1024],
    ['1 KiB', 1024],
    ['1.5MB', 1_572_864],
    ['2g', 2_147_483_648],
    ['1 parsec', null],
    ['1e3', null],
    ['', null],
  ])('ram: %j is %j bytes', (ram, bytes) => {
    const found = read(withTask({ resources: { cpu: 1, ram, disk: '1GB' } }))
    if (bytes === null) expect(found.ok).toBe(false)
    else if (found.ok) expect(found.job.job.task.resources.ram).toBe(bytes)
    else if (bytes >= 1_048_576) throw new Error(JSON.stringify(found.faults))
  })
})

describe('faults', () => {
  test('all at once, each with its path', () => {
    const found = faults({
      rol: 'x',
      instances: 0,
      constraints: { host: 'limit:many' },
      task: {
        resources: { cpu: 0, ram: 1, disk: '1GB' },
        processes: [
          { name: 'a', cmdline: '{{foo}}' },
          { cmdline: 'x', max_failure: 2 },
          { name: '.x', cmdline: 1 },
        ],
        order: ['a'],
      },
    })
    expect(found).toEqual([
      'rol: Unknown schema attribute rol; did you mean role?',
      'task.processes[0].cmdline: Unbound variable {{foo}}: bind it in the file or with --bind foo=VALUE',
      'task.processes[1].max_failure: Unknown schema attribute max_failure; did you mean max_failures?',
      'task.processes[1].name: name is required',
      'instances: Instance count must be positive.',
      "constraints.host: 'limit:many' is no constraint: limit:N with a whole number, or values such as a,b or !a",
      'task.processes[2].name: Task has invalid process: Invalid process name: .x',
      'task.resources: Task has invalid resources.  cpu/ramMb/diskMb must all be positive: cpu:0 ramMb:0 diskMb:1024',
    ])
  })

  test.each<[string, Struct, string]>([
    ['no processes', withTask({ processes: [] }), 'task.processes: Processes required for task on job "hello"'],
    ['1 MB - 1 byte', withTask({ resources: { cpu: 1, ram: 1_048_575, disk: '1GB' } }), 'ramMb:0'],
    ['no cpu', withTask({ resources: { cpu: 0, ram: '1GB', disk: '1GB' } }), 'must all be positive: cpu:0'],
    ['a job without a task', {}, 'task: task is required'],
    [
      'names twice',
      withTask({
        processes: [
          { name: 'a', cmdline: 'x' },
          { name: 'a', cmdline: 'y' },
        ],
      }),
      'Duplicate process name: a',
    ],
    [
      'order of a stranger',
      withTask({ order: ['hello', 'b'] }),
      'Task has invalid plan: Invalid process dependencies!',
    ],
    [
      'order in a circle',
      withTask({ order: ['hello', 'hello'] }),
      'Task has invalid plan: Cycles detected in the task schedule!',
    ],
    [
      'sequential with an order',
      withTask({ order: ['hello'], sequential: true }),
      'Cannot turn a Task with existing constraints',
    ],
    ['a circle of ports', { ...withTask({}), announce: { portmap: { a: 'b', b: 'a' } } }, 'Found cycle in portmap!'],
    [
      'a static port',
      { ...withTask({}), announce: { portmap: { http: 80 } } },
      'Job must be dedicated in order to specify static ports!',
    ],
    [
      'failures beyond the job',
      { ...withTask({}), update_config: { max_total_failures: 1 } },
      'you should use max_total_failures <= 0.',
    ],
    ['an empty batch', { ...withTask({}), update_config: { batch_size: 0 } }, 'Batch size should be greater than 0'],
    [
      'a short pulse',
      { ...withTask({}), update_config: { pulse_interval_secs: 59 } },
      'Pulse interval seconds must be at least 60 seconds.',
    ],
    [
      'a negative interval',
      { ...withTask({}), health_check_config: { interval_secs: -1 } },
      'Invalid value (-1) specified for interval_secs. Value cannot be less than 0.',
    ],
    [
      'two dedications',
      { ...withTask({}), constraints: { dedicated: 'a/x,b/y' } },
      'A dedicated constraint must have exactly one value',
    ],
    ['another role', { ...withTask({}), role: 'ads' }, "role: The file says role 'ads', the command says 'www'"],
    [
      'nested refs',
      withProcess({ cmdline: '{{hello_{{mesos.instance}}}}' }),
      'Unexpected unbound refs: {{hello_31337}}. Make sure you are not nesting template variables.',
    ],
    [
      'a ref inside a ref',
      withProcess({ cmdline: '{{hello_{{thermos.user_id}}}}' }),
      'Unbound variable {{thermos.user_id}}',
    ],
    ['blanks in a ref', withProcess({ cmdline: '{{ role }}' }), '{{ role }} is not a reference'],
    ['itself', withProcess({ cmdline: '{{cmdline}}' }), 'Maximum replacements reached.'],
  ])('%s', (_, job, text) => {
    const found = faults(job)
    expect(found).toHaveLength(1)
    expect(found[0]).toContain(text)
  })

  test('process names: a/b, .x and the empty one are refused, `a.b c` passes', () => {
    for (const name of ['a/b', '.x', ''])
      expect(faults(withProcess({ name }))[0]).toContain(`Invalid process name: ${name}`)
    expect(faults(withProcess({ name: 'a.b c' }))).toEqual([])
  })
})

describe('variables', () => {
  const cmdline = (job: Struct, binds: Struct[] = []) => good(job, binds).job.task.processes[0]?.cmdline

  test('fields of the job, aliases of the client, and the four of the launch', () => {
    const text = '{{role}} {{environment}} {{mesos.role}} {{mesos.cluster}} {{thermos.user}} {{name}} {{super.name}}'
    expect(cmdline(withProcess({ name: 'p', cmdline: text }))).toBe('www prod www c www p p')
    const launch = '{{mesos.hostname}} {{mesos.instance}} {{thermos.task_id}} {{thermos.ports[x]}}'
    expect(cmdline(withProcess({ cmdline: launch }))).toBe(launch)
  })

  test('the command line beats the job, the job beats the file; closer beats outer', () => {
    const job = {
      ...withProcess({ cmdline: '{{a}} {{b}} {{c}} {{p.x}} {{p.y}}', bind: { c: 'process' } }),
      bind: { a: 'job', b: 'job', c: 'job', p: { x: 1, y: 2 } },
    }
    const file = { jobs: [{ ...job, name: 'hello' }], bind: { a: 'file', d: 'file' } }
    const found = readJobOf(file, KEY, [{ b: 'cli', c: 'cli' }, { p: { y: 3 } }])
    expect(found.ok && found.job.job.task.processes[0]?.cmdline).toBe('job cli process 1 3')
  })

  test('--bind takes name=value, the first = divides, and names may reach into structs', () => {
    expect(parseBind('a=b=c')).toEqual({ a: 'b=c' })
    expect(parseBind('p.x=1')).toEqual({ p: { x: '1' } })
    for (const text of ['a', '=a', 'a b=c', '']) expect(parseBind(text)).toBeNull()
  })
})

describe('several jobs in a file', () => {
  const job = (name: string, environment: string) => ({ ...withTask({}), name, environment })

  test('the key chooses; faults of the others do no harm', () => {
    const file = { jobs: [job('hello', 'prod'), { name: 'other', environment: 'prod', task: 1 }] }
    expect(readJobOf(file, KEY).ok).toBe(true)
    expect(readJobFile(file, { key: KEY }).ok).toBe(false)
  })

  test('none fits: the candidates; two fit: said so', () => {
    const none = readJobOf({ jobs: [job('a', 'prod'), job('b', 'devel')] }, KEY)
    expect(!none.ok && none.faults[0]?.text).toBe(
      'Could not find job c/www/prod/hello. Candidates are: c/www/devel/b, c/www/prod/a',
    )
    const two = readJobOf({ jobs: [job('hello', 'prod'), job('hello', 'prod')] }, KEY)
    expect(!two.ok && two.faults[0]?.text).toContain('2 jobs of the file are c/www/prod/hello')
  })
})

describe('the text', () => {
  test('lines of keys, list items and places that are missing', () => {
    const text =
      'name: x\n# comment\ntask:\n  resources: {cpu: 1}\n  processes:\n  - name: a\n    cmdline: |\n      1\n      2\n  - name: b\n'
    const file = readJobText(text)
    const lines = (...path: (string | number)[]) => file.lineOf(path)
    expect(lines('name')).toBe(1)
    expect(lines('task', 'resources', 'ram')).toBe(4)
    expect(lines('task', 'processes', 0, 'cmdline')).toBe(7)
    expect(lines('task', 'processes', 1)).toBe(10)
    expect(lines('task', 'processes', 1, 'cmdline')).toBe(10)
    expect(lines('nothing')).toBe(1)
  })

  test('an alias of nothing: a fault with its line, and what to write instead', () => {
    const { faults } = readJobText('name: hello\ntask: *t\n')
    expect(faults).toEqual([
      {
        path: '',
        line: 2,
        text: 'no earlier place in the file is named &t: to write a text that begins with *, put it in quotes ("*t")',
      },
    ])
  })

  test('JSON is read with its lines too', () => {
    const file = readJobText('{\n  "name": "x",\n  "instances": 3\n}\n')
    expect(file.tree).toEqual({ name: 'x', instances: 3 })
    expect(file.lineOf(['instances'])).toBe(3)
  })

  test.each([
    ['a: 1\na: 2\n', 2, 'unique'],
    ['a: [1, 2\nb: 3\n', 2, ''],
    ['cmdline: {{role}}\n', 1, 'must be put in quotes'],
    ['a: !!nope x\n', 1, 'tag'],
  ])('%j: a fault with its line', (text, line, word) => {
    const file = readJobText(text)
    expect(file.faults[0]).toMatchObject({ line })
    expect(file.faults.map(fault => fault.text).join()).toContain(word)
  })
})

test('fields without an engine: refused where the job would be another one, warned about elsewhere', () => {
  const verdicts = (job: Struct) => {
    const { job: found, given } = good({ ...withTask({}), ...job })
    return unbuiltFields(found, given).map(field => `${field.verdict} ${field.field}`)
  }
  expect(verdicts({})).toEqual([])
  expect(verdicts({ cron_schedule: '* * * * *' })).toEqual(['refused cron_schedule'])
  expect(verdicts({ container: { image: 'x' } })).toEqual(['refused container'])
  expect(verdicts({ container: { docker: { image: 'x' } } })).toEqual(['refused container'])
  expect(verdicts({ container: { image: { name: 'x', tag: 'y' } } })).toEqual(['refused container'])
  expect(verdicts({ container: {} })).toEqual([])
  expect(verdicts({ production: true })).toEqual(['warned production'])
  expect(verdicts({ production: true, tier: 'preferred' })).toEqual([])
  expect(verdicts({ health_check_config: {} })).toEqual(['warned health_check_config'])
  expect(verdicts(withProcess({ cmdline: '{{thermos.ports[health]}}' }))).toEqual(['warned health', 'warned lifecycle'])
  expect(verdicts({ announce: {}, sla_policy: { count: 1, duration_secs: 1 }, update_config: {} })).toEqual([
    'warned sla_policy',
    'warned announce',
    'warned update_config',
  ])
})

test.each([
  ['servise', 'service'],
  ['max_task_failure', 'max_task_failures'],
  ['Instances', 'instances'],
  ['maxTaskFailures', 'max_task_failures'],
  ['zzz', undefined],
])('the nearest known name to %s is %s', (name, nearest) => {
  expect(nearestName(name, ['service', 'instances', 'max_task_failures', 'name', 'tier'])).toBe(nearest)
})

test('whatever a file holds: reading it answers, and faults name places', () => {
  const names = fc.constantFrom(
    'name',
    'task',
    'processes',
    'resources',
    'cpu',
    'cmdline',
    'bind',
    'jobs',
    'announce',
    'lifecycle',
  )
  const { tree } = fc.letrec<{ tree: Tree }>(tie => ({
    tree: fc.oneof(
      { depthSize: 'small' },
      fc.oneof(
        fc.string({ maxLength: 8 }),
        fc.constantFrom('{{name}}', '{{task.name}}', '{{x}}'),
        fc.double(),
        fc.boolean(),
        fc.constant(null),
      ),
      fc.array(tie('tree'), { maxLength: 3 }),
      fc.dictionary(names, tie('tree'), { maxKeys: 5 }),
    ),
  }))
  fc.assert(
    fc.property(tree, value => {
      const found = readJobOf(value, KEY)
      if (found.ok) expect(toJobConfiguration(found.job.job, 'a').key.name).toBe('hello')
      else for (const fault of found.faults) expect(fault.text).not.toBe('')
    }),
    { numRuns: 500 },
  )
})
