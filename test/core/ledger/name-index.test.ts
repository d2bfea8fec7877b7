import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { IdEndings } from '../../../src/core/ledger/id-endings.ts'
import { NameIndex, type Ranked } from '../../../src/core/ledger/name-index.ts'

/** By looking at every entry: slow and plainly right. */
function searched(entries: ReadonlyMap<string, readonly string[]>, words: readonly string[], limit: number) {
  const whole = words.join(' ')
  const found = [...entries].flatMap(([key, given]): Ranked<string>[] => {
    const names = given.map(name => name.toLowerCase())
    if (names.includes(whole)) return [{ rank: 0, value: key }]
    if (names.some(name => name.startsWith(whole))) return [{ rank: 1, value: key }]
    return words.every(word => names.some(name => name.includes(word))) ? [{ rank: 2, value: key }] : []
  })
  return found.sort((a, b) => a.rank - b.rank || (a.value < b.value ? -1 : 1)).slice(0, limit)
}

const letters = (maxLength: number, minLength = 0) =>
  fc.string({ unit: fc.constantFrom('a', 'b', 'B', '-', '/'), minLength, maxLength })
const key = fc.nat(40).map(n => `key-${String(n).padStart(2, '0')}`)
const change = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ type: fc.constant('set' as const), key, names: fc.array(letters(7), { maxLength: 2 }) }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('delete' as const), key }) },
)
const words = fc.array(letters(4, 1), { minLength: 1, maxLength: 3 }).map(all => all.map(word => word.toLowerCase()))

describe('an index of names', () => {
  test('any entries that come and go, any words: finds what a search through all finds, in the same order', () => {
    fc.assert(
      fc.property(
        fc.array(change, { maxLength: 120 }),
        words,
        fc.integer({ min: 1, max: 9 }),
        (changes, asked, limit) => {
          const index = new NameIndex<string>()
          const plain = new Map<string, readonly string[]>()
          for (const one of changes) {
            if (one.type === 'set') {
              index.set(one.key, one.names, one.key)
              plain.set(one.key, one.names)
            } else {
              index.delete(one.key)
              plain.delete(one.key)
            }
          }
          expect(index.find(asked, limit)).toEqual(searched(plain, asked, limit))
        },
      ),
      { numRuns: 500 },
    )
  })

  test('thousands of names that are much alike, common and rare words: the same', () => {
    const index = new NameIndex<string>()
    const plain = new Map<string, readonly string[]>()
    for (let n = 0; n < 6_000; n++) {
      const names = [`team-${n % 50}/prod/job-${String((n * 7) % 6_007).padStart(5, '0')}`, `job-${n}`]
      index.set(names[0]!, names, names[0]!)
      plain.set(names[0]!, names)
    }
    for (const asked of [
      ['job'],
      ['team-7'],
      ['team-49/'],
      ['o'],
      ['7'],
      ['x'],
      ['17', 'team-3'],
      ['job-17'],
      ['00017'],
      ['99', '-1'],
    ])
      for (const limit of [1, 21])
        expect([asked, index.find(asked, limit)]).toEqual([asked, searched(plain, asked, limit)])
  })

  test('entries that come and go for ever: found while they are there', () => {
    const index = new NameIndex<number>()
    for (let n = 0; n < 5_000; n++) {
      index.set(`made-${n}`, [`made-${n}`], n)
      expect(index.find([`made-${n}`], 2)).toEqual([{ rank: 0, value: n }])
      index.delete(`made-${n}`)
      expect(index.find(['made'], 1)).toEqual([])
    }
    index.set('stays', ['stays'], 1)
    index.clear()
    expect(index.find(['stays'], 1)).toEqual([])
  })
})

test('endings of ids: any that come and go are found by their last letters', () => {
  const id = fc.string({ unit: fc.constantFrom('0', '1', 'a'), minLength: 4, maxLength: 9 })
  fc.assert(
    fc.property(fc.uniqueArray(id, { maxLength: 60 }), fc.nat(60), id, (all, gone, asked) => {
      const endings = new IdEndings<string>()
      for (const one of all) endings.add(one)
      for (const one of all.slice(0, gone)) endings.delete(one)
      const text = asked.padEnd(6, '0')
      for (const end of [text, ...all.slice(gone).filter(one => one.length >= 6)])
        expect(endings.endingWith(end).sort()).toEqual(
          all
            .slice(gone)
            .filter(one => one.endsWith(end))
            .sort(),
        )
    }),
  )
})
