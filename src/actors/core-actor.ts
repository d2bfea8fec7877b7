/**
 * The thin actor around a pure core: takes a message, lets the core decide, checks its invariants and runs the effects,
 * in order and never awaited. The core never sees an actor, a clock or a port; replaying its messages replays a bug.
 *
 * The invariants are checked before the first effect leaves, in production too: a broken state must not act.
 */
import type { Now } from '../core/base/time.ts'
import type { ActorSpec, Context } from './actor.ts'

export interface Step<S, E> {
  readonly state: S
  /** Plain data; their order is meant. */
  readonly effects: readonly E[]
}

export interface Core<S, M, E> {
  /** Also what a restarted actor begins with. */
  readonly initial: S
  /** Never waits; throws only on a bug. */
  step(state: S, message: M, now: Now): Step<S, E>
  /** Asserts what must hold of any state; run after every step. */
  invariants(state: S): void
}

export interface CoreActorSpec<S, M, E> extends Omit<ActorSpec<M>, 'start'> {
  readonly core: Core<S, M, E>
  /**
   * Carries out one effect. Never throws for trouble in the world: a port that fails answers with a message later
   * (`context.pipe`). Told once per start what it may use.
   */
  readonly run: (context: Context<M>) => (effect: E) => void
  /** The first message to itself after every start, handled before any other: arm timers, ask for state. */
  readonly first?: M
  readonly stopping?: (state: S, reason: 'stopped' | 'restarting') => void | Promise<void>
  readonly summary?: (state: S) => Readonly<Record<string, string | number | boolean | null>>
}

export function coreActor<S, M, E>(spec: CoreActorSpec<S, M, E>): ActorSpec<M> {
  const { core, run: runnerOf, first, stopping, summary, ...rest } = spec
  return {
    ...rest,
    start(context) {
      const run = runnerOf(context)
      let state = core.initial
      const receive = (message: M): void => {
        const next = core.step(state, message, context.now())
        core.invariants(next.state)
        state = next.state
        for (const effect of next.effects) run(effect)
      }
      if (first !== undefined) receive(first)
      return {
        receive,
        ...(stopping && { stopping: reason => stopping(state, reason) }),
        ...(summary && { summary: () => summary(state) }),
      }
    },
  }
}
