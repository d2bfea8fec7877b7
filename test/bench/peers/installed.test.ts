import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { cacheFolder, findEtcd, findZooKeeper } from '../../../bench/peers/installed.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'daybreak-test-peers-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

function program(...path: string[]): string {
  const file = join(folder, ...path)
  mkdirSync(join(file, '..'), { recursive: true })
  writeFileSync(file, '#!/bin/sh\n')
  chmodSync(file, 0o755)
  return file
}

test('etcd nowhere: skipped, with what to do', () => {
  const env = { PATH: folder, DAYBREAK_BENCH_CACHE: folder }
  expect(findEtcd(env)).toEqual({
    skipped: 'etcd is not installed: run bench/peers/install.sh',
    installed: null,
  })
})

test('etcd built and of the system: the built one, which is newer', () => {
  program('path', 'etcd')
  const built = program('cache', 'bin', 'etcd')
  const env = { PATH: join(folder, 'path'), DAYBREAK_BENCH_CACHE: join(folder, 'cache') }
  expect(findEtcd(env).installed).toEqual({ server: built, loadTool: null })
})

test('etcd of the system, and a file of its load tool that may not be run: no load tool', () => {
  const server = program('path', 'etcd')
  chmodSync(program('cache', 'bin', 'etcd-benchmark'), 0o644)
  const env = { PATH: join(folder, 'path'), DAYBREAK_BENCH_CACHE: join(folder, 'cache') }
  expect(findEtcd(env).installed).toEqual({ server, loadTool: null })
})

test('ZooKeeper without its archive, or without Java: skipped, each with its reason', () => {
  const env = { PATH: folder, DAYBREAK_BENCH_CACHE: folder }
  expect(findZooKeeper(env, folder).skipped).toContain(`no ${join(folder, 'zookeeper.jar')}`)
  writeFileSync(join(folder, 'zookeeper.jar'), '')
  expect(findZooKeeper(env, folder).skipped).toContain('needs Java')
  program('java')
  expect(findZooKeeper(env, folder).skipped).toBeNull()
})

test('the cache is where it is told to be, or among the caches of the user', () => {
  expect(cacheFolder({ DAYBREAK_BENCH_CACHE: '/a' })).toBe('/a')
  expect(cacheFolder({ XDG_CACHE_HOME: '/b' })).toBe('/b/daybreak-bench')
})
