import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SortedMap } from '../../../src/core/base/sorted-map.ts'

/** Few letters, so that keys are close to each other and often met again. */
const key = fc.string({ unit: fc.constantFrom('a', 'b', '-', '/', 'é'), maxLength: 4 })
const change = fc.oneof(
  { weight: 3, arbitrary: fc.record({ type: fc.constant('set' as const), key, value: fc.nat(9) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('delete' as const), key }) },
)
const byKey = ([a]: readonly [string, number], [b]: readonly [string, number]): number => (a < b ? -1 : a > b ? 1 : 0)

describe('a sorted map', () => {
  test('any changes: holds what a plain map holds, in order, from any key on', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 400 }), key, (changes, from) => {
        const sorted = new SortedMap<number>()
        const plain = new Map<string, number>()
        for (const one of changes) {
          if (one.type === 'set') {
            sorted.set(one.key, one.value)
            plain.set(one.key, one.value)
          } else expect(sorted.delete(one.key)).toBe(plain.delete(one.key))
        }
        const expected = [...plain].sort(byKey)
        expect([...sorted.from()]).toEqual(expected)
        expect([...sorted.from(from)]).toEqual(expected.filter(([one]) => one >= from))
        expect([sorted.size, sorted.values()]).toEqual([expected.length, expected.map(([, value]) => value)])
        expect(sorted.get(from)).toBe(plain.get(from))
      }),
    )
  })

  test('thousands of keys in a mixed order, and most of them taken out again: nothing is lost where chunks part and join', () => {
    const sorted = new SortedMap<number>()
    const plain = new Map<string, number>()
    const keyOf = (n: number) => String((n * 7_919) % 10_007).padStart(5, '0')
    for (let n = 0; n < 10_000; n++) {
      sorted.set(keyOf(n), n)
      plain.set(keyOf(n), n)
    }
    const expected = () => [...plain].sort(byKey)
    expect([...sorted.from('05000')]).toEqual(expected().filter(([one]) => one >= '05000'))
    for (let n = 0; n < 10_000; n++) {
      if (n % 50 === 0) continue
      expect(sorted.delete(keyOf(n))).toBe(true)
      plain.delete(keyOf(n))
    }
    expect([...sorted.from()]).toEqual(expected())
    expect(sorted.delete('00000x')).toBe(false)
    sorted.clear()
    expect([sorted.size, ...sorted.from()]).toEqual([0])
  })
})
