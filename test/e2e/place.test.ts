/** What a node does when the place it runs in is wrong: a folder in use, a foreign or damaged store, a full disk. */

import { execFileSync } from 'node:child_process'
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
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

const largestFile = (dir: string): string => {
  const files = readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .map(name => join(dir, name))
    .filter(path => path.endsWith('.mdb') && /log/.test(path.slice(dir.length)) && statSync(path).isFile())
    .sort((a, b) => statSync(b).size - statSync(a).size)
  const found = files.find(path => !/lock/.test(path))
  if (found === undefined) throw new Error(`no store below ${dir}`)
  return found
}

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
    const file = largestFile(folder.path)
    const size = statSync(file).size
    const descriptor = openSync(file, 'r+')
    // Every page but the two meta pages: whatever the store reads next is nonsense.
    const nonsense = Buffer.alloc(4096, 0xa5)
    for (let at = 8192; at < size; at += 4096) writeSync(descriptor, nonsense, 0, Math.min(4096, size - at), at)
    closeSync(descriptor)
    const refused = await refusedStart()
    expect(refused.code).toBe(EXIT.store)
    expect(refused.said).toMatch(/damaged|corrupt|cannot be read/i)
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
    const flags = ['--log.space.reserve', `${limit}`, '--log.space.alarm', `${limit}`, '--health.diskFreeMin', '0']
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
    expect(sick.text).toMatch(/space|disk/i)
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
    expect(refused.stderr + refused.stdout).toMatch(/space/i)
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
    writeFileSync(config, 'roles: [scheduler]\nnode: { id: 1 }\n')
    const started = await startRealNode(join(folder.path, 'data'), { config })
    nodes.push(started)
    expect(await started.get('/health')).toMatchObject({ status: 200, text: 'OK\n' })
    const answer = await started.get('/api/v1/jobs')
    expect(answer.status).toBe(503)
    expect(answer.text).toContain('Storage is not READY')
    expect(started.output()).toContain('Replica in EMPTY status')
    expect(started.output()).toContain('daybreak log initialize')
    expect(existsSync(config)).toBe(true)
    await started.crash()

    const initialized = await daybreak(
      started.url,
      'log',
      'initialize',
      config,
      '--data.dir',
      join(folder.path, 'data'),
    )
    expect(initialized.status, initialized.stderr + initialized.stdout).toBe(0)
    const again = await startRealNode(join(folder.path, 'data'), { config })
    nodes.push(again)
    await eventually(
      () => again.get('/api/v1/jobs'),
      jobs => jobs.status === 200,
    )
  })
})
