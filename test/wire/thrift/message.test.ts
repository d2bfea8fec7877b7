import { describe, expect, test } from 'vitest'
import { type Call, type Protocol, readCall, writeException, writeReply } from '../../../src/wire/thrift/message.ts'
import { writePlain } from '../../../src/wire/thrift/plain-json.ts'
import { structPlan } from '../../../src/wire/thrift/plan.ts'
import { many, type Response } from '../../../src/wire/thrift/types.ts'
import { ReplyTooLarge } from '../../../src/wire/thrift/writer.ts'

const GOLDEN_BINARY = Buffer.from('800100010000000e676574526f6c6553756d6d6172790000000100', 'hex')
const GOLDEN_JSON = Buffer.from('[1,"getRoleSummary",1,0,{}]')
/** killTasks(job www-data/devel/hello, instances {0, 2}, message "bye"), seqid 7. */
const KILL_JSON = Buffer.from(
  '[1,"killTasks",1,7,{"4":{"rec":{"1":{"str":"www-data"},"2":{"str":"devel"},"3":{"str":"hello"}}},' +
    '"5":{"set":["i32",2,0,2]},"6":{"str":"bye"},"99":{"lst":["str",1,"new"]}}]',
)
const KILL_BINARY = Buffer.from(
  '8001000100000009' + // strict, CALL, nine letters
    '6b696c6c5461736b73' +
    '00000007' +
    '0c0004' + // 4: struct
    '0b0001000000087777772d64617461' +
    '0b000200000005646576656c' +
    '0b00030000000568656c6c6f' +
    '00' +
    '0e0005080000000200000000' +
    '00000002' + // 5: set<i32> 0, 2
    '0b000600000003627965' + // 6: "bye"
    '0f00630b00000001000000036e6577' + // 99: list<string>, not known
    '00',
  'hex',
)
const KILL = {
  type: 'call',
  method: 'killTasks',
  seqid: 7,
  args: { job: { role: 'www-data', environment: 'devel', name: 'hello' }, instances: [0, 2], message: 'bye' },
}

function written(response: Response, protocol: Protocol, call = { method: 'getRoleSummary', seqid: 1 }): Buffer {
  const steps = writeReply(call, response, protocol)
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
  }
}

describe('a call', () => {
  test.each<[string, Buffer, Protocol, number]>([
    ['binary', GOLDEN_BINARY, 'binary', 1],
    ['JSON', GOLDEN_JSON, 'json', 0],
  ])('the golden call in %s reads as it should', (_name, bytes, protocol, seqid) => {
    expect(readCall(bytes, protocol)).toEqual({ type: 'call', method: 'getRoleSummary', seqid, args: {} })
  })

  test.each<[string, Buffer, Protocol]>([
    ['binary', KILL_BINARY, 'binary'],
    ['JSON', KILL_JSON, 'json'],
  ])('arguments in %s; a field that is not known is passed over', (_name, bytes, protocol) => {
    expect(readCall(bytes, protocol)).toEqual(KILL)
  })

  test('the old form of the binary head, without a version', () => {
    const name = Buffer.from('getRoleSummary')
    const old = Buffer.concat([Buffer.from([0, 0, 0, name.length]), name, Buffer.from([1, 0, 0, 0, 9, 0])])
    expect(readCall(old, 'binary')).toMatchObject({ type: 'call', method: 'getRoleSummary', seqid: 9 })
  })

  test('absent is not empty: no set of instances, and one with none', () => {
    const without = readCall(Buffer.from('[1,"killTasks",1,7,{}]'), 'json') as Call
    expect(without.args).toEqual({})
    const empty = readCall(Buffer.from('[1,"killTasks",1,7,{"5":{"set":["i32",0]}}]'), 'json') as Call
    expect(empty.args).toEqual({ instances: [] })
  })

  test('a known field of another type is refused: without its instances a kill would be one of the whole job', () => {
    for (const args of ['{"6":{"i32":5}}', '{"5":{"lst":["i32",1,2]}}', '{"5":{"set":["str",1,"x"]}}'])
      expect(readCall(Buffer.from(`[1,"killTasks",1,7,${args}]`), 'json')).toMatchObject({
        type: 'refusal',
        kind: 'PROTOCOL_ERROR',
        seqid: 7,
      })
    const field = Buffer.from(KILL_BINARY)
    field[field.indexOf('bye') - 7] = 0x0a // the message now says that it is an i64
    const element = Buffer.from(KILL_BINARY)
    element[element.indexOf(Buffer.from('0e000508', 'hex')) + 3] = 0x0b // a set of texts
    for (const bytes of [field, element])
      expect(readCall(bytes, 'binary')).toMatchObject({ type: 'refusal', kind: 'PROTOCOL_ERROR' })
  })

  test('an empty set is one whatever it says that it holds', () => {
    const call = readCall(Buffer.from('[1,"killTasks",1,7,{"5":{"set":["str",0]}}]'), 'json') as Call
    expect(call.args).toEqual({ instances: [] })
  })

  test('a number of an enum that is not known reads as absent', () => {
    const call = readCall(Buffer.from('[1,"forceTaskState",1,1,{"1":{"str":"t"},"2":{"i32":99}}]'), 'json') as Call
    expect(call.args).toEqual({ taskId: 't' })
  })
})

describe('what cannot be read', () => {
  test('api-12: an unknown method: an exception with its name and seqid', () => {
    const refusal = readCall(Buffer.from('[1,"fly",1,42,{}]'), 'json')
    expect(refusal).toMatchObject({ type: 'refusal', name: 'fly', seqid: 42, kind: 'UNKNOWN_METHOD' })
    if (refusal.type !== 'refusal') throw new Error('it was read')
    expect(String(writeException(refusal, 'json'))).toBe(
      `[1,"fly",3,42,{"1":{"str":"Invalid method name: 'fly'"},"2":{"i32":1}}]`,
    )
  })

  test('every truncation of a golden call is refused, and so is an empty one', () => {
    for (const [bytes, protocol] of [
      [KILL_BINARY, 'binary'],
      [GOLDEN_BINARY, 'binary'],
      [KILL_JSON, 'json'],
    ] as const) {
      for (let length = 0; length < bytes.length; length++)
        expect(readCall(bytes.subarray(0, length), protocol).type).not.toBe('call')
    }
  })

  test('declared sizes are not believed: 2^31 elements in 40 bytes, a text longer than the message', () => {
    const head = GOLDEN_BINARY.subarray(0, GOLDEN_BINARY.length - 1)
    const kill = Buffer.concat([Buffer.from('8001000100000009'.concat('6b696c6c5461736b73', '00000007'), 'hex')])
    for (const tail of [
      '0e0005087fffffff00',
      '0b00067fffffff',
      '0b0006ffffffff',
      '0e000508ffffffff',
      '0d0001080b7fffffff',
    ])
      expect(readCall(Buffer.concat([kill, Buffer.from(tail, 'hex')]), 'binary')).toMatchObject({
        type: 'refusal',
        kind: 'PROTOCOL_ERROR',
      })
    const deep = Buffer.concat([head, Buffer.from('0c0063'.repeat(10_000), 'hex')])
    expect(readCall(deep, 'binary')).toMatchObject({ type: 'refusal', kind: 'PROTOCOL_ERROR' })
  })

  test('a text that is not UTF-8, and a number beyond 2^53, are refused by their place', () => {
    const bad = Buffer.from(KILL_BINARY)
    bad[bad.indexOf('hello')] = 0xff
    expect(readCall(bad, 'binary')).toMatchObject({
      kind: 'PROTOCOL_ERROR',
      text: expect.stringMatching(/byte \d+: met a text/),
    })
    const huge = '[1,"slaDrainHosts",1,1,{"3":{"i64":9007199254740993}}]'
    expect(readCall(Buffer.from(huge), 'json')).toMatchObject({
      kind: 'PROTOCOL_ERROR',
      text: expect.stringContaining('arguments.3 is no whole number'),
    })
  })
})

describe('a reply', () => {
  const response: Response = {
    responseCode: 'OK',
    serverInfo: { clusterName: 'local', statsUrlPrefix: '' },
    details: [],
    result: { roleSummaryResult: { summaries: [{ role: 'www-data', jobCount: 2 }] } },
  }

  test('in JSON, field by field: enums and booleans are numbers, lists say what they hold', () => {
    expect(String(written(response, 'json'))).toBe(
      '[1,"getRoleSummary",2,1,{"0":{"rec":{"1":{"i32":1},"3":{"rec":{"17":{"rec":{"1":{"set":["rec",1,' +
        '{"1":{"str":"www-data"},"2":{"i32":2},"3":{"i32":0}}]}}}}},"5":{"rec":{"1":{"str":"local"},"3":{"str":""}}},' +
        '"6":{"lst":["rec",0]}}}}]',
    )
  })

  test('ten thousand tasks of one configuration: written in steps, the configuration is worked out once', () => {
    let reads = 0
    const task = {
      get isService() {
        reads += 1
        return true
      },
    }
    const tasks = many(
      Array.from({ length: 10_000 }, (_, at) => at),
      instanceId => ({ assignedTask: { instanceId, task } }),
    )
    for (const protocol of ['binary', 'json'] as const) {
      reads = 0
      const steps = writeReply(
        { method: 'getTasksStatus', seqid: 1 },
        { responseCode: 'OK', result: { scheduleStatusResult: { tasks } } },
        protocol,
      )
      let pauses = 0
      while (steps.next().done !== true) pauses += 1
      expect(pauses).toBe(100)
      expect(reads).toBe(1)
    }
  })

  test('one that would be too large is given up before it is: in no protocol does it take more than it may', () => {
    const tasks = many([...Array(1_000).keys()], instanceId => ({ assignedTask: { instanceId } }))
    const response = { responseCode: 'OK', result: { scheduleStatusResult: { tasks } } } as const
    for (const protocol of ['binary', 'json'] as const) {
      const all = (max: number) => [...writeReply({ method: 'getTasksStatus', seqid: 1 }, response, protocol, max)]
      expect(() => all(5_000)).toThrow(ReplyTooLarge)
      expect(() => all(500_000)).not.toThrow()
    }
    expect(() => [...writePlain(structPlan('Response'), response, 5_000)]).toThrow(ReplyTooLarge)
  })
})
