import { describe, expect, test } from 'vitest'
import type { Client } from '../../bench/api/client.ts'
import { operations, sizesOf } from '../../bench/memory/operations.ts'
import { askedAgainNote, firstOfTurn, hasAskedAgain, meanMicrosOf, middleOf } from '../../bench/memory/turns.ts'

/** A warm-up and five runs of five turns. */
const TURNS = 30

describe('turns of the bench of memory', () => {
  const asked: string[] = []
  const client = {
    get: async (path: string) => asked.push(path),
    thrift: async (...call: unknown[]) => asked.push(JSON.stringify(call)),
  }
  const some = operations(sizesOf(1_000_000)).filter(({ things }) => things !== null)

  test.each(some.map(operation => [operation.name, operation] as const))(
    'with a million tasks no turn of %s asks for what another has asked for',
    async (_, { things, ask }) => {
      asked.length = 0
      // More than a turn has time for; a turn that asks more often is told of.
      const each = Math.floor(things! / TURNS)
      expect(each).toBeGreaterThan(150)
      for (let turn = 0; turn < TURNS; turn++) {
        const from = firstOfTurn(things, turn, TURNS)
        for (let n = 0; n < each; n++) await ask(client as unknown as Client, from + n)
      }
      expect(new Set(asked).size).toBe(TURNS * each)
    },
  )

  test('a turn that asks for more than its part has asked again, also where there is next to nothing', () => {
    expect(hasAskedAgain(50_000, TURNS, 1_666)).toBe(false)
    expect(hasAskedAgain(50_000, TURNS, 1_667)).toBe(true)
    expect(hasAskedAgain(20, TURNS, 1)).toBe(true)
  })

  test('what is always the same, or always new, is never asked for again', () => {
    expect(hasAskedAgain(null, TURNS, 1_000_000)).toBe(false)
    expect(firstOfTurn(null, 3, TURNS)).not.toBe(firstOfTurn(null, 2, TURNS))
  })

  test('the note names the sizes and the operations that had to begin again', () => {
    const largest = { tasks: 1_000_000, operations: [] }
    expect(askedAgainNote([{ tasks: 1_000, operations: ['job', 'task'] }, largest])).toMatch(
      /begin again: with 1,000 tasks \(job, task\)$/,
    )
    expect(askedAgainNote([largest])).not.toContain('begin again')
  })
})

describe('what turns come to', () => {
  const turn = (cpuMicros: number, asked: number) => ({ cpuMicros, asked, p50Ms: cpuMicros / asked })

  test('the middle turn of an operation counts, so one with a collection does not', () => {
    expect(middleOf([turn(100, 1), turn(9_000, 1), turn(220, 2)])).toEqual({ cpuMicros: 110, p50Ms: 110 })
  })

  test('in the mean each operation counts the same, however often it was asked for, and each of its turns does', () => {
    const cheap = [turn(1_000, 10), turn(3_000, 10)]
    const dear = [turn(1_000, 1), turn(1_000, 1)]
    expect(meanMicrosOf([cheap, dear])).toBe((200 + 1_000) / 2)
  })
})
