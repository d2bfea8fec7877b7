/**
 * What travels, between two processes on loopback: messages of agents and of the log in our frames, one a frame and many,
 * against JSON over plain WebSockets in the same run.
 */
import { type Bench, type BenchOptions, type BenchResult, type Figure, figure, type PeerReport } from './bench.ts'
import { Child } from './log/child.ts'
import { packageVersion } from './package-version.ts'
import type { ReceiverQuestions, SenderQuestions } from './wire/ends.ts'
import { KINDS, type Kind } from './wire/messages.ts'
import type { WayName } from './wire/ways.ts'

/** Messages of one turn. */
const BATCHES = { single: 1, batched: 64 } as const
type Batch = keyof typeof BATCHES

const SCENES = KINDS.flatMap(kind => (Object.keys(BATCHES) as Batch[]).map(batch => ({ kind, batch })))

export const bench: Bench = {
  name: 'wire',
  title: 'frames between two processes: messages a second and their cost, against JSON over WebSockets',
  peers: ['json-ws'],
  plots: [
    {
      name: 'messages',
      title: 'Messages a second between two processes on loopback',
      kind: 'bars',
      points: SCENES.flatMap(({ kind, batch }) => [
        { figure: `messages-${kind}-${batch}`, series: 'Daybreak', label: `${kind}, ${batch}` },
        { figure: `json-ws-${kind}-${batch}`, series: 'JSON over ws', label: `${kind}, ${batch}` },
      ]),
    },
    {
      name: 'cpu',
      title: 'Processor time of both processes a message, µs',
      kind: 'bars',
      points: SCENES.flatMap(({ kind, batch }) => [
        { figure: `cpu-${kind}-${batch}`, series: 'Daybreak', label: `${kind}, ${batch}` },
        { figure: `json-ws-cpu-${kind}-${batch}`, series: 'JSON over ws', label: `${kind}, ${batch}` },
      ]),
    },
  ],
  run,
}

async function run(options: BenchOptions): Promise<BenchResult> {
  const hasPeer = options.peers.includes('json-ws')
  const entry = new URL('./wire/ends.js', import.meta.url)
  const sender = new Child<SenderQuestions>(entry, 'sender')
  const receiver = new Child<ReceiverQuestions>(entry, 'receiver')
  const figures: Figure[] = []
  try {
    const { url } = await receiver.ask('listen', null)
    const link = { url, sender, receiver }
    for (const { kind, batch } of SCENES) figures.push(...(await scene(link, kind, batch, options)))
    for (const { kind, batch } of SCENES) figures.push(...(await codecs(sender, kind, batch, options)))
  } finally {
    await Promise.all([sender.end(), receiver.end()])
  }
  const report: PeerReport = {
    name: 'json-ws',
    version: `ws ${packageVersion('ws')}, JSON of Node ${process.version}`,
    skipped: null,
    configuration: [
      'compression off, as for Daybreak; the same sockets, the same turns',
      'JSON.stringify and JSON.parse, bodies are not checked on arrival (Daybreak checks every one)',
      'batched: a frame a message and an array of 64 a frame are both measured; the faster counts',
      'bytes of an entry in base64, and decoded again',
    ],
  }
  return {
    figures,
    notes: [
      'status: of an agent; accept: of the log, one entry with a batch of 256 bytes; launch: of one task; each message differs from the last',
      `single: one message a turn and frame; batched: ${BATCHES.batched} in one turn`,
      'messages: from the first to the last at the receiver, one connection, one direction; cpu: of both processes together; bytes: on the socket, frame headers included',
      'status and launch go through the connection of agents and leaders, accept through the frames of the log (without its session, whose handshake is made once); codec: encoding and decoding in one process, without a socket',
      ...(hasPeer
        ? ['ratio: of the medians of one run after the other, Daybreak to JSON; ratio-cpu: JSON to Daybreak']
        : []),
    ],
    ...(hasPeer ? { peers: [report] } : {}),
  }
}

interface Link {
  readonly url: string
  readonly sender: Child<SenderQuestions>
  readonly receiver: Child<ReceiverQuestions>
}
interface Round {
  readonly perSecond: number
  readonly cpuMicros: number
  readonly bytes: number
}

const MESSAGES = { single: 30_000, batched: 192_000 } as const
const QUICK_MESSAGES = { single: 4_000, batched: 12_800 } as const

/** Those of the peer that make sense: an array of one is a frame a message with two letters more. */
function waysOf(batch: Batch, { peers }: BenchOptions): readonly WayName[] {
  if (!peers.includes('json-ws')) return ['daybreak']
  return batch === 'single' ? ['daybreak', 'json'] : ['daybreak', 'json', 'json-array']
}

async function scene(link: Link, kind: Kind, batch: Batch, options: BenchOptions): Promise<readonly Figure[]> {
  const messages = (options.quick ? QUICK_MESSAGES : MESSAGES)[batch]
  const rounds = await inTurns(waysOf(batch, options), options, way => transfer(link, way, kind, batch, messages))
  const own = rounds.get('daybreak')!
  const peer = better([...rounds].filter(([way]) => way !== 'daybreak').map(([, all]) => all))
  const name = `${kind}-${batch}`
  options.say(
    `${name}: ${[...rounds].map(([way, all]) => `${way} ${all.at(-1)!.perSecond.toFixed(0)}/s, ${all.at(-1)!.cpuMicros.toFixed(2)} µs`).join('; ')}`,
  )
  const of = (prefix: string, infix: string, all: readonly Round[]): readonly Figure[] => [
    figure(
      { name: `${prefix}${name}`, unit: 'messages/s', better: 'higher' },
      all.map(({ perSecond }) => perSecond),
    ),
    figure(
      { name: `${infix}cpu-${name}`, unit: 'µs', better: 'lower' },
      all.map(({ cpuMicros }) => cpuMicros),
    ),
    figure(
      { name: `${infix}bytes-${name}`, unit: 'bytes', better: 'lower' },
      all.map(({ bytes }) => bytes),
    ),
  ]
  if (peer === null) return of('messages-', '', own)
  return [
    ...of('messages-', '', own),
    ...of('json-ws-', 'json-ws-', peer),
    figure(
      { name: `ratio-${name}`, unit: 'ratio', better: 'higher' },
      own.map(({ perSecond }, run) => perSecond / peer[run]!.perSecond),
    ),
    figure(
      { name: `ratio-cpu-${name}`, unit: 'ratio', better: 'higher' },
      own.map(({ cpuMicros }, run) => peer[run]!.cpuMicros / cpuMicros),
    ),
  ]
}

async function transfer(link: Link, way: WayName, kind: Kind, batch: Batch, messages: number): Promise<Round> {
  const [received, sent] = await Promise.all([
    link.receiver.ask('receive', { messages }),
    link.sender.ask('send', { url: link.url, way, kind, messages, batch: BATCHES[batch] }),
  ])
  return {
    perSecond: messages / received.seconds,
    cpuMicros: (received.cpuMicros + sent.cpuMicros) / messages,
    bytes: received.bytes / messages,
  }
}

/** The variant with the higher median counts. */
function better(variants: readonly (readonly Round[])[]): readonly Round[] | null {
  const median = (all: readonly Round[]): number =>
    figure(
      { name: 'rate', unit: 'messages/s', better: 'higher' },
      all.map(({ perSecond }) => perSecond),
    ).median
  return variants.reduce<readonly Round[] | null>(
    (best, one) => (best === null || median(one) > median(best) ? one : best),
    null,
  )
}

async function codecs(
  sender: Child<SenderQuestions>,
  kind: Kind,
  batch: Batch,
  options: BenchOptions,
): Promise<readonly Figure[]> {
  const messages = options.quick ? 6_400 : 64_000
  const ask = async (way: WayName): Promise<number> =>
    (await sender.ask('codec', { way, kind, messages, batch: BATCHES[batch] })).micros
  const rounds = await inTurns(waysOf(batch, options), options, ask)
  const spec = { unit: 'µs', better: 'lower' } as const
  const own = figure({ name: `codec-${kind}-${batch}`, ...spec }, rounds.get('daybreak')!)
  const others = [...rounds].filter(([way]) => way !== 'daybreak').map(([, values]) => values)
  if (others.length === 0) return [own]
  const best = others
    .map(values => figure({ name: `json-ws-codec-${kind}-${batch}`, ...spec }, values))
    .reduce((least, one) => (one.median < least.median ? one : least))
  return [own, best]
}

/** One run of each after the other, the first of each to warm up. */
async function inTurns<T>(
  ways: readonly WayName[],
  { runs }: BenchOptions,
  once: (way: WayName) => Promise<T>,
): Promise<ReadonlyMap<WayName, readonly T[]>> {
  const all = new Map<WayName, T[]>(ways.map(way => [way, []]))
  for (let run = -1; run < runs; run++) {
    for (const way of ways) {
      const value = await once(way)
      if (run >= 0) all.get(way)!.push(value)
    }
  }
  return all
}
