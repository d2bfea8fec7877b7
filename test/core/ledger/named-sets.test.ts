import fc from 'fast-check'
import { expect, test } from 'vitest'
import { NamedSets } from '../../../src/core/ledger/named-sets.ts'

test('whatever is added and deleted, each name has the members of a Set in the same order, and none is kept empty', () => {
  const step = fc.record({ name: fc.constantFrom('a', 'b'), id: fc.integer({ min: 0, max: 30 }), adds: fc.boolean() })
  // Mostly adds, so that lists grow into sets and shrink again.
  const steps = fc.array(fc.oneof({ weight: 3, arbitrary: step.map(one => ({ ...one, adds: true })) }, step), {
    maxLength: 200,
  })
  fc.assert(
    fc.property(steps, all => {
      const sets = new NamedSets<string>()
      const model = new Map<string, Set<string>>()
      for (const { name, id, adds } of all) {
        const ids = model.get(name) ?? new Set()
        if (adds) {
          sets.add(name, `t${id}`)
          model.set(name, ids.add(`t${id}`))
        } else {
          sets.delete(name, `t${id}`)
          ids.delete(`t${id}`)
        }
        for (const one of ['a', 'b']) {
          const expected = [...(model.get(one) ?? [])]
          const found = sets.get(one)
          if (expected.length === 0) expect(found).toBeUndefined()
          else expect([...found!]).toEqual(expected)
        }
      }
    }),
  )
})

test('cleared: nothing is known', () => {
  const sets = new NamedSets<string>()
  sets.add('a', 't')
  sets.clear()
  expect(sets.get('a')).toBeUndefined()
})
