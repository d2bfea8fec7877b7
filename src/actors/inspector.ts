/**
 * The Inspector merges the actors of all threads of a node into one tree. It asks the inspection of each thread, never
 * an actor, so a stuck actor still shows; a thread that does not answer shows as one entry that says so. Costs nothing
 * while nobody asks.
 *
 * Shape: paths begin with the thread (`/scheduler/leader/…`, `/log/replica`), sorted; parents come before children.
 */
import { compareIds } from '../core/base/ids.ts'
import type { ActorReport, ActorSpec, Behaviour, Context, Ref } from './actor.ts'

export interface InspectedThread {
  readonly name: string
  actors(): Promise<readonly ActorReport[]>
}

/** An actor and the thread it lives in. `mute`: the thread did not answer, so nothing is known below it. */
export interface InspectedActor extends Omit<ActorReport, 'status'> {
  readonly thread: string
  readonly status: ActorReport['status'] | 'mute'
}

export interface InspectorReport {
  readonly node: string
  /** Wall clock, ms since the epoch. */
  readonly takenAt: number
  readonly actors: readonly InspectedActor[]
}

export interface Take {
  readonly type: 'take'
  readonly replyTo: Ref<InspectorReport>
}
interface Seen {
  readonly type: 'seen'
  readonly round: number
  readonly thread: string
  readonly actors: readonly ActorReport[] | { readonly trouble: string }
}
interface Late {
  readonly type: 'late'
  readonly round: number
}
export type Command = Take | Seen | Late

export interface InspectorOptions {
  readonly node: string
  readonly threads: readonly InspectedThread[]
  /** A thread that has not answered by then shows as mute. Default 1,000. */
  readonly waitMsMax?: number
}

const WAIT_MS_MAX = 1000

export function inspectorSpec(options: InspectorOptions): ActorSpec<Command> {
  return { name: 'inspector', kind: 'Inspector', start: context => inspector(context, options) }
}

interface Round {
  readonly waiting: Ref<InspectorReport>[]
  readonly seen: Map<string, Seen['actors']>
}

function inspector(
  context: Context<Command>,
  { node, threads, waitMsMax = WAIT_MS_MAX }: InspectorOptions,
): Behaviour<Command> {
  /** Who asks while a round runs gets the answer of that round. */
  let round: Round | null = null
  let rounds = 0
  const start = (first: Ref<InspectorReport>): void => {
    rounds += 1
    const number = rounds
    round = { waiting: [first], seen: new Map() }
    for (const thread of threads) {
      context.pipe(thread.actors(), end => ({
        type: 'seen',
        round: number,
        thread: thread.name,
        actors: end.ok ? end.value : { trouble: end.cause instanceof Error ? end.cause.message : String(end.cause) },
      }))
    }
    context.startTimer('late', waitMsMax, { type: 'late', round: number })
  }
  const finish = ({ waiting, seen }: Round): void => {
    round = null
    context.cancelTimer('late')
    const mute = { trouble: `no answer within ${waitMsMax} ms` }
    const report = mergeThreads(
      node,
      context.now().wallMs,
      threads.map(({ name }) => [name, seen.get(name) ?? mute]),
    )
    for (const replyTo of waiting) replyTo.tell(report)
  }
  return {
    receive(message) {
      if (message.type === 'take') {
        if (round === null) start(message.replyTo)
        else round.waiting.push(message.replyTo)
        return
      }
      if (round === null || message.round !== rounds) return
      if (message.type === 'seen') round.seen.set(message.thread, message.actors)
      if (message.type === 'late' || round.seen.size === threads.length) finish(round)
    },
    summary: () => ({ rounds, waiting: round?.waiting.length ?? 0 }),
  }
}

/** Each thread becomes an actor of its own above its actors. */
export function mergeThreads(
  node: string,
  takenAt: number,
  threads: readonly (readonly [name: string, Seen['actors']])[],
): InspectorReport {
  const actors: InspectedActor[] = []
  for (const [thread, found] of threads) {
    const root = `/${thread}`
    const known = 'trouble' in found ? [] : found
    const top = known.filter(actor => actor.parent === null || actor.parent === '/')
    actors.push(threadEntry(thread, top.length, 'trouble' in found ? found.trouble : null, takenAt))
    const below = (path: string): string => (path === '/' ? root : root + path)
    for (const actor of known) {
      if (actor.path === '/') continue
      actors.push({ ...actor, thread, path: below(actor.path), parent: below(actor.parent ?? '/') })
    }
  }
  return { node, takenAt, actors: actors.sort((a, b) => compareIds(pathOrder(a.path), pathOrder(b.path))) }
}

/** Sorts `/a/b` before `/a-c`: a parent's children follow it. */
const pathOrder = (path: string): string => path.replaceAll('/', '\u0001')

function threadEntry(thread: string, children: number, trouble: string | null, takenAt: number): InspectedActor {
  return {
    path: `/${thread}`,
    parent: null,
    thread,
    kind: 'Thread',
    status: trouble === null ? 'running' : 'mute',
    mailboxDepth: 0,
    mailboxMax: 0,
    oldestMessageAgeMs: 0,
    processed: 0,
    failed: 0,
    refused: 0,
    restarts: 0,
    busyMs: 0,
    lastError: trouble === null ? null : { atMs: takenAt, message: trouble, stack: '', messageType: '' },
    stateSummary: {},
    startedAtMs: 0,
    lastMessageAtMs: null,
    children,
  }
}
