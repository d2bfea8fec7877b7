import { describe, expect, test } from 'vitest'
import { type HealthPorts, healthBoard, healthNow, healthSpec, type ThreadProbe } from '../../src/actors/health.ts'
import { silentMetrics } from '../../src/actors/ports.ts'
import { createSimSystem } from '../../src/actors/sim-shell.ts'
import type { LogSample } from '../../src/core/health/verdict.ts'

const LIMITS = { eventLoopLagMsMax: 5_000, mailboxAgeMsMax: 10_000, diskFreeBytesMin: 1_000 }
type Look = Awaited<ReturnType<ThreadProbe['look']>>

/** A node whose threads, log and disk answer what the test says. */
function watched() {
  const system = createSimSystem({ seed: 1 })
  const board = healthBoard(0)
  const world = {
    threads: { scheduler: { lagMs: 0, oldest: null }, log: { lagMs: 0, oldest: null } } as Record<
      string,
      Look | Promise<Look>
    >,
    log: { status: 'VOTING', notWritable: null } as LogSample | Promise<LogSample>,
    freeBytes: 5_000 as number | Promise<number>,
  }
  const ports: HealthPorts = {
    threads: ['scheduler', 'log'].map(name => ({ name, look: async () => world.threads[name]! })),
    logStatus: async () => world.log,
    disks: [{ path: '/data', freeBytes: async () => world.freeBytes }],
    metrics: silentMetrics,
  }
  system.spawn(healthSpec({ intervalMs: 1_000, limits: LIMITS, board, ports }))
  const pass = async (seconds: number): Promise<readonly string[]> => {
    for (let second = 0; second < seconds; second += 1) {
      await system.settle()
      system.advance(1_000)
    }
    await system.settle()
    return healthNow(board, system.now().monoMs)
  }
  return { system, board, world, pass }
}

describe('health', () => {
  test('everything answers: healthy at once, without waiting for the first interval', async () => {
    const { system, board } = watched()
    expect(healthNow(board, 0)).toEqual(['starting: the node has not looked at itself yet'])
    await system.settle()
    expect(system.now().monoMs).toBe(0)
    expect(healthNow(board, 0)).toEqual([])
    await system.stop()
  })

  test('log not writable: sick with its reason, healthy again when it is writable', async () => {
    const { world, pass, system } = watched()
    world.log = { status: 'VOTING', notWritable: 'only 3 bytes free' }
    expect(await pass(2)).toEqual(['log not writable: only 3 bytes free'])
    world.log = { status: 'VOTING', notWritable: null }
    expect(await pass(2)).toEqual([])
    await system.stop()
  })

  test('log never initialized: not sick, since a restart would not help', async () => {
    const { world, pass, system } = watched()
    world.log = { status: 'EMPTY', notWritable: 'the log is EMPTY' }
    expect(await pass(2)).toEqual([])
    await system.stop()
  })

  test('a mailbox that does not drain: sick, naming the actor', async () => {
    const { world, pass, system } = watched()
    world.threads.scheduler = { lagMs: 0, oldest: { path: '/leader/jobs', ageMs: 10_001 } }
    expect(await pass(2)).toEqual([
      'mailbox not draining: a message to /leader/jobs (scheduler thread) has waited 10.0 s (at most 10.0 s)',
    ])
    world.threads.scheduler = { lagMs: 0, oldest: { path: '/leader/jobs', ageMs: 10_000 } }
    expect(await pass(2)).toEqual([])
    await system.stop()
  })

  test('event loop late: sick with how late', async () => {
    const { world, pass, system } = watched()
    world.threads.scheduler = { lagMs: 7_000, oldest: null }
    expect(await pass(2)).toEqual([
      'event loop blocked: the scheduler thread did not come round for 7.0 s (at most 5.0 s)',
    ])
    await system.stop()
  })

  test('a thread that never answers: sick once it has been silent too long, and never asked twice at once', async () => {
    const { world, pass, system } = watched()
    await pass(1)
    let asked = 0
    Object.defineProperty(world.threads, 'log', {
      get: () => {
        asked += 1
        return new Promise<Look>(() => {})
      },
    })
    expect(await pass(5)).toEqual([])
    expect((await pass(3))[0]).toMatch(/^event loop blocked: the log thread did not come round for \d\.0 s/)
    expect(asked).toBe(1)
    await system.stop()
  })

  test('a thread that has ended: sick with the reason', async () => {
    const { world, pass, system } = watched()
    Object.defineProperty(world.threads, 'log', { get: () => Promise.reject(new Error('exit 75')) })
    expect(await pass(2)).toEqual(['log thread ended: exit 75'])
    await system.stop()
  })

  test('a log that never answers: sick', async () => {
    const { world, pass, system } = watched()
    await pass(1)
    world.log = new Promise<LogSample>(() => {})
    expect((await pass(8))[0]).toMatch(/^log not writable: the log has not answered for \d\.0 s/)
    await system.stop()
  })

  test('a look that takes long, as with very many actors: taken more rarely, the verdict stays fresh', async () => {
    const { board, world, pass, system } = watched()
    let looks = 0
    let answer: (look: Look) => void = () => {}
    Object.defineProperty(world.threads, 'scheduler', {
      get: () => {
        looks += 1
        return new Promise<Look>(resolve => {
          answer = resolve
        })
      },
    })
    await system.settle()
    system.advance(100)
    answer({ lagMs: 0, oldest: null })
    await pass(4)
    expect(looks).toBe(1)
    expect(system.now().monoMs - (board.verdict?.atMonoMs ?? 0)).toBeLessThanOrEqual(1_000)
    await pass(2)
    expect(looks).toBe(2)
    await system.stop()
  })

  test('disk nearly full, or not to be asked: sick', async () => {
    const { world, pass, system } = watched()
    world.freeBytes = 999
    expect(await pass(2)).toEqual(['disk nearly full: 0 MiB free at /data (at least 0 MiB)'])
    Object.defineProperty(world, 'freeBytes', { get: () => Promise.reject(new Error('ENOENT')) })
    expect(await pass(2)).toEqual(['disk of /data cannot be asked for its free space: ENOENT'])
    await system.stop()
  })

  test('several things at once: all are told', async () => {
    const { world, pass, system } = watched()
    world.freeBytes = 1
    world.log = { status: 'VOTING', notWritable: 'x' }
    expect(await pass(2)).toHaveLength(2)
    await system.stop()
  })
})
