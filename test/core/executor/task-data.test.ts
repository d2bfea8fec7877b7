import { expect, test } from 'vitest'
import { readTaskData } from '../../../src/core/executor/task-data.ts'

const launch = { instance: 2, hostname: 'h1', taskId: 'www-prod-hello-2-x', ports: { http: 31_000 } }
const read = (job: unknown, more: Partial<typeof launch> = {}) =>
  readTaskData(JSON.stringify(job), { ...launch, ...more })
const job = (processes: unknown[], task: object = {}, more: object = {}) => ({
  name: 'hello',
  role: 'www',
  task: { name: 'hello', processes, ...task },
  ...more,
})

test('job-1: the blob of a job with a port and its instance: both are filled in', () => {
  const data = `{"name":"hello","role":"www","environment":"prod","cluster":"c","service":true,"task":{"name":"hello",
    "max_failures":1,"max_concurrency":0,"finalization_wait":30,"constraints":[],"resources":{"cpu":1.0,"ram":134217728,
    "disk":67108864,"gpu":0},"processes":[{"name":"hello","cmdline":"run -p {{thermos.ports[http]}} -i {{mesos.instance}}",
    "max_failures":1,"daemon":false,"ephemeral":false,"min_duration":5,"final":false}]}}`
  const result = readTaskData(data, launch)
  expect(result.ok && result.task.processes[0]?.cmdline).toBe('run -p 31000 -i 2')
})

test('host and task id are filled in, and an escaped brace comes out as one', () => {
  const result = read(job([{ name: 'p', cmdline: '{{mesos.hostname}} {{thermos.task_id}} {{&.Names}}' }]))
  expect(result.ok && result.task.processes[0]?.cmdline).toBe('h1 www-prod-hello-2-x {{.Names}}')
})

test('absent keys: the defaults of the schema', () => {
  const result = read({ task: { processes: [{ name: 'p', cmdline: 'true' }] } })
  expect(result).toEqual({
    ok: true,
    droppedPorts: [],
    task: {
      name: 'p',
      orders: [],
      maxFailures: 1,
      maxConcurrency: 0,
      finalizationWaitMs: 30_000,
      processes: [
        {
          name: 'p',
          cmdline: 'true',
          maxFailures: 1,
          daemon: false,
          ephemeral: false,
          minDurationMs: 5_000,
          final: false,
          keepsOutput: true,
        },
      ],
    },
  })
})

test('job-3: unknown keys anywhere are skipped, numbers and flags may be texts', () => {
  const result = read(
    job(
      [{ name: 'p', cmdline: 'true', colour: 'red', max_failures: '7', daemon: 'True', min_duration: 1.9 }],
      { shape: 1 },
      {
        mood: 'good',
      },
    ),
  )
  expect(result.ok && result.task.processes[0]).toMatchObject({ maxFailures: 7, daemon: true, minDurationMs: 1_000 })
})

test('engines that are not built yet do not disturb: health checks, containers, announce', () => {
  const result = read(
    job(
      [{ name: 'p', cmdline: 'serve {{thermos.ports[aurora]}}' }],
      {},
      {
        health_check_config: { health_checker: { http: {} } },
        container: { image: 'x' },
        announce: { primary_port: 'http', portmap: { aurora: 'http' } },
      },
    ),
  )
  expect(result.ok && result.task.processes[0]?.cmdline).toBe('serve 31000')
})

const refused: { desc: string; job: unknown; text: string }[] = [
  { desc: 'no task', job: { name: 'x' }, text: 'Could not deserialize Thermos task from AssignedTask: it has no task' },
  { desc: 'no processes', job: job([]), text: 'Got invalid task: Task has no processes' },
  {
    desc: 'a port that nobody assigned',
    job: job([{ name: 'p', cmdline: 'x {{thermos.ports[admin]}}' }]),
    text: 'Got invalid task: Task requires unbound port admin!',
  },
  {
    desc: 'a variable that nobody bound',
    job: job([{ name: 'p', cmdline: 'x {{colour}}' }]),
    text: 'Got invalid task: Unexpected unbound refs: {{colour}}',
  },
  ...['a/b', '.x', ''].map(name => ({
    desc: `the process name ${JSON.stringify(name)}`,
    job: job([{ name, cmdline: 'true' }]),
    text: `Got invalid task: Task has invalid process: Invalid process name: ${name}`,
  })),
  {
    desc: 'two processes of one name',
    job: job([
      { name: 'p', cmdline: 'true' },
      { name: 'p', cmdline: 'true' },
    ]),
    text: 'Got invalid task: Task has invalid plan: Duplicate process name: p',
  },
  {
    desc: 'a cycle',
    job: job(
      [
        { name: 'a', cmdline: 'true' },
        { name: 'b', cmdline: 'true' },
      ],
      {
        constraints: [{ order: ['a', 'b'] }, { order: ['b', 'a'] }],
      },
    ),
    text: 'Got invalid task: Task has invalid plan: Cycles detected in the task schedule!',
  },
  {
    desc: 'a process before itself',
    job: job([{ name: 'a', cmdline: 'true' }], { constraints: [{ order: ['a', 'a'] }] }),
    text: 'Got invalid task: Task has invalid plan: Cycles detected in the task schedule!',
  },
  {
    desc: 'an order with an unknown name',
    job: job([{ name: 'a', cmdline: 'true' }], { constraints: [{ order: ['a', 'z'] }] }),
    text: 'Got invalid task: Task has invalid plan: Invalid process dependencies! (no process named z)',
  },
  {
    desc: 'an order of final and regular processes',
    job: job(
      [
        { name: 'a', cmdline: 'true' },
        { name: 'f', cmdline: 'true', final: true },
      ],
      {
        constraints: [{ order: ['a', 'f'] }],
      },
    ),
    text: 'Got invalid task: Task has invalid plan: Invalid process dependencies! (a, f mixes final and regular processes)',
  },
  {
    desc: 'something behind a daemon',
    job: job(
      [
        { name: 'd', cmdline: 'true', daemon: true },
        { name: 'b', cmdline: 'true' },
      ],
      {
        constraints: [{ order: ['d', 'b'] }],
      },
    ),
    text: 'Got invalid task: Task has invalid plan: Process b may not depend upon daemon process d',
  },
  {
    desc: 'a lasting process behind an ephemeral one',
    job: job(
      [
        { name: 'e', cmdline: 'true', ephemeral: true },
        { name: 'b', cmdline: 'true' },
      ],
      {
        constraints: [{ order: ['e', 'b'] }],
      },
    ),
    text: 'Got invalid task: Task has invalid plan: Non-ephemeral process b may not depend upon ephemeral process e',
  },
  {
    desc: 'a NUL in a name',
    job: job([{ name: 'a\0b', cmdline: 'true' }]),
    text: 'Got invalid task: Task has invalid process: Invalid process name: a\0b',
  },
  {
    desc: 'a NUL in a cmdline',
    job: job([{ name: 'a', cmdline: 'echo \0' }]),
    text: 'Got invalid task: Process a: its cmdline holds a NUL character',
  },
  {
    desc: 'a cmdline longer than Linux passes on',
    job: job([{ name: 'a', cmdline: `ü${'x'.repeat(131_070)}` }]),
    text: 'Got invalid task: Process a: its cmdline has 131072 bytes, at most 131071 can be run; put the script into a file and run that',
  },
]
test.each(refused)('$desc: refused with its text', ({ job, text }) => {
  expect(read(job)).toEqual({ ok: false, text })
})

test('data that is no JSON: refused, and the text says so', () => {
  const result = readTaskData('{', launch)
  expect(result.ok).toBe(false)
  expect(result.ok ? '' : result.text).toMatch(/^Could not deserialize Thermos task from AssignedTask: /)
})
