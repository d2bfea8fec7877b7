import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { type Logger, silentLogger } from '../../../src/actors/ports.ts'
import type { Policy } from '../../../src/core/security/policy.ts'
import { readSecurityFile } from '../../../src/runtime/security/security-file.ts'
import { watchSecurityFile } from '../../../src/runtime/security/security-watch.ts'

const folder = mkdtempSync(join(tmpdir(), 'daybreak-security-'))
afterAll(() => rmSync(folder, { recursive: true }))

test('a changed file is taken; one with faults, or that is gone, is told and what was known holds on', () => {
  const path = join(folder, 'security.yaml')
  const taken: Policy[] = []
  const told: string[] = []
  const note = (event: string): void => void told.push(event)
  const logger: Logger = { ...silentLogger, info: note, error: note }
  writeFileSync(path, 'users: {ann: {}}\n')
  const watch = watchSecurityFile(path, policy => taken.push(policy), logger)
  watch.look()
  expect(taken).toEqual([])
  writeFileSync(path, 'users: {ann: {}, bob: {}}\n')
  watch.look()
  watch.look()
  writeFileSync(path, 'users: {ann: {roles: [none]}}\n')
  watch.look()
  rmSync(path)
  watch.look()
  writeFileSync(path, 'users: {}\n')
  watch.look()
  watch.stop()
  expect(taken.map(({ users }) => [...users.keys()])).toEqual([['ann', 'bob'], []])
  expect(told).toEqual(['security-changed', 'security-faulty', 'security-faulty', 'security-changed'])
})

test('a change that keeps size and time is taken: somebody who was taken out must not stay', () => {
  const path = join(folder, 'kept-time.yaml')
  const taken: Policy[] = []
  writeFileSync(path, 'users: {eve: {}}\n')
  utimesSync(path, 1, 1)
  const watch = watchSecurityFile(path, policy => taken.push(policy), silentLogger)
  writeFileSync(path, 'users: {bob: {}}\n')
  utimesSync(path, 1, 1)
  watch.look()
  watch.stop()
  expect(taken.map(({ users }) => [...users.keys()])).toEqual([['bob']])
})

test('what could not be read is read when it can be, though it has not changed; told once', () => {
  const path = join(folder, 'unreadable.yaml')
  const taken: Policy[] = []
  const told: string[] = []
  const note = (event: string): void => void told.push(event)
  writeFileSync(path, 'users: {eve: {}}\n')
  // Stands for what a node may not read yet, or for which it has no file descriptor left.
  let isReadable = false
  const read = (file: string) =>
    isReadable ? readSecurityFile(file) : { ok: false as const, faults: ['cannot be read'] }
  const watch = watchSecurityFile(
    path,
    policy => taken.push(policy),
    { ...silentLogger, info: note, error: note },
    read,
  )
  writeFileSync(path, 'users: {bobby: {}}\n')
  watch.look()
  watch.look()
  isReadable = true
  watch.look()
  watch.look()
  watch.stop()
  expect(taken.map(({ users }) => [...users.keys()])).toEqual([['bobby']])
  expect(told).toEqual(['security-faulty', 'security-changed'])
})

test('config/security.yaml has no faults, and its roles are as its comments say', () => {
  expect(readSecurityFile(join(import.meta.dirname, '../../../config/security.yaml'))).toMatchObject({ ok: true })
})
