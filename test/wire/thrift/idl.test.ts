import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { idlText } from '../../../src/wire/thrift/idl.ts'

const file = join(import.meta.dirname, '../../../docs/api/daybreak.thrift')

test('the IDL file is what the tables of the server say; else: npm run idl', () => {
  expect(readFileSync(file, 'utf8')).toBe(idlText())
})

test('every type stands before it is used', () => {
  const known = new Set(['string', 'bool', 'i32', 'i64', 'double', 'set', 'list', 'map', 'optional'])
  for (const [, kind, name, body] of idlText().matchAll(/^(enum|struct|union|service) (\w+)[^{]*\{([^}]*)\}/gm)) {
    if (kind === 'struct' || kind === 'union') {
      for (const [, type] of body!.matchAll(/^\s+\d+: (.*) \w+$/gm))
        for (const word of type!.match(/\w+/g) ?? []) expect(known, `${name}: ${word}`).toContain(word)
    }
    known.add(name!)
  }
})
