/**
 * What an actor is, for whoever writes one. Two bodies run these: the one on nact (`shell.ts`) and the one on a seeded
 * scheduler with a virtual clock (`sim-shell.ts`); the same contract suite holds for both.
 *
 * An actor handles one message at a time and never awaits inside `receive`: waiting is a state, and answers come as
 * messages. It owns its private state; cluster state belongs to the ledger and is read through its view.
 */
import type { Prng } from '../core/base/prng.ts'
import type { Now } from '../core/base/time.ts'
import type { Logger } from './ports.ts'

/** The address of an actor. Plain to hold and compare; only valid inside its process. */
export interface Ref<M> {
  /** `/leader/tasks/shard-3/www-data-devel-hello-0-…`; unique among living actors. */
  readonly path: string
  /**
   * Queues a message. False when it was not taken: the mailbox is full under the `refuse` policy, or the actor is gone
   * (then the message is a dead letter).
   */
  tell(message: M): boolean
}

/** A ref that may be told a subtype too: `Ref<Reply>` accepts every member of the union. */
// biome-ignore lint/suspicious/noExplicitAny: the registry of actors cannot know every protocol
export type AnyRef = Ref<any>

export interface Mailbox<M> {
  /** Messages, at least 1. Default 10,000. */
  readonly capacity: number
  /**
   * `refuse`: `tell` answers false and `onRefused` may answer the sender. `dropOldest`: only where the protocol says
   * that a newer message replaces an older one. Default `refuse`.
   */
  readonly overflow?: 'refuse' | 'dropOldest'
  readonly onRefused?: (message: M) => void
}

export type Supervision =
  /** Made anew after `backoffMs` (doubling to `backoffMsMax`); past `limit` restarts within `withinMs` it escalates. */
  | {
      readonly type: 'restart'
      readonly backoffMs: number
      readonly backoffMsMax: number
      readonly limit: number
      readonly withinMs: number
    }
  /** The actor stops; its parent is told through watches only. */
  | { readonly type: 'stop' }
  /** The failure counts as one of the parent, whose own supervision decides. */
  | { readonly type: 'escalate' }
  /** The process ends with the exit status for a bug. For actors without which the node must not go on. */
  | { readonly type: 'endProcess' }

export interface ActorSpec<M> {
  /** One path element: `[A-Za-z0-9_.~-]+`. Always given: no actor is anonymous. */
  readonly name: string
  /** What kind of actor it is, for the inspector: `OfferBroker`. */
  readonly kind: string
  /** Makes the behaviour: at the first start and again after every restart. A throw here counts as a failure. */
  readonly start: (context: Context<M>) => Behaviour<M>
  readonly mailbox?: Mailbox<M>
  /** Default: restart with back-off 100 ms to 10 s, at most 10 times within a minute, then escalate. */
  readonly supervision?: Supervision
  /** Longest time one drain of the mailbox may take before the others have their turn. Default 4 ms. */
  readonly sliceMsMax?: number
}

export interface Behaviour<M> {
  /** Never awaits. A throw is a bug: the supervision of the spec decides. */
  receive(message: M): void
  /**
   * After all children have stopped, before the actor is gone; also before a restart. A promise is waited for, at most
   * 10 s. Messages still queued become dead letters.
   */
  stopping?(reason: 'stopped' | 'restarting'): void | Promise<void>
  /** For the inspector: what the state is, in a few plain values. Called only while somebody looks; at most 2 KB. */
  summary?(): Readonly<Record<string, string | number | boolean | null>>
}

export interface Context<M> {
  readonly self: Ref<M>
  readonly system: ActorSystem
  readonly log: Logger
  /** One reading of both clocks; the same during one message. */
  now(): Now
  readonly random: Prng
  /** The name must be free among the living children. */
  spawn<C>(spec: ActorSpec<C>): Ref<C>
  /** A parent that takes no messages and only holds children; any number of them is cheap. */
  spawnSilent(name: string): Nest
  child(name: string): AnyRef | undefined
  /** Leaves first. Stopping oneself ends after the current message. */
  stop(ref: AnyRef): void
  /** `message` is delivered once when `ref` is gone (at once if it is already). Forgotten when the watcher restarts. */
  watch(ref: AnyRef, message: M): void
  unwatch(ref: AnyRef): void
  /** One timer per key: starting it again replaces it. Its message goes through the mailbox. Gone at restart and stop. */
  startTimer(key: string, afterMs: number, message: M): void
  startPeriodicTimer(key: string, everyMs: number, message: M): void
  cancelTimer(key: string): void
  /**
   * Asks another actor; the answer comes back as a message of one's own through `adapt`. `null` stands for: no answer
   * within the time (it may still have worked).
   */
  ask<Q, A>(ref: Ref<Q>, question: (replyTo: Ref<A>) => Q, options: AskOptions, adapt: (answer: A | null) => M): void
  /** Brings the end of a promise back as a message; the only way to wait for a port. */
  pipe<T>(promise: Promise<T>, settled: (result: { ok: true; value: T } | { ok: false; cause: unknown }) => M): void
}

export interface Nest {
  readonly path: string
  spawn<C>(spec: ActorSpec<C>): Ref<C>
  child(name: string): AnyRef | undefined
  readonly size: number
}

export interface AskOptions {
  readonly timeoutMs: number
}

export interface ActorSystem {
  readonly name: string
  spawn<M>(spec: ActorSpec<M>): Ref<M>
  spawnSilent(name: string): Nest
  stopActor(ref: AnyRef): Promise<void>
  /** For edges that live outside actors (an HTTP handler). Rejects with AskTimeout or ActorGone. */
  ask<Q, A>(ref: Ref<Q>, question: (replyTo: Ref<A>) => Q, options: AskOptions): Promise<A>
  /** A ref that hands every message to a function at once: how an edge is told things. */
  function<M>(name: string, receive: (message: M) => void): Ref<M>
  readonly inspection: Inspection
  /** Leaves first, top-level actors in the reverse order of their start. */
  stop(): Promise<void>
}

export class AskTimeout extends Error {
  override readonly name = 'AskTimeout'
}
export class ActorGone extends Error {
  override readonly name = 'ActorGone'
}

/** Reads for the inspector. Never go through the mailbox of the inspected actor: a stuck one must still show. */
export interface Inspection {
  actors(): readonly ActorReport[]
  actor(path: string): ActorReport | undefined
  /** What has waited longest in any mailbox; null when nothing waits. Reports nothing else, so it is cheap at any number of actors. */
  oldestMessage(): { readonly path: string; readonly ageMs: number } | null
  /** The newest last; at most 100 kept. */
  deadLetters(): readonly { readonly path: string; readonly messageType: string; readonly atMs: number }[]
  readonly deadLetterCount: number
}

export interface ActorReport {
  readonly path: string
  readonly parent: string | null
  readonly kind: string
  readonly status: 'running' | 'restarting' | 'stopping'
  readonly mailboxDepth: number
  readonly mailboxMax: number
  /** How long the oldest queued message has waited; 0 when none has. */
  readonly oldestMessageAgeMs: number
  readonly processed: number
  readonly failed: number
  readonly refused: number
  readonly restarts: number
  readonly busyMs: number
  readonly lastError: {
    readonly atMs: number
    readonly message: string
    readonly stack: string
    readonly messageType: string
  } | null
  readonly stateSummary: Readonly<Record<string, string | number | boolean | null>>
  readonly startedAtMs: number
  readonly lastMessageAtMs: number | null
  readonly children: number
}
