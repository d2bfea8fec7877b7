import { describe, expect, test } from 'vitest'
import { type Doubt, doubtOf, doubtRefusal, doubtRemedy, doubtText } from '../../../src/core/log/doubt.ts'

const PLACE = { path: '/data/log', configFile: 'node.yaml' }
const DOUBTS: readonly Doubt[] = [
  { kind: 'disk', reason: 'a write of the log failed: EIO' },
  { kind: 'rows', reason: 'state divergence at 40: a, b' },
  { kind: 'agreement', reason: 'agreement broken at position 5: disk: a\nand b' },
]

test.each(DOUBTS)('written and read again: the same doubt ($kind)', doubt => {
  expect(doubtOf(doubtText(doubt))).toEqual(doubt)
})

test('the mark of an earlier version, which is a reason only: a disk failure', () => {
  expect(doubtOf('a write of the log failed: EIO\n')).toEqual(DOUBTS[0])
})

describe('what the operator is told', () => {
  test('each says what was found and how the node may start again', () => {
    for (const doubt of DOUBTS) {
      const text = doubtRefusal(doubt, PLACE)
      expect(text).toContain(doubt.reason)
      expect(text).toContain('`daybreak log verify node.yaml --accept`')
      expect(text.endsWith(doubtRemedy(doubt, PLACE))).toBe(true)
    }
  })

  test('only a disk failure is called one', () => {
    expect(DOUBTS.map(doubt => /disk failure/.test(doubtRefusal(doubt, PLACE)))).toEqual([true, false, false])
  })

  test('rows: which folder is to go, on whom; agreement: what is to be compared first', () => {
    expect(doubtRemedy(DOUBTS[1]!, PLACE)).toMatch(/most members.* remove \/data\/log\/state.* on the member that led/)
    expect(doubtRemedy(DOUBTS[2]!, PLACE)).toMatch(/^Compare .*`daybreak log read node\.yaml/)
  })
})
