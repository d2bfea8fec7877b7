import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  instancesText,
  parseInstances,
  parseJobAndInstances,
  parseJobKey,
  parseJobPattern,
  parseTaskInstance,
} from '../../src/cli/keys.ts'
import { durationText, styleOf } from '../../src/cli/screen.ts'
import { tableText } from '../../src/cli/table.ts'

describe('keys', () => {
  test('four parts, each an identifier', () => {
    expect(parseJobKey('c/r/e/n')).toEqual({ cluster: 'c', role: 'r', environment: 'e', name: 'n' })
    expect(() => parseJobKey('c/r/e')).toThrow(
      "Invalid path 'c/r/e'. path should be a string in the form CLUSTER/ROLE/ENV/NAME",
    )
    expect(() => parseJobKey('c/r/e/a b')).toThrow("Invalid name 'a b'")
    expect(() => parseJobKey('c/r!/e/n')).toThrow("Invalid role 'r!'")
  })

  test('instances: ids and closed ranges, sorted, each once', () => {
    expect(parseInstances('4,1-2,0-0,2')).toEqual([0, 1, 2, 4])
    for (const text of ['', '4-1', '1-2-5', '1,', '-1', 'a', '0-99999999']) expect(() => parseInstances(text)).toThrow()
    expect(parseJobAndInstances('c/r/e/n').instances).toBeNull()
    expect(() => parseJobAndInstances('c/r/e/n/')).toThrow()
  })

  test.each(['1-2-5', '4-1', '1,,2', '1 2', '0x1', '1.5', '-', '2-', ' 1'])(
    'instances %j: a usage error that says what is wrong, and never other instances than meant',
    text => expect(() => parseInstances(text)).toThrow(`Invalid instances '${text}': ids and ranges such as 0-2,5`),
  )

  test('a trailing slash is no way to say all, neither for jobs nor for patterns nor for one task', () => {
    expect(() => parseJobAndInstances('c/r/e/n/')).toThrow("Invalid instances ''")
    expect(() => parseJobKey('c/r/e/')).toThrow("Invalid name ''")
    for (const text of ['c/', 'c/r/', 'c/r/e/n/', '/r', '']) expect(() => parseJobPattern(text)).toThrow('Invalid path')
    for (const text of ['c/r/e/n/', 'c/r/e/n', 'c/r/e/n/0-1', 'c/r/e/n/0/1', 'c/r/e/n/x']) {
      expect(() => parseTaskInstance(text)).toThrow(`Invalid instance '${text}'`)
    }
  })

  test('patterns: parts left out stand for all; a cluster is whole or *', () => {
    expect(parseJobPattern('c/w-*')).toMatchObject({ role: 'w-*', environment: '*', name: '*', exact: false })
    expect(parseJobPattern('c/r/e/n').exact).toBe(true)
    expect(parseJobPattern('c/r')).toEqual({ cluster: 'c', role: 'r', environment: '*', name: '*', exact: false })
    expect(parseJobPattern('*/r/e/n')).toMatchObject({ cluster: '*', role: 'r', exact: false })
    expect(() => parseJobPattern('c/r/e/n/0')).toThrow('Invalid path')
    expect(() => parseJobPattern('c/[ab]')).toThrow('Invalid path')
    expect(() => parseJobPattern('c*/r')).toThrow()
    expect(() => parseJobPattern('c//e')).toThrow()
  })

  test('instances read back as they were written', () => {
    const ids = fc.uniqueArray(fc.integer({ min: 0, max: 200 }), { minLength: 1 })
    fc.assert(
      fc.property(ids, list => {
        const sorted = [...list].sort((a, b) => a - b)
        expect(parseInstances(instancesText(sorted).slice(1, -1).replaceAll(' ', ''))).toEqual(sorted)
      }),
    )
  })
})

describe('tables', () => {
  const columns = [
    { head: 'A', min: 4 },
    { head: 'B', right: true },
    { head: 'WORTHLESS', worth: 1 },
    { head: 'TEXT', wraps: true },
  ]

  test('whatever the cells: no line is wider than the terminal, no text of a wrapping column is lost', () => {
    const cell = fc.string({ unit: fc.constantFrom('a', 'b', ' ', '-'), maxLength: 60 })
    fc.assert(
      fc.property(
        fc.array(fc.tuple(cell, fc.nat(9999), cell, cell), { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 40, max: 120 }),
        (rows, width) => {
          const style = styleOf({ isTTY: true, columns: width, write: () => {} }, { NO_COLOR: '1' })
          const text = tableText(
            columns,
            rows.map(([a, b, c, d]) => [a, String(b), c, d]),
            style,
          )
          for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(width)
          const letters = (all: string) => all.replace(/[^ab]/g, '').length
          expect(letters(text)).toBeGreaterThanOrEqual(rows.reduce((sum, row) => sum + letters(row[3]), 0))
        },
      ),
      { numRuns: 200 },
    )
  })

  test('without a terminal nothing is cut', () => {
    const style = styleOf({ isTTY: false, columns: undefined, write: () => {} }, {})
    const long = 'x'.repeat(300)
    expect(tableText(columns, [[long, '1', long, long]], style).split('\n')[1]).toContain(`${long}  1  ${long}`)
  })

  test.each([
    [999, '0s'],
    [61_000, '1m01s'],
    [3_660_000, '1h01m'],
    [90_000_000, '1d01h'],
    [-5, '0s'],
  ])('%d ms is %s', (ms, text) => expect(durationText(ms)).toBe(text))
})
