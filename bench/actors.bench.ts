/**
 * What actors cost: messages per second, a round trip between two actors against bare nact in the same run, memory of
 * an idle actor, and what children cost their parent.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { dispatch, spawn as spawnNact, start as startNact, stop as stopNact } from 'nact'
import type { ActorSpec, ActorSystem, Ref } from '../src/actors/actor.ts'
import { silentLogger } from '../src/actors/ports.ts'
import { createActorSystem, type NactActorSystem } from '../src/actors/shell.ts'
import { prng } from '../src/core/base/prng.ts'
import { type Bench, type BenchOptions, type BenchResult, type Figure, figure, measure } from './bench.ts'
import { packageVersion } from './package-version.ts'

export const bench: Bench = {
  name: 'actors',
  title: 'the actor shell: local messages, round trips against bare nact, memory, children',
  peers: ['nact'],
  plots: [
    {
      name: 'messages',
      title: 'Messages a second between actors',
      kind: 'bars',
      points: [
        { figure: 'batched', series: 'Daybreak', label: 'many, one receiver' },
        { figure: 'batched-bare-nact', series: 'nact', label: 'many, one receiver' },
        { figure: 'ping-pong-shell', series: 'Daybreak', label: 'two in turns' },
        { figure: 'ping-pong-bare-nact', series: 'nact', label: 'two in turns' },
        { figure: 'from-outside-shell', series: 'Daybreak', label: 'from outside' },
        { figure: 'from-outside-bare-nact', series: 'nact', label: 'from outside' },
      ],
    },
    {
      name: 'memory',
      title: 'Heap an idle actor, bytes',
      kind: 'bars',
      points: [
        { figure: 'idle-actor', series: 'Daybreak', label: 'never spoken to' },
        { figure: 'idle-actor-bare-nact', series: 'nact', label: 'never spoken to' },
      ],
    },
  ],
  run,
}

async function run(options: BenchOptions): Promise<BenchResult> {
  const figures: Figure[] = []
  const messages = options.quick ? 2_000_000 : 5_000_000
  const trips = options.quick ? 20_000 : 200_000
  const idle = options.quick ? 20_000 : 100_000
  const children = 100_000

  options.say(`${messages} messages in batches, one sender and one receiver`)
  const perSecond = { unit: 'messages/s', better: 'higher' } as const
  figures.push(
    ...(await batches(options, messages)),
    await measure({ name: 'batched-own-lanes', ...perSecond }, options, () => withSystem(s => fanIn(s, messages))),
  )

  options.say(`${trips} round trips, bare nact and shell in turns`)
  figures.push(...(await pingPong(options, trips)))

  options.say(`${idle} idle actors`)
  figures.push(...(await memory(options, idle)))

  options.say(`parents of ${children} children`)
  figures.push(...(await parents(options, children)))

  return {
    figures,
    peers: [
      {
        name: 'nact',
        version: `nact ${packageVersion('nact')}`,
        skipped: null,
        configuration: [
          'the package that the shell itself is built on, as its manual shows it: start, spawn, dispatch',
          'functions that keep no state and answer no promise, its fastest; nothing is monitored or persisted',
        ],
      },
    ],
    notes: [
      'batched: a driver tells 1,000 messages per turn to a receiver beside it, bare nact the same with a hundredth of the messages, in turns; batched-own-lanes: ten drivers and the receiver, each a top-level actor.',
      'ping-pong: two top-level actors, one message in flight; each ratio is of two runs one right after the other. The shell takes a woken actor along in the same turn of nact while the slice lasts, so most messages need no turn of their own.',
      'from-outside: each message is told from outside of any turn and handled before the next, so each does cost a turn of nact; bare nact is driven the same way.',
      'memory: heap after a full collection, per actor under a nest; awake = after it has handled a message. The spec object and closures of the actor (about 200 bytes) are included.',
      `parents: one message in flight to a parent of ${children} children, each handled before the next is told; bare nact with a tenth of the children, scaled.`,
    ],
  }
}

const realClock = {
  read: () => ({ wallMs: Date.now(), monoMs: performance.now() }),
  monoMs: () => performance.now(),
}

async function withSystem(work: (system: NactActorSystem) => Promise<number>): Promise<number> {
  const system = createActorSystem({
    name: 'bench',
    clock: realClock,
    random: prng(1),
    log: silentLogger,
    onEndProcess: error => {
      throw error
    },
  })
  const value = await work(system)
  await system.stop()
  return value
}

/** Tells `BATCH` messages, then itself to go on, so that the receiver drains in between and nothing is refused. */
const BATCH = 1_000

function driver(name: string, target: Ref<Job>, messages: number): ActorSpec<'go'> {
  return {
    name,
    kind: 'Driver',
    supervision: { type: 'endProcess' },
    start(context) {
      let left = messages
      return {
        receive() {
          for (let number = 0; number < BATCH && left > 0; number++) {
            left--
            if (!target.tell({ type: 'job', number: left })) throw new Error('the receiver has fallen behind')
          }
          if (left > 0) context.self.tell('go')
        },
      }
    },
  }
}

interface Job {
  readonly type: 'job'
  readonly number: number
}

function counter(total: number, done: () => void): ActorSpec<Job> {
  let sum = 0
  let seen = 0
  return {
    name: 'counter',
    kind: 'Counter',
    mailbox: { capacity: 1_000_000 },
    start: () => ({
      receive(job) {
        sum += job.number
        seen++
        if (seen === total) done()
      },
      summary: () => ({ sum }),
    }),
  }
}

function timed(total: number, begin: (done: () => void) => void): Promise<number> {
  return new Promise(resolve => {
    const beganMs = performance.now()
    begin(() => resolve(total / ((performance.now() - beganMs) / 1_000)))
  })
}

function batched(system: ActorSystem, messages: number): Promise<number> {
  const nest = system.spawnSilent('nest')
  return timed(messages, done => {
    const target = nest.spawn(counter(messages, done))
    nest.spawn(driver('driver', target, messages)).tell('go')
  })
}

/** Shell and bare nact in turns. */
async function batches(options: BenchOptions, messages: number): Promise<readonly Figure[]> {
  const shell: number[] = []
  const bare: number[] = []
  for (let round = 0; round <= options.runs; round++) {
    const values = [await withSystem(s => batched(s, messages)), await bareBatched(messages / 100)] as const
    if (round === 0) continue
    shell.push(values[0])
    bare.push(values[1])
  }
  const perSecond = { unit: 'messages/s', better: 'higher' } as const
  return [
    figure({ name: 'batched', ...perSecond, target: 10_000_000 }, shell),
    figure({ name: 'batched-bare-nact', ...perSecond }, bare),
    figure(
      { name: 'batched-ratio', unit: 'ratio', better: 'higher' },
      shell.map((value, round) => value / bare[round]!),
    ),
  ]
}

function bareBatched(messages: number): Promise<number> {
  return timed(messages, done => {
    const system = startNact()
    let seen = 0
    const target = spawnNact(
      system,
      (_state: undefined, _job: Job) => {
        if (++seen === messages) {
          stopNact(system)
          done()
        }
        return undefined
      },
      'counter',
    )
    let left = messages
    const driver: ReturnType<typeof spawnNact> = spawnNact(
      system,
      () => {
        for (let number = 0; number < BATCH && left > 0; number++) dispatch(target, { type: 'job', number: left-- })
        if (left > 0) dispatch(driver, 'go')
        return undefined
      },
      'driver',
    )
    dispatch(driver, 'go')
  })
}

function fanIn(system: ActorSystem, messages: number): Promise<number> {
  return timed(messages, done => {
    const target = system.spawn(counter(messages, done))
    for (let number = 0; number < 10; number++) system.spawn(driver(`d${number}`, target, messages / 10)).tell('go')
  })
}

// ---- Round trips --------------------------------------------------------------------------------------------------

async function pingPong(options: BenchOptions, trips: number): Promise<readonly Figure[]> {
  const bare: number[] = []
  const shell: number[] = []
  const bareOutside: number[] = []
  const shellOutside: number[] = []
  for (let round = 0; round <= options.runs; round++) {
    const values = [
      await barePingPong(trips),
      await withSystem(system => shellPingPong(system, trips)),
      await bareFromOutside(trips),
      await withSystem(system => shellFromOutside(system, trips)),
    ] as const
    if (round === 0) continue
    bare.push(values[0])
    shell.push(values[1])
    bareOutside.push(values[2])
    shellOutside.push(values[3])
  }
  const perSecond = { unit: 'messages/s', better: 'higher' } as const
  const ratios = (of: readonly number[], to: readonly number[]) => of.map((value, round) => value / to[round]!)
  return [
    figure({ name: 'ping-pong-bare-nact', ...perSecond }, bare),
    figure({ name: 'ping-pong-shell', ...perSecond }, shell),
    figure({ name: 'ping-pong-ratio', unit: 'ratio', better: 'higher', target: 0.8 }, ratios(shell, bare)),
    figure({ name: 'from-outside-bare-nact', ...perSecond }, bareOutside),
    figure({ name: 'from-outside-shell', ...perSecond }, shellOutside),
    figure(
      { name: 'from-outside-ratio', unit: 'ratio', better: 'higher', target: 0.8 },
      ratios(shellOutside, bareOutside),
    ),
  ]
}

function barePingPong(trips: number): Promise<number> {
  return timed(2 * trips, done => {
    const system = startNact()
    const refs: ReturnType<typeof player>[] = []
    const player = (name: string, other: number) =>
      spawnNact(
        system,
        (_state: undefined, left: number) => {
          if (left > 0) dispatch(refs[other]!, left - 1)
          else {
            stopNact(system)
            done()
          }
          return undefined
        },
        name,
      )
    refs.push(player('ping', 1), player('pong', 0))
    dispatch(refs[0]!, 2 * trips)
  })
}

function shellPingPong(home: ActorSystem, trips: number): Promise<number> {
  return timed(2 * trips, done => {
    const refs: Ref<number>[] = []
    const player = (name: string, other: number): Ref<number> =>
      home.spawn<number>({
        name,
        kind: 'Player',
        start: () => ({
          receive(left) {
            if (left > 0) refs[other]!.tell(left - 1)
            else done()
          },
        }),
      })
    refs.push(player('ping', 1), player('pong', 0))
    refs[0]!.tell(2 * trips)
  })
}

/** One message at a time, told by a promise: the way of I/O into an actor. */
async function oneAtATime(messages: number, tell: (done: () => void) => void): Promise<number> {
  const beganMs = performance.now()
  for (let number = 0; number < messages; number++) await new Promise<void>(resolve => tell(resolve))
  return messages / ((performance.now() - beganMs) / 1_000)
}

async function bareFromOutside(messages: number): Promise<number> {
  const system = startNact()
  const ref = spawnNact(system, (_state: undefined, done: () => void) => done() as undefined, 'one')
  const value = await oneAtATime(messages, done => dispatch(ref, done))
  stopNact(system)
  return value
}

async function shellFromOutside(system: ActorSystem, messages: number): Promise<number> {
  const ref = system.spawn<() => void>({ name: 'one', kind: 'One', start: () => ({ receive: done => done() }) })
  return oneAtATime(messages, done => ref.tell(done))
}

// ---- Memory -------------------------------------------------------------------------------------------------------

/** A full collection on demand, without asking for a flag on the command line. */
function collector(): () => void {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
}

function heapBytes(collect: () => void): number {
  collect()
  collect()
  return process.memoryUsage().heapUsed
}

async function memory(options: BenchOptions, actors: number): Promise<readonly Figure[]> {
  const collect = collector()
  const idle: number[] = []
  const awake: number[] = []
  const bare: number[] = []
  for (let round = 0; round < options.runs; round++) {
    await withSystem(async system => {
      const nest = system.spawnSilent('nest')
      await system.whenQuiet()
      const before = heapBytes(collect)
      const refs = spawnMany(nest, actors)
      await system.whenQuiet()
      idle.push((heapBytes(collect) - before) / actors)
      for (const ref of refs) ref.tell('hello')
      await system.whenQuiet()
      awake.push((heapBytes(collect) - before) / actors)
      return refs.length
    })
    const system = startNact()
    const before = heapBytes(collect)
    const refs = Array.from({ length: actors }, (_, number) => spawnNact(system, () => undefined, `c${number}`))
    bare.push((heapBytes(collect) - before) / refs.length)
    stopNact(system)
  }
  const bytes = { unit: 'bytes', better: 'lower' } as const
  return [
    figure({ name: 'idle-actor', ...bytes, target: 1_200 }, idle),
    figure({ name: 'idle-actor-awake', ...bytes, target: 1_200 }, awake),
    figure({ name: 'idle-actor-bare-nact', ...bytes }, bare),
  ]
}

function spawnMany(home: Pick<ActorSystem, 'spawn'>, actors: number): readonly Ref<string>[] {
  return Array.from({ length: actors }, (_, number) =>
    home.spawn<string>({ name: `c${number}`, kind: 'Idle', start: () => ({ receive: () => {} }) }),
  )
}

// ---- Children -----------------------------------------------------------------------------------------------------

async function parents(options: BenchOptions, children: number): Promise<readonly Figure[]> {
  const micros = { unit: 'µs', better: 'lower' } as const
  const messages = options.quick ? 2_000 : 20_000
  const bareChildren = children / 10
  return [
    await measure({ name: 'message-to-parent-of-none', ...micros }, options, () =>
      withSystem(s => parent(s, 0, messages)),
    ),
    await measure({ name: 'message-to-parent-of-100000', ...micros, target: 50 }, options, () =>
      withSystem(s => parent(s, children, messages)),
    ),
    await measure({ name: 'message-below-nest-of-100000', ...micros, target: 50 }, options, () =>
      withSystem(s => belowNest(s, children, messages)),
    ),
    await measure({ name: 'bare-nact-parent-of-100000', ...micros }, { ...options, runs: 3 }, async () => {
      return (await bareParent(bareChildren, 20)) * (children / bareChildren)
    }),
  ]
}

/** Microseconds per message when each is handled before the next is told. */
async function oneByOne(
  system: NactActorSystem,
  messages: number,
  next: (number: number) => Ref<string>,
): Promise<number> {
  await system.whenQuiet()
  const beganMs = performance.now()
  for (let number = 0; number < messages; number++) {
    next(number).tell('hello')
    await system.whenQuiet()
  }
  return ((performance.now() - beganMs) * 1_000) / messages
}

function parent(system: NactActorSystem, children: number, messages: number): Promise<number> {
  const ref = system.spawn<string>({
    name: 'parent',
    kind: 'Parent',
    start: context => {
      spawnMany(context, children)
      return { receive: () => {} }
    },
  })
  return oneByOne(system, messages, () => ref)
}

function belowNest(system: NactActorSystem, children: number, messages: number): Promise<number> {
  const refs = spawnMany(system.spawnSilent('nest'), children)
  return oneByOne(system, messages, number => refs[(number * 7_919) % refs.length]!)
}

function bareParent(children: number, messages: number): Promise<number> {
  return new Promise(resolve => {
    const system = startNact()
    let beganMs = 0
    const ref: ReturnType<typeof spawnNact> = spawnNact(
      system,
      (_state: undefined, left: number) => {
        if (left > 0) dispatch(ref, left - 1)
        else {
          resolve(((performance.now() - beganMs) * 1_000) / messages)
          stopNact(system)
        }
        return undefined
      },
      'parent',
    )
    for (let number = 0; number < children; number++) spawnNact(ref, () => undefined, `c${number}`)
    beganMs = performance.now()
    dispatch(ref, messages)
  })
}
