import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readJobText } from '../../src/cli/job-file-text.ts'
import { readTaskData } from '../../src/core/executor/task-data.ts'
import { executorData, toJobConfiguration } from '../../src/core/job/job-configuration.ts'
import { readJobFile } from '../../src/core/job/job-file.ts'
import type { JobConfiguration } from '../../src/core/job/task-config.ts'
import { unbuiltFields } from '../../src/core/job/unbuilt-fields.ts'
import { daybreak } from './terminal.ts'

const KEY = { cluster: 'local', role: 'www-data', environment: 'devel', name: 'hello' }
const files = (await readdir('examples')).filter(name => name.endsWith('.yaml'))

async function jobsOf(name: string) {
  const text = readJobText(await readFile(`examples/${name}`, 'utf8'))
  const read = readJobFile(text.tree, { key: { ...KEY, name: name.replace('.yaml', '') } })
  if (!read.ok) throw new Error(JSON.stringify(read.faults))
  return read.jobs
}

/** The command of a process as an agent would start it. */
async function command(name: string, process: string, ports: Record<string, number>): Promise<string> {
  const [read] = await jobsOf(name)
  const launch = { instance: 2, hostname: 'worker-1', taskId: 'task-1', ports }
  const found = readTaskData(executorData(read!.job), launch)
  if (!found.ok) throw new Error(found.text)
  return found.task.processes.find(spec => spec.name === process)!.cmdline
}

describe('examples', () => {
  test.each(files)('%s: no fault, no field that does nothing yet', async name => {
    for (const { job, given } of await jobsOf(name)) expect(unbuiltFields(job, given)).toEqual([])
  })

  test('hello.yaml: its server answers on the assigned port, and ends on SIGTERM with status 0', async () => {
    const holder = createServer().listen(0, '127.0.0.1')
    await once(holder, 'listening')
    const { port } = holder.address() as { port: number }
    await new Promise(resolve => holder.close(resolve))
    const server = spawn('/bin/bash', ['-c', await command('hello.yaml', 'server', { http: port })])
    try {
      const [said] = (await once(server.stdout, 'data')) as [Buffer]
      expect(said.toString()).toBe(`listening on port ${port}\n`)
      const answer = await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: 'close' } })
      expect(await answer.text()).toBe('hello from instance 2 on worker-1\n')
    } finally {
      server.kill('SIGTERM')
    }
    expect(await once(server, 'exit')).toEqual([0, null])
  })

  test('batch.yaml: its steps do their work one after the other', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'daybreak-batch-'))
    try {
      let last = ''
      for (const step of ['prepare', 'count', 'publish', 'tidy']) {
        const child = spawn('/bin/bash', ['-c', await command('batch.yaml', step, {})], { cwd: folder })
        last = ''
        child.stdout.on('data', data => {
          last += String(data)
        })
        expect(await once(child, 'close')).toEqual([0, null])
        if (step === 'publish') expect(last).toMatch(/the most frequent is +15 word 2/)
      }
      expect(last).toBe('tidied\n')
      expect(await readdir(folder)).toEqual(['counts.txt'])
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })

  test.each([
    ['database.yaml', 'member', { peer: 31_555 }, 'member 2 listens on 31555\n'],
    ['node-exporter.yaml', 'exporter', {}, /^load \d+\.\d+\n$/],
  ] as const)('%s: its process starts and says what it is', async (name, process, ports, expected) => {
    const child = spawn('/bin/bash', ['-c', await command(name, process, ports)], { detached: true })
    try {
      const [said] = (await once(child.stdout, 'data')) as [Buffer]
      expect(said.toString()).toMatch(expected)
    } finally {
      global.process.kill(-(child.pid as number), 'SIGKILL')
    }
    await once(child, 'close')
  })

  test('what the examples ask of placement reaches the scheduler', async () => {
    const asked = async (name: string) => {
      const [read] = await jobsOf(name)
      const { prefer, spread, everyHost, gang } = toJobConfiguration(read!.job, 'ann').task
      return { prefer, spread, everyHost, gang }
    }
    expect(await asked('spread-web.yaml')).toEqual({
      prefer: [{ attribute: 'disk', values: ['ssd'], weight: 20 }],
      spread: [{ attribute: 'rack', weight: 50 }],
      everyHost: undefined,
      gang: undefined,
    })
    expect(await asked('database.yaml')).toMatchObject({ gang: 3 })
    expect(await asked('node-exporter.yaml')).toMatchObject({ everyHost: true })
  })

  test.each([
    ['database.yaml', 'member', 'member 2 listens on 31001\n'],
    ['node-exporter.yaml', 'exporter', /^load [\d.]+\n$/],
  ])('%s: its process says what it is there for, and stays until it is asked to end', async (name, process, text) => {
    const child = spawn('/bin/bash', ['-c', await command(name, process, { peer: 31_001 })], { detached: true })
    const ended = once(child, 'exit')
    try {
      const [said] = (await once(child.stdout, 'data')) as [Buffer]
      expect(said.toString()).toMatch(text)
      expect(child.exitCode).toBeNull()
    } finally {
      // What the shell has started, too.
      if (child.pid !== undefined) globalThis.process.kill(-child.pid, 'SIGTERM')
    }
    expect(await ended).toEqual([null, 'SIGTERM'])
  })

  test('spread-web.yaml: its server answers on the assigned port', async () => {
    const holder = createServer().listen(0, '127.0.0.1')
    await once(holder, 'listening')
    const { port } = holder.address() as { port: number }
    await new Promise(resolve => holder.close(resolve))
    const server = spawn('/bin/bash', ['-c', await command('spread-web.yaml', 'server', { http: port })])
    const ended = once(server, 'exit')
    const ask = (): Promise<string> =>
      fetch(`http://127.0.0.1:${port}/`, { headers: { connection: 'close' } }).then(answer => answer.text())
    try {
      await expect.poll(() => ask().catch(() => 'nobody listens'), { timeout: 10_000 }).toBe('instance 2\n')
    } finally {
      server.kill('SIGTERM')
    }
    expect(await ended).toEqual([0, null])
  })

  test('templated.yaml: one task, two jobs; the command line beats the file', async () => {
    const ran = await daybreak('job inspect local/ads/prod/api examples/templated.yaml --bind release=43', null)
    expect(ran.out).toContain('echo "api: ads prod releases/43, instance {{mesos.instance}}"')
    const worker = await daybreak('job inspect local/ads/devel/worker examples/templated.yaml', null)
    expect(worker.out).toContain('echo "worker: ads devel releases/42, instance {{mesos.instance}}"')
  })
})

test('environments.yaml: one service, three environments; the profile follows the variable and the environment', async () => {
  const listed = await daybreak('config list examples/environments.yaml', null)
  expect(listed.out).toBe('local/www-data/devel/site\nlocal/www-data/staging1/site\nlocal/www-data/prod/site\n')
  const inspect = async (environment: string, more = '') => {
    const line = `job inspect local/www-data/${environment}/site examples/environments.yaml --json ${more}`
    const ran = await daybreak(line, null)
    expect(ran.err).toBe('')
    const { instanceCount, task } = ran.json<JobConfiguration>()
    return { instanceCount, ramMb: task.resources.ramMb, rules: task.constraints.length, data: task.executor!.data }
  }
  expect(await inspect('devel')).toMatchObject({ instanceCount: 1, ramMb: 32, rules: 1 })
  expect(await inspect('staging1', '--bind size=large')).toMatchObject({ instanceCount: 2, ramMb: 128 })
  const prod = await inspect('prod', '--bind release=43')
  expect(prod).toMatchObject({ instanceCount: 3, ramMb: 128, rules: 2 })
  expect(prod.data).toContain('welcome to prod, release 43, instance {{mesos.instance}}')
})

test('shop.ts: a program that makes three jobs in two environments', async () => {
  const listed = await daybreak('config list examples/shop.ts', null)
  expect(listed.out.split('\n').slice(0, 3)).toEqual([
    'local/www-data/devel/front',
    'local/www-data/prod/front',
    'local/www-data/devel/cart',
  ])
  const ran = await daybreak('job inspect local/www-data/prod/search examples/shop.ts --bind release=43 --json', null)
  expect(ran.err).toBe('')
  const { instanceCount, task } = ran.json<JobConfiguration>()
  expect({ instanceCount, task }).toMatchObject({
    instanceCount: 4,
    task: { tier: 'preferred', ports: ['http'], resources: { cpusMilli: 200, ramMb: 128 } },
  })
  expect(task.executor!.data).toContain('search 43 (info), instance {{mesos.instance}}')
})

test.each([
  ['environments.yaml', 'prod/site', 'welcome to prod, release 42, instance 2\n'],
  ['shop.ts', 'devel/cart', 'cart 42 (debug), instance 2\n'],
])('%s: the server of %s answers', async (name, key, expected) => {
  const holder = createServer().listen(0, '127.0.0.1')
  await once(holder, 'listening')
  const { port } = holder.address() as { port: number }
  await new Promise(resolve => holder.close(resolve))
  const ran = await daybreak(`job inspect local/www-data/${key} examples/${name} --json`, null)
  const launch = { instance: 2, hostname: 'worker-1', taskId: 'task-1', ports: { http: port } }
  const found = readTaskData(ran.json<JobConfiguration>().task.executor!.data, launch)
  const server = spawn('/bin/bash', ['-c', found.ok ? found.task.processes[0]!.cmdline : ''])
  const ended = once(server, 'exit')
  const ask = (): Promise<string> =>
    fetch(`http://127.0.0.1:${port}/`, { headers: { connection: 'close' } }).then(answer => answer.text())
  try {
    await expect.poll(() => ask().catch(() => 'nobody listens'), { timeout: 10_000 }).toBe(expected)
  } finally {
    server.kill('SIGTERM')
  }
  expect(await ended).toEqual([0, null])
})

test('job inspect --json is what job create sends, and needs no scheduler', async () => {
  const ran = await daybreak('job inspect local/www-data/devel/hello examples/hello.yaml --json', null, {
    env: { DAYBREAK_URL: 'http://127.0.0.1:1' },
  })
  expect(ran.json()).toMatchObject({
    key: { role: 'www-data' },
    owner: 'ann',
    instanceCount: 3,
    task: { ports: ['http'] },
  })
})

test('starting loads commander and nothing else: what a verb needs is loaded when it runs', async () => {
  const packages = new Set<string>()
  const seen = new Set<string>()
  const follow = async (path: string): Promise<void> => {
    if (seen.has(path)) return
    seen.add(path)
    const text = await readFile(path, 'utf8')
    for (const [, from] of text.matchAll(/^(?:import|export) (?!type )[^'"]*?from '([^']+)'$/gm)) {
      if (from!.startsWith('.')) await follow(join(path, '..', from!))
      else if (!from!.startsWith('node:')) packages.add(from!)
    }
  }
  await follow('src/cli/main.ts')
  expect([...packages].sort()).toEqual(['commander'])
})
