import { describe, expect, test } from 'vitest'
import { Serving } from '../../../src/core/log/serving.ts'

const asked = (memberId: number, ask: number) => ({ from: { memberId }, ask })
const BYTES_PER_MS = 50_000

describe('members that ask for entries and rows', () => {
  test('one asks again before its turn: the last question counts', () => {
    const serving = new Serving<ReturnType<typeof asked>>(BYTES_PER_MS)
    serving.ask(asked(2, 1))
    expect(serving.next()).toEqual(asked(2, 1))
    for (let ask = 2; ask <= 1_000; ask++) serving.ask(asked(2, ask))
    expect([serving.waiting, serving.superseded]).toEqual([1, 998])
    expect(serving.next()).toBeNull()
    serving.rested()
    expect(serving.next()).toEqual(asked(2, 1_000))
  })

  test('one asks in a tight loop: another has every second turn', () => {
    const serving = new Serving<ReturnType<typeof asked>>(BYTES_PER_MS)
    const turns: number[] = []
    for (let turn = 1; turn <= 6; turn++) {
      for (let time = 0; time < 50; time++) serving.ask(asked(2, turn * 50 + time))
      serving.ask(asked(3, turn))
      turns.push(serving.next()!.from.memberId)
      serving.rested()
    }
    expect(turns).toEqual([2, 3, 2, 3, 2, 3])
  })

  test('rest: for what it took three times as long, for its bytes by the pace, and never none', () => {
    const serving = new Serving(BYTES_PER_MS)
    expect(serving.answered(0, 0)).toBe(2)
    expect(serving.answered(1_000_000, 0)).toBe(20)
    expect(serving.answered(1_000_000, 10)).toBe(30)
  })
})
