import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { FigureSpec } from '../../bench/bench.ts'
import { type Change, compared, comparisonLines } from '../../bench/harness/comparison.ts'
import { rankTest } from '../../bench/harness/rank-test.ts'
import type { Measurement } from '../../bench/harness/report.ts'
import { figureOf, measurementOf } from './measurement.ts'

const changeOf = (before: readonly number[], after: readonly number[], spec: Partial<FigureSpec> = {}): Change =>
  compared([measurementOf('log', [figureOf('f', before, spec)])], [measurementOf('log', [figureOf('f', after, spec)])])
    .changes[0]!

describe('the rank test', () => {
  test.each([
    // Of 20 choices of three among six, one has the least ranks and one the most.
    ['three below three', [1, 2, 3], [4, 5, 6], 0.1],
    ['five below five', [1, 2, 3, 4, 5], [6, 7, 8, 9, 10], 2 / 252],
    ['one value among five', [3], [1, 2, 4, 5, 6], 1],
    ['all equal', [7, 7, 7], [7, 7, 7], 1],
    ['nothing', [], [1, 2], 1],
  ])('%s', (_, left, right, chance) => {
    expect(rankTest(left, right)).toBeCloseTo(chance, 9)
  })

  test('the approximation for many values continues the exact count', () => {
    const left = Array.from({ length: 20 }, (_, at) => at * 2)
    const right = left.map(value => value + 9)
    const exact = rankTest(left, right)
    const approximate = rankTest([...left, 19.5], [...right, 28.5])
    expect(Math.abs(exact - approximate)).toBeLessThan(0.02)
  })
})

describe('a run against an earlier one', () => {
  test.each<[string, number[], number[], Partial<FigureSpec>, Change['verdict']]>([
    ['far apart', [10, 11, 12, 13, 14], [20, 21, 22, 23, 24], {}, 'worse'],
    ['far apart, and more is better', [10, 11, 12, 13, 14], [20, 21, 22, 23, 24], { better: 'higher' }, 'better'],
    ['lower', [20, 21, 22, 23, 24], [10, 11, 12, 13, 14], {}, 'better'],
    ['ranges overlap a little, ranks are clear', [10, 11, 12, 13, 20], [19, 21, 22, 23, 24], {}, 'worse'],
    ['ranges lie in each other', [10, 15, 20, 25, 30], [12, 18, 24, 26, 28], {}, 'same'],
    [
      'surely, but by less than the floor',
      [100, 100.1, 100.2, 100.3, 100.4],
      [104, 104.1, 104.2, 104.3, 104.4],
      {},
      'same',
    ],
    ['three runs each, apart by a tenth', [100, 101, 102], [110, 111, 112], {}, 'same'],
    ['three runs each, apart by a half', [100, 101, 102], [150, 151, 152], {}, 'worse'],
    ['three runs each, medians apart, ranges not', [100, 101, 200], [150, 151, 152], {}, 'same'],
    ['one run each, a little apart', [100], [110], {}, 'same'],
    ['one run each, far apart', [100], [130], {}, 'worse'],
    ['from nothing', [0], [1], {}, 'worse'],
    ['nothing still', [0], [0], {}, 'same'],
  ])('%s', (_, before, after, spec, verdict) => {
    expect(changeOf(before, after, spec).verdict).toBe(verdict)
  })

  const values = fc.array(fc.integer({ min: 1, max: 1_000 }), { minLength: 1, maxLength: 8 })

  test('against itself nothing has changed, in whatever order the runs came', () => {
    fc.assert(
      fc.property(values, runs => {
        expect(changeOf(runs, [...runs].reverse()).verdict).toBe('same')
      }),
    )
  })

  test('what is worse one way is not worse the other way, nor better for who wants more', () => {
    const opposite = { worse: 'better', better: 'worse', same: 'same' } as const
    fc.assert(
      fc.property(values, values, (before, after) => {
        const { verdict } = changeOf(before, after)
        expect(changeOf(before, after, { better: 'higher' }).verdict).toBe(opposite[verdict])
        expect(changeOf(after, before).verdict).not.toBe(verdict === 'same' ? 'none' : verdict)
      }),
    )
  })

  test('the unit does not matter: seconds are judged as milliseconds', () => {
    fc.assert(
      fc.property(values, values, (before, after) => {
        const scaled = (of: readonly number[]): number[] => of.map(value => value * 1_024)
        expect(changeOf(scaled(before), scaled(after)).verdict).toBe(changeOf(before, after).verdict)
      }),
    )
  })

  const warningsOf = (before: Partial<Measurement>, after: Partial<Measurement>): readonly string[] =>
    compared([measurementOf('log', [figureOf('f', [1])], before)], [measurementOf('log', [figureOf('f', [1])], after)])
      .warnings

  test('another machine and another load are said loudly', () => {
    const { machine } = measurementOf('log', [])
    expect(warningsOf({}, {})).toEqual([])
    expect(warningsOf({}, { machine: { ...machine, cpu: 'B', node: 'v22.0.0' } })).toEqual([
      "log: ANOTHER MACHINE: cpu was A Processor, is B; node was v20.20.0, is v22.0.0: a difference may be the machine's",
    ])
    expect(warningsOf({}, { load: { before: 3, after: 3 } })).toEqual([
      "log: ANOTHER LOAD: was 0.1 before, is 3: a difference may be the load's",
    ])
  })

  test('quick runs are not held against whole ones, nor failed ones against any', () => {
    expect(warningsOf({ quick: true }, {})).toEqual(['log: the earlier run was --quick, this one is not'])
    expect(warningsOf({}, { failed: 'broke' })).toEqual(['log: this run failed'])
  })

  test('figures without a counterpart are named, and those in another unit are not compared', () => {
    const before = [measurementOf('log', [figureOf('gone', [1]), figureOf('f', [1], { unit: 's' })])]
    const after = [measurementOf('log', [figureOf('f', [1_000]), figureOf('come', [1])]), measurementOf('api', [])]
    expect(compared(before, after)).toEqual({
      changes: [],
      warnings: [
        'log: f was in s and is in ms: not compared',
        'log: come is new',
        'log: gone was not measured this time',
        'api: not in the earlier run',
      ],
    })
  })

  test('what is told: warnings, what is worse, what is better, the rest as a number', () => {
    const before = [measurementOf('log', [figureOf('a', [100]), figureOf('b', [4_000]), figureOf('c', [1])])]
    const after = [measurementOf('log', [figureOf('a', [50]), figureOf('b', [6_000]), figureOf('c', [1])])]
    expect(comparisonLines(compared(before, after), 'old.json')).toEqual([
      'against old.json:',
      '  WORSE  log b: 4,000 → 6,000 ms (+50 %)',
      '  better log a: 100 → 50 ms (-50 %)',
      '  1 worse, 1 better, 1 within noise',
    ])
  })
})
