import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readEnded, readStarted, shimCommand } from '../../../src/runtime/agent/shim.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'shim-'))
  mkdirSync(join(folder, 'records'))
  mkdirSync(join(folder, 'bin'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** Every program that it calls for its records is written down in `seen`. */
function runShim(seen: string): void {
  for (const name of ['sync', 'mv']) {
    const file = join(folder, 'bin', name)
    writeFileSync(file, `#!/bin/sh\necho ${name} "$@" >>${seen}\nPATH=\${PATH#*:} exec ${name} "$@"\n`)
    chmodSync(file, 0o755)
  }
  const [program = '', ...args] = shimCommand(join(folder, 'records'), 'token', ['true'])
  execFileSync(program, args, { env: { PATH: `${join(folder, 'bin')}:${process.env.PATH}` } })
}

describe('the records of a shim', () => {
  it('the start is written down already: its end is written whole, and costs one program', () => {
    const seen = join(folder, 'seen')
    const records = join(folder, 'records')
    writeFileSync(join(records, 'started'), '7 8 token\n')
    runShim(seen)
    expect(readFileSync(seen, 'utf8').trim()).toBe(`mv -f ${records}/ended.new ${records}/ended`)
    expect(readEnded(records)?.code).toBe(0)
    expect(readStarted(records)?.pid).toBe(7)
  })

  it('its launcher died before it wrote down the start: the shim does, whole', () => {
    const seen = join(folder, 'seen')
    runShim(seen)
    const records = join(folder, 'records')
    expect(readFileSync(seen, 'utf8').trim().split('\n')).toEqual([
      `mv -f ${records}/started.new ${records}/started`,
      `mv -f ${records}/ended.new ${records}/ended`,
    ])
    expect(readEnded(records)?.code).toBe(0)
    expect(readStarted(records)?.token).toBe('token')
  })
})
