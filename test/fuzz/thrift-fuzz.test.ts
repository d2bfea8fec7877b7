import { expect, test } from 'vitest'
import { fuzzThrift } from './thrift-fuzz.ts'

test('broken messages: nothing is thrown, nothing takes long, every answer is well-formed', async () => {
  const { failures, read, answers } = await fuzzThrift({ seed: 1, inputs: 6000, handledOneIn: 6 })
  expect(failures).toEqual([])
  // Else the inputs would prove nothing: all ways to end are met.
  for (const [how, count] of Object.entries(read)) expect(count, how).toBeGreaterThan(100)
  for (const how of ['500', 'exception', 'code 0', 'code 1']) expect(answers[how], how).toBeGreaterThan(10)
}, 60_000)
