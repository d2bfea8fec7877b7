/** Pages that must say what the source says. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { BrokenRule } from '../../src/core/base/assert.ts'
import { REJECTIONS } from '../../src/core/base/rejection.ts'
import { configurationPage } from '../../src/runtime/config-docs.ts'
import { EXIT, exitStatusOf, NodeFailure } from '../../src/runtime/exit.ts'

const root = join(import.meta.dirname, '../..')
const page = (path: string): string => readFileSync(join(root, path), 'utf8')
/** Cells of the rows whose first cell matches. */
const rows = (path: string, first: RegExp): string[][] =>
  page(path)
    .split('\n')
    .map(line =>
      line
        .split('|')
        .slice(1, -1)
        .map(cell => cell.trim()),
    )
    .filter(cells => first.test(cells[0] ?? ''))

test('docs/errors.md: the same rejections as the table, with status, retry and text', () => {
  const documented = rows('docs/errors.md', /^`[A-Z_]+`$/).map(([code, status, retry, text, thrift]) => [
    code?.replaceAll('`', ''),
    { http: Number(status), retry: retry === 'yes', thrift: thrift?.replaceAll('`', ''), text },
  ])
  expect(Object.fromEntries(documented)).toEqual(REJECTIONS)
})

test('docs/operating/exit-status.md: the same statuses as the table', () => {
  const documented = rows('docs/operating/exit-status.md', /^\d+$/).map(([status, name]) => [name, Number(status)])
  expect(Object.fromEntries(documented)).toEqual(EXIT)
})

test('docs/operating/configuration.md: as the schema makes it', () => {
  expect(page('docs/operating/configuration.md'), 'run `npm run build && node scripts/config-docs.mjs`').toBe(
    configurationPage(),
  )
})

test('docs/operating/log-events.md: every event of the source stands there, and no other', () => {
  const documented = rows('docs/operating/log-events.md', /^`.+`$/).map(([name]) => name?.replaceAll('`', ''))
  const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).filter(name =>
    name.endsWith('.ts'),
  )
  const told =
    /(?:\b(?:log|logger)|die|[a-z]Log)(?:\.(?:debug|info|warn|error)|\[[^\]\n]+\])?\(\s*(?:EXIT\.\w+,\s*|[\w.() as]*[sS]tatus[\w .()]*,\s*)?'([^'\n]+)'/g
  const found = new Set(files.flatMap(name => [...page(join('src', name)).matchAll(told)].map(match => match[1])))
  expect(documented.toSorted(), 'list the events of the source in docs/operating/log-events.md').toEqual(
    [...found].sort(),
  )
})

test('exit status: one for each kind of failure', () => {
  const coded = (code: string) => Object.assign(new Error(code), { code })
  const named = (name: string) => Object.assign(new Error(name), { name })
  expect(exitStatusOf(new NodeFailure(EXIT.store, 'x'))).toBe(EXIT.store)
  expect(exitStatusOf(new BrokenRule('x', {}))).toBe(EXIT.bug)
  expect(exitStatusOf(named('LogRefused'))).toBe(EXIT.store)
  expect(exitStatusOf(coded('EADDRINUSE'))).toBe(EXIT.place)
  expect(exitStatusOf(new TypeError('x'))).toBe(EXIT.bug)
  expect(exitStatusOf('x')).toBe(EXIT.bug)
})
