import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { accountFor, canSwitchAccounts, findAccount, ownAccount } from '../../../src/runtime/agent/accounts.ts'
import { type MachineFacts, machineFacts, machineVitals, offeredResources } from '../../../src/runtime/agent/machine.ts'
import { bootId, parseStat, processStat, signalProcess } from '../../../src/runtime/agent/proc.ts'
import { readEnded, readStarted, shimCommand } from '../../../src/runtime/agent/shim.ts'

const GB = 1024 ** 3
const facts: MachineFacts = { cpus: 4, cpuLimit: null, ramBytes: 64 * GB, ramLimitBytes: null, diskBytes: 100 * GB }

describe('what a machine offers', () => {
  test.each([
    { desc: 'a large one keeps 5 % of its RAM', facts, expected: { cpusMilli: 4_000, ramMb: 62_259, diskMb: 97_280 } },
    { desc: 'a small one keeps 1 GiB', facts: { ...facts, ramBytes: 4 * GB }, expected: { ramMb: 3_072 } },
    {
      desc: 'a tiny one offers none',
      facts: { ...facts, ramBytes: GB / 2, diskBytes: GB },
      expected: { ramMb: 0, diskMb: 0 },
    },
    {
      desc: 'a cgroup’s limits count when smaller',
      facts: { ...facts, cpuLimit: 1.5, ramLimitBytes: 8 * GB },
      expected: { cpusMilli: 1_500, ramMb: 7_168 },
    },
  ])('$desc', ({ facts: these, expected }) => {
    expect(offeredResources(these)).toMatchObject(expected)
  })

  test('what is overridden counts, the rest is detected', () => {
    expect(offeredResources(facts, { cpusMilli: 500 })).toMatchObject({ cpusMilli: 500, diskMb: 97_280 })
  })

  test('this very machine has cores, memory and a disk', () => {
    const here = machineFacts('/')
    expect(here.cpus).toBeGreaterThan(0)
    expect(here.ramBytes).toBeGreaterThan(0)
    expect(here.diskBytes).toBeGreaterThan(0)
    const vitals = machineVitals('/')
    expect(vitals.diskUsedFraction).toBeGreaterThanOrEqual(0)
    expect(vitals.diskUsedFraction).toBeLessThanOrEqual(1)
  })
})

describe('processes', () => {
  test('a name with blanks and brackets does not move the fields', () => {
    const rest = `S 1 77 78 0 -1 4194304 ${new Array(12).fill('0').join(' ')} 123456 0`
    const fields = `42 (a ) (b) S) ${rest}`
    expect(parseStat(fields)).toEqual({
      pid: 42,
      ppid: 1,
      group: 77,
      session: 78,
      state: 'S',
      startTicks: 123_456,
      isKernelThread: false,
    })
    expect(parseStat('nonsense')).toBe(null)
  })

  test('one with other start ticks than recorded is never signalled', async () => {
    const child = spawn('sleep', ['60'])
    await once(child, 'spawn')
    const ticks = processStat(child.pid as number)?.startTicks ?? 0
    expect(signalProcess(child.pid as number, ticks + 1, 'SIGKILL')).toBe(false)
    expect(signalProcess(child.pid as number, ticks, 'SIGKILL')).toBe(true)
    await once(child, 'exit')
    expect(child.signalCode).toBe('SIGKILL')
  })

  test('the boot id is the kernel’s', () => {
    expect(bootId()).toMatch(/^[0-9a-f-]{36}$/)
  })
})

describe('the shim', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'daybreak-shim-'))
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))
  const run = (...command: string[]) => {
    const [program = '', ...args] = shimCommand(folder, 'token', command)
    return spawn(program, args, { detached: true, stdio: 'ignore' })
  }

  test('nobody has written down who it is: it does so itself in the end, and how the command ended', async () => {
    const child = run('/bin/bash', '-c', 'exit 9')
    await once(child, 'exit')
    expect(readStarted(folder)).toMatchObject({ pid: child.pid, token: 'token' })
    expect(readEnded(folder)?.code).toBe(9)
  })

  test('its command is killed: 128 + the signal', async () => {
    await once(run('/bin/bash', '-c', 'kill -KILL $$'), 'exit')
    expect(readEnded(folder)?.code).toBe(137)
  })

  test('a folder with blanks and wild cards in its name is no trouble', async () => {
    folder = join(folder, 'a * b')
    mkdirSync(folder)
    await once(run('true'), 'exit')
    expect(readEnded(folder)?.code).toBe(0)
    folder = join(folder, '..')
  })

  test('its records cannot be written: it ends with the status of the command, and leaves no empty record', async () => {
    mkdirSync(join(folder, 'ended.new'))
    const [status] = await once(run('/bin/bash', '-c', 'exit 9'), 'exit')
    expect(status).toBe(9)
    expect(readEnded(folder)).toBe(null)
  })

  test('SIGTERM to its whole group: it stays until the command has ended, and knows how', async () => {
    const ready = join(folder, 'ready')
    const child = run('/bin/bash', '-c', `trap "exit 33" TERM; echo x >${ready}; kill -TERM -- -$PPID; wait; exit 1`)
    await once(child, 'exit')
    expect(readFileSync(ready, 'utf8')).toBe('x\n')
    expect(readEnded(folder)?.code).toBe(33)
  })

  test('a damaged record is told from a missing one', () => {
    expect(readEnded(folder)).toBe(null)
    writeFileSync(join(folder, 'ended'), 'x')
    expect(() => readEnded(folder)).toThrow('is damaged')
    writeFileSync(join(folder, 'started'), '1 x')
    expect(() => readStarted(folder)).toThrow('is damaged')
  })
})

describe('whom a task runs as', () => {
  test('shared: the agent’s own user, whatever the role', async () => {
    const choice = await accountFor('nobody-has-this-role', { userMode: 'shared', allowRoot: false })
    expect(choice).toEqual({ ok: true, account: ownAccount(), switches: false })
  })

  test('agent-39: role: an account that does not exist, and root, are refused', async () => {
    const rules = { userMode: 'role', allowRoot: false } as const
    expect(await accountFor('nobody-has-this-role', rules)).toEqual({
      ok: false,
      text: 'Could not create sandbox because user does not exist: nobody-has-this-role',
    })
    expect(await accountFor('root', rules)).toMatchObject({ ok: false })
    expect(await findAccount('-x; id')).toBe(null)
  })

  test('without the program that changes accounts nobody is switched to', () => {
    expect(canSwitchAccounts('/nowhere:')).toBe(false)
    const folder = mkdtempSync(join(tmpdir(), 'daybreak-path-'))
    writeFileSync(join(folder, 'setpriv'), '')
    expect(canSwitchAccounts(`/nowhere:${folder}`)).toBe(true)
    rmSync(folder, { recursive: true })
  })
})
