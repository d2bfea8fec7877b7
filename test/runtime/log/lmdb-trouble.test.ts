import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, onTestFinished, test } from 'vitest'
import { storeTrouble } from '../../../src/runtime/log/lmdb-trouble.ts'
import { needsVerify } from '../../../src/runtime/log/log-folder.ts'
import { logOptions, temporaryFolder } from './log-folders.ts'

const coded = (code: number | string): Error => Object.assign(new Error('of the system'), { code })
/** As the package rejects a write. */
const failedCommit = (real: Error): Error => {
  const commitError = Promise.reject(real)
  commitError.catch(() => {})
  return Object.assign(new Error('Commit failed (see commitError for details)'), { commitError })
}
const MIB = 1024 * 1024

test.each([
  ['no room, said by the commit', failedCommit(coded(28)), 900 * MIB, 'StoreFull'],
  ['no room, said by the system', coded('ENOSPC'), 900 * MIB, 'StoreFull'],
  ['a part was written, the disk is full', failedCommit(coded(5)), 0, 'StoreFull'],
  ['the disk failed', failedCommit(coded(5)), 900 * MIB, 'StoreFailed'],
  ['anything else', new Error('of another kind'), 0, 'StoreFailed'],
])('%s: %s', async (_name, cause, freeBytes, expected) => {
  const trouble = await storeTrouble(cause, '/', 'a write', () => freeBytes)
  expect(trouble.name).toBe(expected)
  if (expected === 'StoreFailed') expect(trouble.message).toContain('a write failed: of ')
})

test('the system takes no more of the file: told once, as trouble of the store and not as a bug', async () => {
  const folder = temporaryFolder()
  const path = join(folder, 'log')
  const built = (name: string): string => new URL(`../../../dist/src/${name}`, import.meta.url).href
  const script = `
    const { openLogThread } = await import(${JSON.stringify(built('runtime/log/log-client.js'))})
    const { batchPayload, encodeTransaction } = await import(${JSON.stringify(built('core/ledger/payload.js'))})
    let leads
    const led = new Promise(resolve => { leads = resolve })
    const log = await openLogThread(${JSON.stringify(logOptions(path))})
    await log.start({ viewChanged: view => view.role === 'LEADER' && leads(), committed() {}, writable() {} })
    await led
    for (let at = 0; ; at++) {
      const row = { table: 1, key: 'k' + at, bytes: new Uint8Array(100_000) }
      await log.append(batchPayload([encodeTransaction({ who: 't', why: 't', wallMs: 1 }, [row])]))
    }`
  const writer = join(folder, 'writer.mjs')
  writeFileSync(writer, script)
  const shell = spawn('bash', ['-c', 'ulimit -f 2048; exec "$0" "$1"', process.execPath, writer])
  onTestFinished(() => void shell.kill('SIGKILL'))
  const [[status], errors] = await Promise.all([once(shell, 'exit'), text(shell.stderr)])
  expect(errors).toContain('daybreak: the log has ended: a write of the')
  expect(status).toBe(75)
  expect(needsVerify(path)?.reason).toMatch(/a write of the (log|row tables) failed/)
})
