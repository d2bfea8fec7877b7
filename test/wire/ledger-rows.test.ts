import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { agentId, configId, taskId } from '../../src/core/base/ids.ts'
import { type Rows, TABLE_NUMBERS, type TableName, type TaskRow } from '../../src/core/ledger/rows.ts'
import { TASK_STATUSES, type TaskStatus } from '../../src/core/task/status.ts'
import { BadRow, encodeRow, RowReader } from '../../src/wire/ledger-rows.ts'
import { agentRow, configRow, HELLO, jobRow, taskConfig, taskRow, updateEvent, updateRow } from '../fixtures/rows.ts'

const fullTask: TaskRow = taskRow('www-data-devel-hello-0-1', {
  status: 'RUNNING',
  version: 5,
  agentId: agentId('a1'),
  host: 'a1.example',
  ports: { http: 31_000 },
  failureCount: 2,
  timesPartitioned: 1,
  ancestorId: taskId('older'),
  readyAtMs: 1_700_000_000_000,
  agentSeq: 9,
  events: [
    { atMs: 1_700_000_000_000, status: 'PENDING', scheduler: 'n1' },
    { atMs: 1_700_000_000_001, status: 'RUNNING', scheduler: 'n1', message: 'grüße' },
  ],
})

const samples: { [T in TableName]: Rows[T][] } = {
  task: [
    taskRow('t'),
    fullTask,
    {
      ...fullTask,
      placement: { seed: 7, policy: 'RANDOM', tasks: 1, hosts: 3, looked: 1, candidates: [{ host: 'h' }] },
    },
    {
      ...fullTask,
      placement: {
        seed: 7,
        policy: 'CPU,MEMORY',
        tasks: 9,
        hosts: 3,
        looked: 3,
        candidates: [
          { host: 'h', score: 12.5, terms: { 'spread rack': 12.5 } },
          { host: 'i', score: 0 },
        ],
        claim: 'preemption',
      },
    },
  ],
  config: [configRow('c1', { partitionPolicy: { reschedule: true, delaySecs: 5 }, contactEmail: 'a@b.c' })],
  job: [jobRow(), { ...jobRow(), cron: { schedule: '* * * * *', collisionPolicy: 'CANCEL_NEW' } }],
  agent: [
    agentRow('a1', { logUrl: 'http://x', attributes: [{ name: 'rack', values: ['a', 'b'] }] }),
    agentRow('a2'),
    agentRow('a3', { awaySinceMs: 1_700_000_000_000, place: 'f00d' }),
    agentRow('a4', { place: 'f00d' }),
    agentRow('a6', { workDir: '/var/lib/daybreak/agent' }),
    agentRow('a5', { revocable: { cpusMilli: 4000 }, unavailability: { fromMs: 5 } }),
  ],
  request: [
    { v: 1, requestId: 'r', fingerprint: 'f', outcome: { type: 'done', instances: [0, 1], message: null }, atMs: 1 },
    { v: 1, requestId: 'r', fingerprint: 'f', outcome: null, atMs: 1_700_000_000_000 },
  ],
  meta: [{ v: 1, name: 'epoch', value: [3, 1] }],
  update: [
    updateRow('u1'),
    updateRow('u2', {
      initial: [{ config: taskConfig(), instances: [[0, 4]] }],
      message: 'grüße',
      settings: { size: 2 },
    }),
  ],
  updateEvent: [
    updateEvent('u1', 1, { status: 'ROLLING_FORWARD', user: 'www-data' }),
    updateEvent('u1', 2, { instance: { instance: 3, action: 'INSTANCE_UPDATED' }, message: 'm' }),
  ],
  quota: [{ v: 1, role: 'www-data', quota: { cpusMilli: 4000, ramMb: 1024, diskMb: 2048 } }],
}

describe('rows as bytes', () => {
  for (const table of Object.keys(samples) as TableName[]) {
    test(`${table}: read back equal, absent fields stay absent, the same row gives the same bytes`, () => {
      for (const row of samples[table]) {
        const bytes = encodeRow(table, row)
        expect(new RowReader().read(TABLE_NUMBERS[table], 'k', bytes)).toStrictEqual({
          type: 'put',
          table,
          key: 'k',
          row,
        })
        expect(Buffer.compare(encodeRow(table, structuredClone(row)), bytes)).toBe(0)
      }
    })

    test(`${table}: every truncation is refused`, () => {
      for (const row of samples[table]) {
        const bytes = Uint8Array.from(encodeRow(table, row))
        for (let size = 0; size < bytes.length; size++) {
          expect(() => new RowReader().read(TABLE_NUMBERS[table], 'k', bytes.subarray(0, size))).toThrow(BadRow)
        }
      }
    })
  }

  test('task: any row reads back equal, beside thousands of others whose texts the reader shares', () => {
    const id = fc.stringMatching(/^[a-z0-9_.-]{1,40}$/)
    const words = fc.oneof(id, fc.string({ maxLength: 300 }))
    const count = fc.oneof(fc.nat(200), fc.nat(0xffff_ffff), fc.nat(Number.MAX_SAFE_INTEGER))
    const status = fc.constantFrom(...(Object.keys(TASK_STATUSES) as TaskStatus[]))
    const absent = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: undefined })
    const record = fc.record({
      seed: count,
      policy: words,
      tasks: count,
      hosts: count,
      looked: count,
      candidates: fc.array(
        fc.record({
          host: id,
          score: absent(
            fc.oneof(
              count,
              fc.double({ noNaN: true, noDefaultInfinity: true }).filter(x => !Object.is(x, -0)),
            ),
          ),
        }),
        { maxLength: 20 },
      ),
      claim: absent(fc.constantFrom('preemption' as const, 'affinity' as const)),
    })
    const rows = fc.record({
      taskId: id,
      role: id,
      name: words,
      instance: count,
      status,
      version: count,
      // As an admission takes them: it refuses the one name that does not read back.
      ports: fc.dictionary(
        id.filter(name => name !== '__proto__'),
        fc.integer({ min: 1, max: 65_535 }),
        { maxKeys: 20 },
      ),
      events: fc.array(
        fc.record({ atMs: count, status, scheduler: id, message: absent(words), who: absent(id), why: absent(words) }),
        { maxLength: 20 },
      ),
      agentId: absent(id),
      host: absent(id),
      ancestorId: absent(id),
      readyAtMs: absent(count),
      flapCount: absent(count),
      freshEvents: absent(count),
      placement: absent(record),
    })
    const withoutAbsent = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T
    const reader = new RowReader()
    for (let n = 0; n < 20_000; n++) {
      const row = taskRow(`t${n}`, { host: `h${n}`, job: { ...HELLO, name: `j${n}` } })
      expect(reader.read(TABLE_NUMBERS.task, row.taskId, encodeRow('task', row))).toMatchObject({ row })
    }
    fc.assert(
      fc.property(rows, ({ taskId: of, role, name, ...more }) => {
        const row = taskRow(
          of,
          withoutAbsent({ ...more, job: { ...HELLO, role, name } }) as unknown as Partial<TaskRow>,
        )
        const bytes = encodeRow('task', row)
        expect(reader.read(TABLE_NUMBERS.task, of, bytes)).toStrictEqual({ type: 'put', table: 'task', key: of, row })
        // Nothing is left of what was read where it lay.
        bytes.fill(0)
        expect(new RowReader().read(TABLE_NUMBERS.task, 'k', encodeRow('task', row))).toMatchObject({ row })
      }),
      { numRuns: 300 },
    )
  })

  test('task, form 1: the bytes are what they were when the form was fixed', () => {
    expect(Buffer.from(encodeRow('task', taskRow('t'))).toString('hex')).toBe(
      'dc0012' +
        '01a174' +
        'a87777772d64617461a5646576656ca568656c6c6f' +
        '00a26331' +
        '0001' +
        '80' +
        '000000' +
        '9194cd03e800a66e6f64652d31c0' +
        'c0c0c0c0',
    )
  })

  test('agent, form 1: the bytes are what they were when the form was fixed', () => {
    expect(Buffer.from(encodeRow('agent', agentRow('a2'))).toString('hex')).toBe(
      '9a01a26132aa61322e6578616d706c659084a9637075734d696c6c69cd0fa0a572616d4d62cd2000a66469736b4d62ce00010000a46770757300' +
        '9192cd7918cd797ba44e4f4e45a5302e312e30c0cd03e8',
    )
  })

  test('update and update event, form 1: the bytes are what they were when the form was fixed', () => {
    expect(Buffer.from(encodeRow('update', updateRow('u1', { initial: [], settings: {} }))).toString('hex')).toBe(
      '9801a27531' +
        '83a4726f6c65a87777772d64617461ab656e7669726f6e6d656e74a5646576656ca46e616d65a568656c6c6f' +
        'a87777772d64617461' +
        '9080c0c0',
    )
    const event = updateEvent('u1', 2, { instance: { instance: 3, action: 'INSTANCE_UPDATED' } })
    expect(Buffer.from(encodeRow('updateEvent', event)).toString('hex')).toBe(
      '9801' +
        'b77777772d646174612f646576656c2f68656c6c6f2f7531' +
        '02cd03e8c0' +
        '82a8696e7374616e636503a6616374696f6eb0494e5354414e43455f55504441544544' +
        'c0c0',
    )
  })

  test('any task: read back equal', () => {
    const status = fc.constantFrom(...(Object.keys(TASK_STATUSES) as TaskStatus[]))
    const text = fc.string({ unit: 'grapheme', maxLength: 30 })
    const task = fc.record(
      {
        v: fc.constant(1 as const),
        taskId: text.map(taskId),
        job: fc.constant(HELLO),
        instance: fc.nat(),
        configId: text.map(configId),
        status,
        version: fc.nat(),
        ports: fc.dictionary(
          text.filter(name => name !== '__proto__'),
          fc.nat(65_535),
        ),
        failureCount: fc.nat(),
        timesPartitioned: fc.nat(),
        agentSeq: fc.maxSafeNat(),
        events: fc.array(
          fc.record(
            { atMs: fc.maxSafeNat(), status, scheduler: text, message: text, who: text, why: text },
            { requiredKeys: ['atMs', 'status', 'scheduler'] },
          ),
        ),
        agentId: text.map(agentId),
        host: text,
        ancestorId: text.map(taskId),
        readyAtMs: fc.maxSafeNat(),
        flapCount: fc.nat(),
        freshEvents: fc.integer({ min: 2, max: 9 }),
      },
      {
        requiredKeys: [
          'v',
          'taskId',
          'job',
          'instance',
          'configId',
          'status',
          'version',
          'ports',
          'failureCount',
          'timesPartitioned',
          'agentSeq',
          'events',
        ],
      },
    )
    fc.assert(
      fc.property(task, row => {
        const read = new RowReader().read(TABLE_NUMBERS.task, row.taskId, encodeRow('task', row))
        expect(read).toEqual({ type: 'put', table: 'task', key: row.taskId, row })
      }),
    )
  })

  test('random bytes are refused', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...Object.values(TABLE_NUMBERS)),
        fc.uint8Array({ maxLength: 60 }),
        (table, bytes) => {
          expect(() => new RowReader().read(table, 'k', bytes)).toThrow(BadRow)
        },
      ),
    )
  })

  test('a row of a later form, or of a table of a later release, is refused by name', () => {
    const later = { ...taskRow('t'), v: 2 } as unknown as TaskRow
    expect(() => new RowReader().read(1, 't', encodeRow('task', later))).toThrow('form 2 is not known')
    expect(() => new RowReader().read(99, 'k', new Uint8Array([1]))).toThrow('table 99 is not known')
  })

  test('rows read by one reader share their job keys and repeated texts', () => {
    const reader = new RowReader()
    const read = (row: TaskRow) => reader.read(1, row.taskId, encodeRow('task', row)) as { row: TaskRow }
    expect(read(taskRow('a')).row.job).toBe(read(taskRow('b')).row.job)
  })
})
