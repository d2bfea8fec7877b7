/** docs/scenarios.md says which scenario is held by which test; this holds the page to its word. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'

const root = join(import.meta.dirname, '..')
const rows = readFileSync(join(root, 'docs/scenarios.md'), 'utf8')
  .split('\n')
  .map(line => /^\|\s*([a-z]+-\d+)\s*\|(.*)\|\s*([^|]*)\|\s*$/.exec(line))
  .filter(match => match !== null)
  .map(([, id = '', claim = '', held = '']) => ({ id, claim: claim.trim(), held: held.trim() }))

describe('docs/scenarios.md', () => {
  test('every id stands once', () => {
    expect(rows.length).toBeGreaterThan(50)
    const ids = rows.map(row => row.id)
    expect(ids.filter((id, at) => ids.indexOf(id) !== at)).toEqual([])
  })

  test('every row names a test file that exists and a test that is in it', () => {
    const missing = rows.filter(({ held }) => {
      // `file: name; name; file: name`: a name without a file is in the file before it.
      let text: string | null = null
      return held.split(/\s*;\s*/).some(part => {
        const match = /^`?((?:test\/)?[\w./-]+\.test\.ts)`?\s*:\s*(.+)$/.exec(part)
        if (match !== null) {
          const path = join(root, (match[1] ?? '').replace(/^(?!test\/)/, 'test/'))
          text = existsSync(path) ? plain(readFileSync(path, 'utf8')) : null
        }
        // A name that goes on in the test file ends with three dots here.
        const name = plain((match?.[2] ?? part).replace(/\s*…$/, ''))
        return text === null || name === '' || !text.includes(name)
      })
    })
    expect(missing).toEqual([])
  })
})

/** Quotes and escapes differ between a page and a source. */
function plain(text: string): string {
  return text
    .replace(/[\\'"`]/g, '')
    .replace(/\s+/g, ' ')
    .trim()
}
