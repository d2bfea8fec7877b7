import { expect, test } from 'vitest'
import { attributeFault } from '../../../src/core/agents/attribute-faults.ts'

test.each([
  ['none', []],
  [
    'a host, a rack, a dedicated value',
    { host: ['h-1.example'], rack: ['r1', 'r2'], dedicated: ['www-data/web', '*/db'] },
  ],
])('%s: no fault', (_, attributes) => {
  expect(attributeFault(Object.entries(attributes).map(([name, values]) => ({ name, values })))).toBeNull()
})

test.each<[string, string, string[], string]>([
  ['no value', 'rack', [], 'attribute "rack" has no value: give it one, or leave it out'],
  ['an empty value', 'rack', ['r1', ''], 'attribute "rack" has the value "": letters, digits and _ / . * - only'],
  ['a comma', 'rack', ['a,b'], 'attribute "rack" has the value "a,b": letters, digits and _ / . * - only'],
  ['a line break', 'rack', ['a\nb'], 'attribute "rack" has the value "a\\nb": letters, digits and _ / . * - only'],
  ['a blank in the name', 'my rack', ['a'], 'the attribute name "my rack" has characters other than letters, digits'],
])('%s: told with the attribute and the remedy', (_, name, values, text) => {
  expect(
    attributeFault([
      { name: 'host', values: ['h'] },
      { name, values },
    ]),
  ).toContain(text)
})

test('one name twice, and a value of 255 characters: told, the value cut', () => {
  const twice = ['r1', 'r2'].map(value => ({ name: 'rack', values: [value] }))
  expect(attributeFault(twice)).toBe('attribute "rack" is there twice: give it all its values in one list')
  expect(attributeFault([{ name: 'rack', values: [`${'x'.repeat(254)} `] }])?.length).toBeLessThan(150)
})
