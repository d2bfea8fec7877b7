/** `daybreak start` and `config` as processes: titles, exit statuses, help. The node itself is tested end to end elsewhere. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { EXIT } from '../../src/runtime/exit.ts'

const root = join(import.meta.dirname, '../..')
const folder = mkdtempSync(join(tmpdir(), 'daybreak-start-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const launcher = join(folder, 'daybreak')
symlinkSync(join(root, 'bin/daybreak'), launcher)

/** Through a symbolic link, from another folder, as an installed package is run. */
function daybreak(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(launcher, args, { cwd: folder, encoding: 'utf8' })
  return { status, stdout, stderr }
}

function file(name: string, text: string): string {
  writeFileSync(join(folder, name), text)
  return name
}

describe('daybreak start', () => {
  test('a config with faults: status 78, each fault with its line', () => {
    const { status, stderr } = daybreak('start', file('bad.yaml', 'htpp:\n  port: 1\nquorum: 3\n'))
    expect(status).toBe(EXIT.config)
    expect(stderr).toBe(
      [
        'error: the config has 2 faults:',
        '  bad.yaml:1: htpp: unknown key `htpp`, did you mean `http`?',
        '  bad.yaml:3: quorum: quorum 3 is wrong for 1 members: it must be 1 (floor(1/2)+1); remove the key',
        '',
      ].join('\n'),
    )
  })

  test('no file, or a file that is not there: status 2 and 78', () => {
    expect(daybreak('start')).toMatchObject({
      status: EXIT.usage,
      stderr: expect.stringContaining('say which config file'),
    })
    expect(daybreak('start', 'none.yaml')).toMatchObject({
      status: EXIT.config,
      stderr: expect.stringContaining('ENOENT'),
    })
  })

  test('a flag that is not known, with no value behind it: told with the nearest one, not asked for a value', () => {
    expect(daybreak('start', file('fine.yaml', ''), '--http.prt')).toMatchObject({
      status: EXIT.config,
      stderr: expect.stringContaining('unknown flag `--http.prt`, did you mean `--http.port`?'),
    })
  })

  test('scheduler.heap, from the file or a flag: what Node is started with; nothing for an agent, or a config with faults', () => {
    const heap = (...args: string[]) => daybreak('config', 'heap', ...args).stdout
    expect(heap(file('plain.yaml', ''))).toBe('4096\n')
    expect(heap(file('heap.yaml', 'scheduler: { heap: 6GiB }\n'))).toBe('6144\n')
    expect(heap('heap.yaml', '--scheduler.heap', '512MiB')).toBe('512\n')
    expect(heap(file('agent.yaml', 'roles: [agent]\nagent: { schedulers: ["http://127.0.0.1:1"] }\n'))).toBe('')
    expect(heap(file('small.yaml', 'scheduler: { heap: 1MiB }\n'))).toBe('')
  })

  test('Node is told of the heap of a scheduler, old and young; it decides for an agent, and for who has told it already', () => {
    // Stands where Node is looked for: answers for `config heap` what the file is called, and else tells how it was started.
    const there = join(folder, 'path')
    mkdirSync(there)
    writeFileSync(
      join(there, 'node'),
      '#!/bin/sh\ncase "$*" in *"config heap "*) basename "$4" .yaml ;; *) echo "$*" ;; esac\n',
      { mode: 0o755 },
    )
    const started = (config: string, options = '') => {
      const env = { ...process.env, PATH: `${there}:${process.env.PATH}`, NODE_OPTIONS: options }
      const { stdout } = spawnSync(launcher, ['start', config], { cwd: folder, encoding: 'utf8', env })
      return stdout.split(' ').filter(word => word.includes('-size'))
    }
    expect(started('4096.yaml')).toEqual(['--max-old-space-size=4096', '--min-semi-space-size=16'])
    expect(started('.yaml')).toEqual([])
    expect(started('4096.yaml', '--max-old-space-size=100')).toEqual([])
  })

  test('help: every key as a flag', () => {
    const { status, stdout } = daybreak('start', '--help')
    expect(status).toBe(0)
    expect(stdout).toContain('--http.port <port, 0 = any free one>')
    expect(stdout).toContain('--agent.killCap <duration>')
  })

  test('a port that is taken: status 77, naming the port and the key', async () => {
    const taken = createServer()
    taken.listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const address = taken.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const node = spawn(
      launcher,
      ['start', file('a.yaml', `roles: [scheduler]\nhttp: {port: ${port}}\npeer: {port: 0}\n`)],
      { cwd: folder },
    )
    let stderr = ''
    node.stderr.on('data', part => {
      stderr += String(part)
    })
    const [status] = await once(node, 'close')
    taken.close()
    expect(status).toBe(EXIT.place)
    expect(stderr).toContain(`port ${port}`)
    expect(stderr).toContain('http.port')
  })

  test('a running node: ps shows role, node id, ports and config path; SIGTERM ends it with 0', async () => {
    const config = file(
      'node.yaml',
      'roles: [scheduler]\nnode: {id: 7}\nhttp: {port: 0}\npeer: {port: 0}\nlog: {autoBootstrap: true}\ndata: {dir: data}\n',
    )
    const node = spawn(launcher, ['start', config], { cwd: folder })
    const [line] = await once(node.stdout, 'data')
    const url = /http:\/\/127\.0\.0\.1:(\d+)/.exec(String(line))
    const titleNow = () => readFileSync(`/proc/${node.pid}/cmdline`, 'utf8').replace(/\0.*$/s, '')
    let health = ''
    // The port stands in the title as soon as the node is whole, a moment after it answers.
    for (let asked = 0; asked < 500 && (health !== 'OK\n' || titleNow().includes('http=0')); asked += 1) {
      health = await (await fetch(`${url?.[0]}/health`)).text()
    }
    const title = titleNow()
    node.kill('SIGTERM')
    const [status] = await once(node, 'close')
    expect(title).toBe(`daybreak scheduler node=7 http=${url?.[1]} peer=0 config=${join(folder, config)}`)
    expect(health).toBe('OK\n')
    expect(status).toBe(0)
  })

  test('SIGTERM at the first sign of life, mostly before the node is up: it stops in order, with 0', async () => {
    const config = file(
      'early.yaml',
      'roles: [scheduler]\nhttp: {port: 0}\npeer: {port: 0}\nlog: {autoBootstrap: true}\ndata: {dir: early}\n',
    )
    const node = spawn(launcher, ['start', config], { cwd: folder })
    let stderr = ''
    node.stderr.on('data', part => {
      if (stderr === '') node.kill('SIGTERM')
      stderr += String(part)
    })
    const [status] = await once(node, 'close')
    expect(status, stderr).toBe(0)
  })
})

describe('daybreak config', () => {
  test('check: says that there are no faults, or tells them with status 78', () => {
    expect(daybreak('config', 'check', file('good.yaml', 'http: {port: 1}\n'))).toMatchObject({
      status: 0,
      stdout: 'good.yaml: no faults\n',
    })
    const bad = daybreak('config', 'check', file('worse.yaml', 'http: {port: x}\n'))
    expect(bad).toMatchObject({
      status: EXIT.config,
      stderr: expect.stringContaining('worse.yaml:1: http.port: must be'),
    })
  })

  test('show: effective values and where each comes from', () => {
    const { stdout } = daybreak('config', 'show', file('show.yaml', 'http:\n  port: 9\n'), '--http.host', '127.0.0.2')
    expect(stdout).toMatch(/^http\.port +9 +line 2$/m)
    expect(stdout).toMatch(/^http\.host +127\.0\.0\.2 +flag$/m)
    expect(stdout).toMatch(/^peer\.port +8083 +default$/m)
    expect(stdout).toMatch(/^agent\.workDir +\(`agent` in data\.dir\) +default$/m)
    const json = JSON.parse(daybreak('config', 'show', 'show.yaml', '--json').stdout)
    expect(json['http.port']).toEqual({ value: 9, source: 'file', line: 2 })
  })
})
