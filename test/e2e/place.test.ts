/** What a node does when the place it runs in is wrong: a folder in use, a foreign or damaged store, a full disk. */

import { execFileSync } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync, rmSync, statfsSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { EXIT } from '../../src/runtime/exit.ts'
import {
  daybreak,
  EndedEarly,
  eventually,
  type RealNode,
  startRealNode,
  taskProcesses,
  temporaryFolder,
} from '../fixtures/real-node.ts'

let folder: ReturnType<typeof temporaryFolder>
const nodes: RealNode[] = []

async function start(flags: readonly string[] = [], dir = folder.path): Promise<RealNode> {
  const started = await startRealNode(dir, { flags })
  nodes.push(started)
  return started
}
async function refusedStart(flags: readonly string[] = []): Promise<EndedEarly> {
  const ended = await startRealNode(folder.path, { flags }).then(
    node => {
      nodes.push(node)
      return null
    },
    cause => cause as unknown,
  )
  if (!(ended instanceof EndedEarly)) throw new Error(`it should not have started: ${String(ended)}`)
  return ended
}

beforeEach(() => {
  folder = temporaryFolder()
})
afterEach(async () => {
  for (const one of nodes.splice(0)) await one.crash()
  for (const { pid } of taskProcesses(folder.path)) process.kill(pid, 'SIGKILL')
  folder.remove()
})

const logStore = (dir: string): string => join(dir, 'log', 'store', 'data.mdb')

describe('a wrong place', () => {
  test('two starts on one data folder: the second is refused and names the first', async () => {
    const first = await start()
    const second = await refusedStart()
    expect(second.code).toBe(EXIT.store)
    expect(second.said).toContain(String(first.child.pid))
    expect(await first.get('/health')).toMatchObject({ status: 200 })
  })

  test('after a crash the folder is free again, although the lock was never given back', async () => {
    const first = await start()
    await first.crash()
    const second = await start()
    expect(await second.get('/health')).toMatchObject({ status: 200 })
  })

  test('the store of another member: refused with the reason, and nothing in it changes', async () => {
    const first = await start()
    expect(await first.stop()).toBe(0)
    const refused = await refusedStart(['--node.id', '2'])
    expect([EXIT.store, EXIT.config]).toContain(refused.code)
    expect(refused.said).toMatch(/member|node id/i)
    const again = await start()
    expect(await again.get('/health')).toMatchObject({ status: 200 })
  })

  test('a damaged store: refused with the reason and the status for a store, never taken for empty', async () => {
    const first = await start()
    await daybreak(first.url, 'job', 'create', 'local/www-data/devel/hello', 'examples/hello.yaml')
    await first.crash()
    // One byte of one committed record: what a bad disk or a stray write leaves behind.
    const file = logStore(folder.path)
    const bytes = readFileSync(file)
    const at = bytes.indexOf('job create')
    expect(at).toBeGreaterThan(0)
    const descriptor = openSync(file, 'r+')
    for (let here = at; here >= 0; here = bytes.indexOf('job create', here + 1)) {
      writeSync(descriptor, Buffer.from('jab'), 0, 3, here)
    }
    closeSync(descriptor)
    const refused = await refusedStart()
    expect(refused.code).toBe(EXIT.store)
    expect(refused.said).toMatch(/damaged|corrupt|checksum/i)
  })

  test('a port that is taken: refused, naming the port and the key', async () => {
    const first = await start()
    const port = new URL(first.url).port
    const other = temporaryFolder()
    try {
      const refused = await startRealNode(other.path, { flags: ['--http.port', port] }).then(
        node => node.crash().then(() => null),
        cause => cause as EndedEarly,
      )
      expect(refused?.code).toBe(EXIT.place)
      expect(refused?.said).toContain(port)
      expect(refused?.said).toContain('http.port')
    } finally {
      other.remove()
    }
  })

  test('the disk is nearly full: /health is sick, nothing acknowledged is lost, work resumes when space is back', async () => {
    const free = () => {
      const disk = statfsSync(folder.path)
      return disk.bavail * disk.bsize
    }
    // The limit lies below what is free now, far enough that others on this machine do not cross it by themselves.
    const step = Math.min(2 * 1024 ** 3, Math.floor(free() / 4))
    const limit = free() - step
    const flags = ['--log.space.reserve', `${limit}B`, '--log.space.alarm', `${limit}B`, '--health.diskFreeMin', '0B']
    const node = await start(flags)
    const before = await daybreak(node.url, 'job', 'create', 'local/www-data/devel/before', 'examples/hello.yaml')
    expect(before.status, before.stderr).toBe(0)

    const filler = join(folder.path, 'filler')
    execFileSync('fallocate', ['-l', String(step + Math.floor(step / 2)), filler])
    const sick = await eventually(
      () => node.get('/health'),
      health => health.status !== 200,
    )
    expect(sick.text).toMatch(/SICK/)
    expect(sick.text).toMatch(/log not writable: only \d+ MiB are free/)
    const refused = await daybreak(
      node.url,
      'job',
      'create',
      'local/www-data/devel/during',
      'examples/hello.yaml',
      '--timeout',
      '1s',
    )
    expect(refused.status).not.toBe(0)
    expect(refused.stderr + refused.stdout).toMatch(/free/i)
    expect((await node.get('/api/v1/jobs/www-data/devel/before')).status).toBe(200)

    rmSync(filler)
    await eventually(
      () => node.get('/health'),
      health => health.status === 200,
    )
    const after = await daybreak(node.url, 'job', 'create', 'local/www-data/devel/after', 'examples/hello.yaml')
    expect(after.status, after.stderr).toBe(0)
    await node.crash()
    const again = await start()
    for (const name of ['before', 'after'])
      expect((await again.get(`/api/v1/jobs/www-data/devel/${name}`)).status).toBe(200)
    expect((await again.get('/api/v1/jobs/www-data/devel/during')).status).toBe(404)
  })

  test('an uninitialized store: the node runs, says what it waits for and what to run, and /health stays OK', async () => {
    const config = join(folder.path, 'node.yaml')
    const data = join(folder.path, 'data')
    writeFileSync(config, `roles: [scheduler]\nnode: { id: 1 }\ndata: { dir: ${data} }\n`)
    const started = await startRealNode(data, { config })
    nodes.push(started)
    expect(await started.get('/health')).toMatchObject({ status: 200, text: 'OK\n' })
    const answer = await started.get('/api/v1/jobs')
    expect(answer.status).toBe(503)
    expect(answer.text).toContain('Storage is not READY')
    expect(started.output()).toContain('Replica in EMPTY status')
    expect(started.output()).toContain('daybreak log initialize')
    expect(existsSync(config)).toBe(true)
    await started.crash()

    const initialized = await daybreak(started.url, 'log', 'initialize', config)
    expect(initialized.status, initialized.stderr + initialized.stdout).toBe(0)
    const again = await startRealNode(data, { config })
    nodes.push(again)
    await eventually(
      () => again.get('/api/v1/jobs'),
      jobs => jobs.status === 200,
    )
  })
})
