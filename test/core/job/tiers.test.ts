import { describe, expect, test } from 'vitest'
import { isProduction, readTiers, SHIPPED_TIERS, type TierFault } from '../../../src/core/job/tiers.ts'

const GOOD = { preemptible: true, revocable: false }

function faultsOf(value: unknown): readonly TierFault[] {
  const read = readTiers(value)
  return read.ok ? [] : read.faults
}

test('the shipped three: only preferred is production, and jobs without a tier are preemptible', () => {
  expect(SHIPPED_TIERS.defaultTier).toBe('preemptible')
  const production = Object.entries(SHIPPED_TIERS.tiers).filter(([, tier]) => isProduction(tier))
  expect(production.map(([name]) => name)).toEqual(['preferred'])
})

test('own tiers: read as they are written, with their case', () => {
  const tiers = { Gold: { preemptible: false, revocable: false }, scrap: { preemptible: true, revocable: true } }
  expect(readTiers({ default: 'scrap', tiers })).toEqual({ ok: true, tiers: { defaultTier: 'scrap', tiers } })
})

describe('a file that is not right: Aurora’s text, the place and what to write', () => {
  test.each<[string, unknown, string[], string]>([
    ['nothing at all', null, [], 'configuration cannot be empty'],
    ['a list', [], [], 'must be a map with the keys default and tiers, found []'],
    ['no default', { tiers: { a: GOOD } }, ['default'], 'Default tier name cannot be empty.'],
    ['an empty default', { default: '', tiers: { a: GOOD } }, ['default'], 'Default tier name cannot be empty.'],
    [
      'a default that is no name',
      { default: 1, tiers: { a: GOOD } },
      ['default'],
      'must be the name of a tier, found 1',
    ],
    ['no tiers', { default: 'a' }, ['tiers'], 'Tiers cannot be empty.'],
    ['an empty map of tiers', { default: 'a', tiers: {} }, ['tiers'], 'Tiers cannot be empty.'],
    ['tiers in a list', { default: 'a', tiers: ['a'] }, ['tiers'], 'must be a map of tier names, found ["a"]'],
    [
      'a default that is not listed',
      { default: 'A', tiers: { b: GOOD, a: GOOD } },
      ['default'],
      'Default tier name should match supplied tiers. Found A; supplied: a, b',
    ],
    [
      'a default like a method',
      { default: 'toString', tiers: { a: GOOD } },
      ['default'],
      'should match supplied tiers',
    ],
    ['a tier without settings', { default: 'a', tiers: { a: null } }, ['tiers', 'a'], 'must say {preemptible: …'],
    [
      'a setting left out',
      { default: 'a', tiers: { a: { preemptible: true } } },
      ['tiers', 'a', 'revocable'],
      'is missing: write true or false',
    ],
    [
      'a setting that is a text',
      { default: 'a', tiers: { a: { preemptible: 'yes', revocable: false } } },
      ['tiers', 'a', 'preemptible'],
      'must be true or false, found "yes"',
    ],
    [
      'a setting nobody knows',
      { default: 'a', tiers: { a: { ...GOOD, revokable: true } } },
      ['tiers', 'a', 'revokable'],
      'unknown key; known here: preemptible, revocable',
    ],
    [
      'a key nobody knows',
      { default: 'a', tiers: { a: GOOD }, x: 1 },
      ['x'],
      'unknown key; known here: default, tiers',
    ],
    [
      'a bad name',
      { default: 'a b', tiers: { 'a b': GOOD } },
      ['tiers', 'a b'],
      'Tier contains illegal characters: a b',
    ],
    [
      'lent cores that are not to be taken back',
      { default: 'a', tiers: { a: { preemptible: false, revocable: true } } },
      ['tiers', 'a'],
      'write preemptible: true',
    ],
  ])('%s', (_case, value, path, text) => {
    expect(faultsOf(value)).toEqual([{ path, text: expect.stringContaining(text) }])
  })

  test('several faults: all are told', () => {
    expect(faultsOf({ default: '', tiers: { a: {}, 'b c': GOOD } }).map(({ path }) => path.join('.'))).toEqual([
      'tiers.a.preemptible',
      'tiers.a.revocable',
      'tiers.b c',
      'default',
    ])
  })
})
