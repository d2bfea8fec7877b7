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

/** `syncScript` stands before the machine's own `sync`. */
function runShim(syncScript: string): void {
  const sync = join(folder, 'bin', 'sync')
  writeFileSync(sync, `#!/bin/sh\n${syncScript}\n`)
  chmodSync(sync, 0o755)
  const [program = '', ...args] = shimCommand('/bin/sh', join(folder, 'records'), 'token', ['true'])
  execFileSync(program, args, { env: { PATH: `${join(folder, 'bin')}:${process.env.PATH}` } })
}

describe('the records of a shim', () => {
  it('are synced by one program a run, both of them before the end has its name', () => {
    const seen = join(folder, 'seen')
    runShim(`echo "$@" >>${seen}; ls ${folder}/records >>${seen}`)
    const records = join(folder, 'records')
    expect(readFileSync(seen, 'utf8').trim().split('\n')).toEqual([
      `${records}/started ${records}/ended.new`,
      'ended.new',
      'started',
    ])
    expect(readEnded(records)?.code).toBe(0)
    expect(readStarted(records)?.token).toBe('token')
  })

  it('are there although they could not be synced', () => {
    runShim('exit 1')
    expect(readEnded(join(folder, 'records'))?.code).toBe(0)
  })
})
