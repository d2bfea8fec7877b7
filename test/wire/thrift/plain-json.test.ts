import { describe, expect, test } from 'vitest'
import { PlainFault, plainStruct, readPlainArguments, writePlain } from '../../../src/wire/thrift/plain-json.ts'
import { structPlan } from '../../../src/wire/thrift/plan.ts'
import { many, type Response } from '../../../src/wire/thrift/types.ts'

const faultOf = (method: 'getTasksStatus' | 'createJob' | 'killTasks', json: object): string => {
  try {
    readPlainArguments(method, json)
  } catch (cause) {
    if (cause instanceof PlainFault) return cause.message
    throw cause
  }
  return 'none'
}

describe('read', () => {
  test('arguments by name: enums by name, sets as arrays, a union as an object with one key', () => {
    const args = readPlainArguments('createJob', {
      description: {
        key: { role: 'r', environment: 'e', name: 'n' },
        cronCollisionPolicy: 'CANCEL_NEW',
        instanceCount: 2,
        taskConfig: {
          isService: true,
          resources: [{ numCpus: 0.5 }, { ramMb: 64 }, { namedPort: 'http' }],
          constraints: [{ name: 'host', constraint: { limit: { limit: 1 } } }],
          taskLinks: { health: 'http://x' },
          partitionPolicy: { reschedule: true, delaySecs: 9_007_199_254_740_991 },
        },
      },
    })
    expect(args).toEqual({
      description: {
        key: { role: 'r', environment: 'e', name: 'n' },
        cronCollisionPolicy: 'CANCEL_NEW',
        instanceCount: 2,
        taskConfig: {
          isService: true,
          resources: [{ numCpus: 0.5 }, { ramMb: 64 }, { namedPort: 'http' }],
          constraints: [{ name: 'host', constraint: { limit: { limit: 1 } } }],
          taskLinks: { health: 'http://x' },
          partitionPolicy: { reschedule: true, delaySecs: 9_007_199_254_740_991 },
        },
      },
    })
  })

  test('what is null or missing is unset, what is not known is passed over, an unknown name of an enum is null', () => {
    const query = { role: null, statuses: ['RUNNING', 'FLYING'], wings: 2, jobKeys: [] }
    expect(readPlainArguments('getTasksStatus', { query, more: 1 })).toEqual({
      query: { statuses: ['RUNNING'], jobKeys: [] },
    })
    expect(readPlainArguments('getTasksStatus', {})).toEqual({})
    expect(readPlainArguments('createJob', { description: { cronCollisionPolicy: 'NEVER' } })).toEqual({
      description: {},
    })
  })

  test('of another type: refused, with the parameter and the place in it', () => {
    expect(faultOf('killTasks', { job: 'r/e/n' })).toBe('Failed to parse parameter job: it is no object')
    expect(faultOf('killTasks', { instances: [0, 'x'] })).toBe(
      `Failed to parse parameter instances: instances[1] is no whole number up to ${2 ** 31 - 1}`,
    )
    for (const [value, what] of [
      [{ role: 7 }, 'role is no text'],
      [{ offset: 1.5 }, `offset is no whole number up to ${2 ** 31 - 1}`],
      [{ limit: 2 ** 31 }, `limit is no whole number up to ${2 ** 31 - 1}`],
      [{ statuses: 'RUNNING' }, 'statuses is no list'],
      [{ statuses: [{}] }, 'statuses[0] is no name'],
    ] as const)
      expect(faultOf('getTasksStatus', { query: value })).toBe(`Failed to parse parameter query: query.${what}`)
    const config = (taskConfig: object) => faultOf('createJob', { description: { taskConfig } })
    const at = 'Failed to parse parameter description: description.taskConfig.'
    expect(config({ isService: 1 })).toBe(`${at}isService is neither true nor false`)
    expect(config({ taskLinks: [] })).toBe(`${at}taskLinks is no object`)
    expect(config({ resources: [{ numCpus: '1' }] })).toBe(`${at}resources[0].numCpus is no number`)
    expect(config({ resources: [{ numCpus: 1, ramMb: 2 }] })).toBe(
      `${at}resources[0] must have exactly one of numCpus, ramMb, diskMb, namedPort, numGpus`,
    )
    for (const none of [{}, { cores: 1 }, { numCpus: null }])
      expect(config({ resources: [none] })).toContain(`${at}resources[0] must have exactly one of `)
  })
})

describe('written', () => {
  test('what is unset is left out; numbers and booleans always stand there, optional ones too, and in a union never', () => {
    const plain = plainStruct(structPlan('TaskConfig'), {
      job: { role: 'r' },
      partitionPolicy: {},
      resources: [{ ramMb: 1 }],
      isService: true,
    })
    expect(plain).toEqual({
      job: { role: 'r' },
      partitionPolicy: { reschedule: false, delaySecs: 0 },
      resources: [{ ramMb: 1 }],
      isService: true,
      priority: 0,
      maxTaskFailures: 0,
      production: false,
    })
  })

  test('a reply with a long list is written with pauses, as the JSON that it is', () => {
    const response: Response = {
      responseCode: 'OK',
      details: [{ message: 'a "b"' }],
      result: {
        roleSummaryResult: {
          summaries: many(
            Array.from({ length: 250 }, (_, n) => n),
            n => ({ role: `r${n}`, jobCount: n }),
          ),
        },
      },
    }
    const steps = writePlain(structPlan('Response'), response)
    let pauses = 0
    let step = steps.next()
    for (; step.done !== true; step = steps.next()) pauses += 1
    expect(pauses).toBe(2)
    const written = JSON.parse(String(step.value))
    expect(written).toMatchObject({ responseCode: 'OK', details: [{ message: 'a "b"' }] })
    expect(written.result.roleSummaryResult.summaries).toHaveLength(250)
    expect(written.result.roleSummaryResult.summaries[249]).toEqual({ role: 'r249', jobCount: 249, cronJobCount: 0 })
  })
})
