/**
 * Health looks at the node once per interval and leaves a verdict on a board that the HTTP edge reads without asking it:
 * so `/health` answers when this actor itself is stuck, and a verdict that has grown stale counts as sick. What is seen
 * comes through ports that answer with promises; one that does not answer is itself a finding, never a wait.
 *
 * Nobody talks to Health but its own timer and ports. What counts as sick is decided in core/health/verdict.ts.
 */
import {
  type DiskSample,
  type HealthLimits,
  healthReasons,
  type LogSample,
  type ThreadSample,
} from '../core/health/verdict.ts'
import type { ActorSpec, Behaviour, Context } from './actor.ts'
import type { Logger, Metrics } from './ports.ts'

/** Where the verdict lies. `reasons` empty means healthy. */
export interface HealthBoard {
  verdict: { readonly reasons: readonly string[]; readonly atMonoMs: number } | null
  /** A verdict older than this is not believed. */
  readonly staleMsMax: number
  /** When the board was made: until the first verdict the node counts as starting, which is not healthy yet. */
  readonly madeAtMonoMs: number
}

/** One thread of the node, as Health sees it. */
export interface ThreadProbe {
  readonly name: string
  /**
   * Lag since the last look, measured inside the thread; 0 for threads that only show it by answering late. `oldest`:
   * the message that has waited longest in any of its mailboxes. A rejection means that the thread has ended.
   */
  look(): Promise<{ readonly lagMs: number; readonly oldest: { readonly path: string; readonly ageMs: number } | null }>
}

export interface HealthPorts {
  readonly threads: readonly ThreadProbe[]
  /** Null in a process without a log. */
  readonly logStatus: (() => Promise<LogSample>) | null
  readonly disks: readonly { readonly path: string; freeBytes(): Promise<number> }[]
  readonly metrics: Metrics
}

export interface HealthOptions {
  /** ms. Default 1,000. Looking more rarely by itself when a look is expensive (many actors). */
  readonly intervalMs?: number
  readonly limits: HealthLimits
  readonly board: HealthBoard
  readonly ports: HealthPorts
}

export type Command =
  | { readonly type: 'look' }
  | { readonly type: 'threadSeen'; readonly name: string; readonly sample: Omit<ThreadSample, 'name'> }
  | { readonly type: 'logSeen'; readonly sample: LogSample }
  | { readonly type: 'diskSeen'; readonly sample: DiskSample }

const INTERVAL_MS = 1000
/** Of the time between two looks at a thread, at most one part in this many is spent looking, … */
const LOOK_SHARE = 200
/** … but it is looked at this often even when it has very many actors. */
const LOOK_PAUSE_MS_MAX = 5000

export function healthBoard(nowMonoMs: number, intervalMs = INTERVAL_MS): HealthBoard {
  return { verdict: null, staleMsMax: Math.max(5 * intervalMs, 10_000), madeAtMonoMs: nowMonoMs }
}

/** For the HTTP edge: what is wrong now, one sentence each; empty means healthy. */
export function healthNow(board: HealthBoard, nowMonoMs: number): readonly string[] {
  const { verdict } = board
  if (verdict === null) return ['starting: the node has not looked at itself yet']
  const ageMs = nowMonoMs - verdict.atMonoMs
  if (ageMs <= board.staleMsMax) return verdict.reasons
  return [`health not watched: the last look was ${(ageMs / 1000).toFixed(1)} s ago`, ...verdict.reasons]
}

export function healthSpec(options: HealthOptions): ActorSpec<Command> {
  return { name: 'health', kind: 'Health', start: context => health(context, options) }
}

function health(
  context: Context<Command>,
  { intervalMs = INTERVAL_MS, limits, board, ports }: HealthOptions,
): Behaviour<Command> {
  const threads = new Map<string, ThreadSample>()
  const disks = new Map<string, DiskSample>()
  /** Since when each port owes an answer, monotonic ms. */
  const owed = new Map<string, number>()
  /** By thread, monotonic ms. Looking through the mailboxes of a hundred thousand actors takes its time. */
  const nextLookMs = new Map<string, number>()
  let log: LogSample | null = null
  let lastReasons: readonly string[] = []

  const ask = <T>(
    name: string,
    question: () => Promise<T>,
    seen: (answer: T) => Command,
    failed: (why: string) => Command,
  ): void => {
    if (owed.has(name)) return
    owed.set(name, context.now().monoMs)
    context.pipe(question(), end =>
      end.ok ? seen(end.value) : failed(end.cause instanceof Error ? end.cause.message : String(end.cause)),
    )
  }
  const look = (): void => {
    for (const thread of ports.threads) {
      if (context.now().monoMs < (nextLookMs.get(thread.name) ?? 0)) continue
      ask(
        `thread ${thread.name}`,
        () => thread.look(),
        ({ lagMs, oldest }) => ({
          type: 'threadSeen',
          name: thread.name,
          sample: { lagMs, oldestMessage: oldest, ended: null },
        }),
        why => ({ type: 'threadSeen', name: thread.name, sample: { lagMs: 0, oldestMessage: null, ended: why } }),
      )
    }
    if (ports.logStatus !== null) {
      ask(
        'log',
        ports.logStatus,
        sample => ({ type: 'logSeen', sample }),
        why => ({
          type: 'logSeen',
          sample: { status: 'VOTING', notWritable: `the log does not answer: ${why}` },
        }),
      )
    }
    for (const disk of ports.disks) {
      ask(
        `disk ${disk.path}`,
        () => disk.freeBytes(),
        freeBytes => ({ type: 'diskSeen', sample: { path: disk.path, freeBytes, trouble: null } }),
        trouble => ({ type: 'diskSeen', sample: { path: disk.path, freeBytes: null, trouble } }),
      )
    }
  }
  /** ms since a port was asked in vain. */
  const silentMs = (name: string): number => {
    const since = owed.get(name)
    return since === undefined ? 0 : context.now().monoMs - since
  }
  const publish = (): void => {
    const seen = ports.threads.map(({ name }): ThreadSample => {
      const last = threads.get(name) ?? { name, lagMs: 0, oldestMessage: null, ended: null }
      return { ...last, lagMs: Math.max(last.lagMs, silentMs(`thread ${name}`)) }
    })
    const logSilentMs = silentMs('log')
    const logSample: LogSample | null =
      logSilentMs > limits.eventLoopLagMsMax
        ? { status: 'VOTING', notWritable: `the log has not answered for ${(logSilentMs / 1000).toFixed(1)} s` }
        : log
    const reasons = healthReasons({ threads: seen, log: logSample, disks: [...disks.values()] }, limits)
    board.verdict = { reasons, atMonoMs: context.now().monoMs }
    ports.metrics.gauge('health_ok', reasons.length === 0 ? 1 : 0)
    for (const { name, lagMs } of seen) ports.metrics.gauge('event_loop_lag_seconds', lagMs / 1000, { thread: name })
    tellChange(context.log, lastReasons, reasons)
    lastReasons = reasons
  }

  look()
  context.startTimer('look', intervalMs, { type: 'look' })
  return {
    receive(message) {
      switch (message.type) {
        case 'look':
          publish()
          look()
          context.startTimer('look', intervalMs, { type: 'look' })
          return
        case 'threadSeen': {
          const tookMs = silentMs(`thread ${message.name}`)
          owed.delete(`thread ${message.name}`)
          nextLookMs.set(message.name, context.now().monoMs + Math.min(tookMs * LOOK_SHARE, LOOK_PAUSE_MS_MAX))
          threads.set(message.name, { name: message.name, ...message.sample })
          break
        }
        case 'logSeen':
          owed.delete('log')
          log = message.sample
          break
        case 'diskSeen':
          owed.delete(`disk ${message.sample.path}`)
          disks.set(message.sample.path, message.sample)
          break
      }
      // The first verdict is due as soon as everything has answered once; later ones keep to the timer.
      if (board.verdict === null && owed.size === 0) publish()
    },
    summary: () => ({
      healthy: lastReasons.length === 0,
      reasons: lastReasons.join('; '),
      owed: [...owed.keys()].join(', '),
    }),
  }
}

function tellChange(log: Logger, before: readonly string[], now: readonly string[]): void {
  if (before.length === 0 && now.length > 0) log.warn('node-sick', { reasons: now })
  else if (before.length > 0 && now.length === 0) log.info('node-healthy')
}
