import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Constraint } from '../../../src/core/job/task-config.ts'
import { dedicatedFault, dedicatedValues, dedicatedVeto } from '../../../src/core/scheduling/dedicated.ts'

const value = (...values: string[]): Constraint => ({
  name: 'dedicated',
  rule: { type: 'value', negated: false, values },
})
const negated = (...values: string[]): Constraint => ({
  name: 'dedicated',
  rule: { type: 'value', negated: true, values },
})
const limit = (count: number): Constraint => ({ name: 'dedicated', rule: { type: 'limit', limit: count } })
const other: Constraint = { name: 'rack', rule: { type: 'limit', limit: 1 } }

describe('at admission', () => {
  test.each<[string, readonly Constraint[], string | null]>([
    ['no constraint at all', [], null],
    ['constraints of other names only', [other], null],
    ['own role', [value('ads')], null],
    ['own role and a purpose', [other, value('ads/search')], null],
    ['a purpose with slashes', [value('ads/a/b')], null],
    ['any role', [value('*/web.multi')], null],
    ['a limit', [limit(2)], 'A dedicated constraint must be of value type.'],
    ['two values', [value('ads/a', 'ads/b')], 'A dedicated constraint must have exactly one value'],
    ['no value', [value()], 'A dedicated constraint must have exactly one value'],
    ['the same value twice is one', [value('ads', 'ads')], null],
    ['negated', [negated('ads')], 'A dedicated constraint may not be negated.'],
    ['another role', [value('q/f')], 'Only q may use hosts dedicated for that role.'],
    ['a role that begins like ours', [value('ads2/f')], 'Only ads2 may use hosts dedicated for that role.'],
    ['a star that is not the whole owner', [value('a*/f')], 'Only a* may use hosts dedicated for that role.'],
    ['a good one before a bad one', [value('ads'), value('q')], 'Only q may use hosts dedicated for that role.'],
  ])('role ads, %s', (_name, constraints, fault) => {
    expect(dedicatedFault('ads', constraints)).toBe(fault)
  })
})

describe('at placement', () => {
  const refused = 'Constraint not satisfied: dedicated'
  test.each<[string, readonly string[] | undefined, readonly Constraint[], string | null]>([
    ['ordinary task, ordinary host', undefined, [other], null],
    ['ordinary task, dedicated host', ['ads'], [other], 'Host is dedicated'],
    ['ordinary task, dedicated host without a readable value', [], [], 'Host is dedicated'],
    ['dedicated task, ordinary host', undefined, [value('ads')], refused],
    ['dedicated task, host without a readable value', [], [value('ads')], refused],
    ['dedicated task, host of another owner', ['maps'], [value('ads')], refused],
    ['dedicated task, its own host', ['ads/x'], [value('ads/x')], null],
    ['dedicated task, host shared by two owners, first', ['a/x', 'b/y'], [value('a/x')], null],
    ['dedicated task, host shared by two owners, second', ['a/x', 'b/y'], [value('b/y')], null],
    ['a star is not expanded', ['www/web'], [value('*/web')], refused],
    ['a star matches itself', ['*/web'], [value('*/web')], null],
    ['a negated one that slipped into the store opens no host', ['maps'], [negated('ads')], refused],
    ['a limit that slipped into the store opens no host', ['maps'], [limit(9)], refused],
  ])('%s', (_name, host, constraints, veto) => {
    expect(dedicatedVeto(host, constraints)).toBe(veto)
  })

  test('any admitted job, any host: it is let in exactly when host and job name the same value or neither has one', () => {
    const names = fc.constantFrom('ads', 'ads/x', '*/x', 'maps', 'maps/y', '*')
    fc.assert(
      fc.property(
        fc.option(fc.uniqueArray(names, { maxLength: 3 }), { nil: undefined }),
        fc.option(names, { nil: undefined }),
        (host, asked) => {
          const constraints = asked === undefined ? [other] : [other, value(asked)]
          const twin = host === undefined ? asked === undefined : asked !== undefined && host.includes(asked)
          expect(dedicatedVeto(host, constraints) === null).toBe(twin)
        },
      ),
    )
  })
})

test('values of a host: repeated attributes are merged, an empty one still counts, none is undefined', () => {
  const rack = { name: 'rack', values: ['a'] }
  expect(dedicatedValues([rack])).toBeUndefined()
  expect(dedicatedValues([rack, { name: 'dedicated', values: [] }])).toEqual([])
  expect(
    dedicatedValues([{ name: 'dedicated', values: ['b', 'a'] }, rack, { name: 'dedicated', values: ['a', 'c'] }]),
  ).toEqual(['a', 'b', 'c'])
})
