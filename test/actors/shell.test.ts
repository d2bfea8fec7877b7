import { MessageChannel } from 'node:worker_threads'
import { expect, test } from 'vitest'
import type { Ref } from '../../src/actors/actor.ts'
import type { Clock, Logger } from '../../src/actors/ports.ts'
import type { TimerSource } from '../../src/actors/shell/timer-queue.ts'
import { createActorSystem, type NactActorSystem } from '../../src/actors/shell.ts'
import { prng } from '../../src/core/base/prng.ts'
import { actorShellContract, type Body, makeGate } from '../contract/actor-shell.ts'

/** A clock and wake-ups moved by hand, for the body that otherwise has real ones. */
class HandTime implements Clock, TimerSource {
  elapsedMs = 0
  readonly #wakes = new Map<() => void, number>()

  get armed(): number {
    return this.#wakes.size
  }

  read() {
    return { wallMs: 1_767_225_600_000 + this.elapsedMs, monoMs: this.elapsedMs }
  }

  wakeAfter(afterMs: number, wake: () => void): () => void {
    const entry = (): void => wake()
    this.#wakes.set(entry, this.elapsedMs + afterMs)
    return () => void this.#wakes.delete(entry)
  }

  async advance(ms: number, quiet: () => Promise<void>): Promise<void> {
    const targetMs = this.elapsedMs + ms
    await quiet()
    for (;;) {
      const [next] = [...this.#wakes].toSorted((a, b) => a[1] - b[1])
      if (next === undefined || next[1] > targetMs) break
      const [wake, dueMs] = next
      this.#wakes.delete(wake)
      this.elapsedMs = Math.max(this.elapsedMs, dueMs)
      wake()
      await quiet()
    }
    this.elapsedMs = Math.max(this.elapsedMs, targetMs)
  }
}

const eventLoopTurn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

function collectingLogger(events: string[]): Logger {
  const take = (event: string): void => void events.push(event)
  const logger: Logger = { debug: take, info: take, warn: take, error: take, child: () => logger }
  return logger
}

function makeNactBody(): Body & { readonly time: HandTime; readonly system: NactActorSystem } {
  const time = new HandTime()
  const ended: { error: unknown; path: string }[] = []
  const logged: string[] = []
  const system = createActorSystem({
    name: 'contract',
    clock: time,
    random: prng(1),
    log: collectingLogger(logged),
    onEndProcess: (error, path) => ended.push({ error, path }),
    timerSource: time,
  })
  const settle = async (): Promise<void> => {
    // A promise may bring a message, which may make another promise: some rounds of both.
    for (let round = 0; round < 3; round++) {
      await system.whenQuiet()
      await eventLoopTurn()
    }
    await system.whenQuiet()
  }
  return {
    system,
    time,
    settle,
    advance: ms => time.advance(ms, settle),
    spend: ms => {
      time.elapsedMs += ms
    },
    get pendingTimers() {
      return time.armed
    },
    ended,
    logged,
  }
}

actorShellContract('actor system on nact', makeNactBody)

const realTime = { clock: { read: () => ({ wallMs: Date.now(), monoMs: performance.now() }) }, random: prng(1) }

test('nothing to do: no timer is armed and no handle is held', async () => {
  const body = makeNactBody()
  const before = process.getActiveResourcesInfo().length
  for (let number = 0; number < 1_000; number++) {
    body.system.spawn<string>({ name: `a${number}`, kind: 'A', start: () => ({ receive: () => {} }) }).tell('hello')
  }
  await body.settle()
  expect(body.time.armed).toBe(0)
  expect(process.getActiveResourcesInfo().length).toBeLessThanOrEqual(before)
  await body.system.stop()
})

test('10,000 asks at once: one timer of the event loop serves them all', async () => {
  const body = makeNactBody()
  const silent = body.system.spawn<unknown>({ name: 'silent', kind: 'S', start: () => ({ receive: () => {} }) })
  const asked: Promise<unknown>[] = []
  for (let number = 0; number < 10_000; number++) {
    asked.push(body.system.ask(silent, () => number, { timeoutMs: 100 + number }).catch(() => 'no answer'))
  }
  expect(body.time.armed).toBe(1)
  await body.system.stop()
  expect(new Set(await Promise.all(asked))).toEqual(new Set(['no answer']))
})

test('timers of the event loop: a real one fires, and not before its time', async () => {
  const log = collectingLogger([])
  const system = createActorSystem({ name: 'real', ...realTime, log, onEndProcess: () => {} })
  const beganMs = performance.now()
  const firedMs = await new Promise<number>(resolve => {
    system.spawn<'due'>({
      name: 'one',
      kind: 'O',
      start: context => {
        context.startTimer('t', 5, 'due')
        return { receive: () => resolve(performance.now()) }
      },
    })
  })
  expect(firedMs - beganMs).toBeGreaterThanOrEqual(5)
  await system.stop()
})

test('two systems of one name in a process: neither hears the other', async () => {
  const heard: string[] = []
  const bodies = [makeNactBody(), makeNactBody()]
  const refs = bodies.map((body, index) =>
    body.system.spawn<string>({
      name: 'same',
      kind: 'S',
      start: () => ({ receive: message => void heard.push(`${index} ${message}`) }),
    }),
  )
  await bodies[0]!.system.stop()
  expect(refs[0]!.tell('gone')).toBe(false)
  expect(refs[1]!.tell('alive')).toBe(true)
  await bodies[1]!.settle()
  expect(heard).toEqual(['1 alive'])
  await bodies[1]!.system.stop()
})

test('10,000 busy actors below one parent: a stranger has its turn after one slice, not after all of them', async () => {
  const body = makeNactBody()
  const nest = body.system.spawnSilent('tasks')
  let handled = 0
  for (let number = 0; number < 10_000; number++) {
    const task = nest.spawn<string>({
      name: `t${number}`,
      kind: 'T',
      start: () => ({
        receive() {
          handled++
          body.spend(1)
        },
      }),
    })
    task.tell('work')
  }
  const seen: number[] = []
  const health = body.system.spawn<string>({
    name: 'health',
    kind: 'H',
    start: () => ({ receive: () => void seen.push(handled) }),
  })
  health.tell('are you well?')
  await body.settle()
  expect(handled).toBe(10_000)
  expect(seen[0]).toBeLessThanOrEqual(8)
  await body.system.stop()
})

/** Settles when the event loop has served I/O once. A message port is I/O, outside of any actor. */
function ioTurn(): Promise<void> {
  const { port1, port2 } = new MessageChannel()
  return new Promise<void>(resolve => {
    port2.once('message', () => {
      port1.close()
      resolve()
    })
    port1.postMessage('ping')
  })
}

test.each([1, 2])(
  '%i top-level actors that never come to rest: I/O of the process still has its turn',
  async players => {
    const body = makeNactBody()
    let handled = 0
    let isEnough = false
    const isUnderWay = makeGate()
    const refs: Ref<'again'>[] = []
    for (let player = 0; player < players; player++) {
      refs.push(
        body.system.spawn<'again'>({
          name: `endless${player}`,
          kind: 'E',
          start: () => ({
            receive() {
              body.spend(1)
              handled++
              if (handled === 20) isUnderWay.resolve()
              if (!isEnough && handled < 1_000_000) refs[(player + 1) % players]!.tell('again')
            },
          }),
        }),
      )
    }
    refs[0]!.tell('again')
    await isUnderWay.promise
    await ioTurn()
    isEnough = true
    expect(handled).toBeLessThan(1_000_000)
    await body.settle()
    await body.system.stop()
  },
)

test.each(['top-level actors', 'siblings'])(
  'a teller that goes on and on, and its receiver, %s: they alternate',
  async how => {
    const body = makeNactBody()
    const home = how === 'siblings' ? body.system.spawnSilent('nest') : body.system
    const taken: boolean[] = []
    const receiver = home.spawn<number>({
      name: 'receiver',
      kind: 'R',
      mailbox: { capacity: 200 },
      start: () => ({ receive: () => {} }),
    })
    const teller = home.spawn<number>({
      name: 'teller',
      kind: 'T',
      start: context => ({
        receive(left) {
          for (let number = 0; number < 100; number++) taken.push(receiver.tell(number))
          if (left > 0) context.self.tell(left - 1)
        },
      }),
    })
    await body.settle()
    teller.tell(1_000)
    await body.settle()
    expect(taken).toHaveLength(100_100)
    expect(taken).not.toContain(false)
    await body.system.stop()
  },
)

test('two messages in one batch: each has its own reading of the clock', async () => {
  const body = makeNactBody()
  const readings: number[] = []
  const ref = body.system.spawn<string>({
    name: 'one',
    kind: 'O',
    start: context => ({
      receive() {
        readings.push(context.now().monoMs)
        body.spend(1)
      },
    }),
  })
  for (const message of ['a', 'b', 'c']) ref.tell(message)
  await body.settle()
  expect(readings).toEqual([0, 1, 2])
  expect(body.system.inspection.actor('/one')?.busyMs).toBe(3)
  await body.system.stop()
})

test('a periodic timer whose actor gets no turn: one tick waits, not ten', async () => {
  const body = makeNactBody()
  const ticks: number[] = []
  body.system.spawn<'tick'>({
    name: 'one',
    kind: 'O',
    start: context => {
      context.startPeriodicTimer('t', 100, 'tick')
      return { receive: () => void ticks.push(context.now().monoMs) }
    },
  })
  await body.settle()
  // No turn of the event loop in between, so no actor runs while the time passes.
  await body.time.advance(1_000, async () => {})
  expect(body.system.inspection.actor('/one')?.mailboxDepth).toBe(1)
  await body.settle()
  expect(ticks).toEqual([1_000])
  await body.advance(100)
  expect(ticks).toEqual([1_000, 1_100])
  await body.system.stop()
})

test('a periodic timer, its actor busy for ten periods: the missed ticks are not made up for', async () => {
  const body = makeNactBody()
  const ticks: number[] = []
  const ref = body.system.spawn<'tick' | 'long'>({
    name: 'one',
    kind: 'O',
    start: context => {
      context.startPeriodicTimer('t', 100, 'tick')
      return {
        receive(message) {
          if (message === 'long') body.spend(1_050)
          else ticks.push(context.now().monoMs)
        },
      }
    },
  })
  ref.tell('long')
  await body.settle()
  for (let step = 0; step < 20; step++) await body.advance(10)
  expect(ticks).toEqual([1_050, 1_150, 1_250])
  await body.system.stop()
})

test('stuck in a long message: the age of the oldest message and the busy time show while it is stuck in a message', async () => {
  const body = makeNactBody()
  let seen: unknown
  const ref = body.system.spawn<string>({
    name: 'stuck',
    kind: 'S',
    start: () => ({
      receive(message) {
        if (message !== 'long') return
        body.spend(30_000)
        const { mailboxDepth, oldestMessageAgeMs, busyMs } = body.system.inspection.actor('/stuck')!
        seen = { mailboxDepth, oldestMessageAgeMs, busyMs }
      },
    }),
  })
  await body.settle()
  for (const message of ['long', 'behind it']) ref.tell(message)
  await body.settle()
  expect(seen).toEqual({ mailboxDepth: 1, oldestMessageAgeMs: 30_000, busyMs: 30_000 })
  await body.system.stop()
})
