import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { SHIPPED_TIERS } from '../../src/core/job/tiers.ts'
import { faultLines, readConfig } from '../../src/runtime/config.ts'
import { readTiersFile } from '../../src/runtime/tiers-file.ts'

const root = join(import.meta.dirname, '../..')
const folder = mkdtempSync(join(tmpdir(), 'daybreak-tiers-'))
afterAll(() => rmSync(folder, { recursive: true }))

function file(text: string): string {
  const path = join(folder, 'tiers.yaml')
  writeFileSync(path, text)
  return path
}
function faultsOf(text: string): readonly string[] {
  const path = file(text)
  const read = readTiersFile(path)
  return read.ok ? [] : read.faults.map(fault => fault.replace(path, 'tiers.yaml'))
}

describe('where tiers come from', () => {
  test('no file: those that are shipped', () => {
    expect(readTiersFile(null)).toEqual({ ok: true, tiers: SHIPPED_TIERS })
  })

  test('config/tiers.yaml: the same three, so that naming it changes nothing', () => {
    expect(readTiersFile(join(root, 'config/tiers.yaml'))).toEqual({ ok: true, tiers: SHIPPED_TIERS })
  })

  test('the JSON of Aurora: read as it is', () => {
    const tiers = { gold: { preemptible: false, revocable: false } }
    const path = file(JSON.stringify({ default: 'gold', tiers }))
    expect(readTiersFile(path)).toEqual({ ok: true, tiers: { defaultTier: 'gold', tiers } })
  })
})

describe('faults of the file', () => {
  test('each with its line: of a key that is missing, that of its tier', () => {
    const text = 'default: best\ntiers:\n  good:\n    preemptible: maybe\n'
    expect(faultsOf(text)).toEqual([
      'tiers.yaml:4: tiers.good.preemptible: must be true or false, found "maybe"',
      'tiers.yaml:3: tiers.good.revocable: is missing: write true or false',
      'tiers.yaml:1: default: Default tier name should match supplied tiers. Found best; supplied: good',
    ])
  })

  test('only comments: empty', () => {
    expect(faultsOf('# nothing\n')).toEqual([expect.stringMatching(/^tiers\.yaml: configuration cannot be empty/)])
  })

  test('no YAML, a tier twice, no such file: each is said', () => {
    expect(faultsOf('default: [')).toEqual([expect.stringMatching(/^tiers\.yaml:1: not valid YAML: /)])
    expect(faultsOf('default: a\ntiers:\n  a: {}\n  a: {}\n')).toEqual([
      expect.stringMatching(/^tiers\.yaml:4: not valid YAML: Map keys must be unique/),
    ])
    expect(readTiersFile(join(folder, 'nowhere.yaml'))).toEqual({
      ok: false,
      faults: [expect.stringMatching(/^cannot be read: ENOENT.*nowhere\.yaml/)],
    })
  })

  test('an alias of nothing, and aliases that explode: faults with their lines, no crash', () => {
    expect(faultsOf('tiers:\n  a: {preemptible: false, revocable: false}\ndefault: *q\n')).toEqual([
      'tiers.yaml:3: no earlier place in the file is named &q: to write a text that begins with *, put it in quotes ("*q")',
    ])
    const tenfold = (of: string) => `[${Array(10).fill(`*${of}`).join(', ')}]`
    const bomb = `a: &a [1]\nb: &b ${tenfold('a')}\nc: &c ${tenfold('b')}\nd: ${tenfold('c')}\n`
    expect(faultsOf(bomb)).toEqual([
      expect.stringMatching(/^\S*tiers\.yaml: Excessive alias count.*write the values out/),
    ])
  })

  test('a config with an alias of nothing: its line', () => {
    const read = readConfig('http:\n  port: *p\n')
    expect(read.ok ? [] : faultLines('node.yaml', read.faults)).toEqual([
      'node.yaml:2: no earlier place in the file is named &p: to write a text that begins with *, put it in quotes ("*p")',
    ])
  })

  test('a config that names it: refused with the place of both; an agent alone does not read it', () => {
    const path = file('default: a\n')
    const text = `scheduler:\n  tiersFile: ${path}\n`
    const read = readConfig(text)
    expect(read.ok ? [] : faultLines('node.yaml', read.faults)).toEqual([
      `node.yaml:2: scheduler.tiersFile: ${path}:1: tiers: Tiers cannot be empty. Write at least the tier that default names.`,
    ])
    const agent = readConfig(`roles: [agent]\nagent: {schedulers: ["http://127.0.0.1:8081"]}\n${text}`)
    expect(agent.ok).toBe(true)
    expect(readConfig(text, {}, { readFiles: false }).ok).toBe(true)
  })
})
