/** What an actor sees of the shell: every verb is handed to the kernel together with the actor it is for. */
import { assert } from '../../core/base/assert.ts'
import type { Prng } from '../../core/base/prng.ts'
import type { Now } from '../../core/base/time.ts'
import type { ActorSpec, ActorSystem, AnyRef, AskOptions, Context, Nest, Ref } from '../actor.ts'
import type { LogFields, Logger } from '../ports.ts'
import { ask } from './ask.ts'
import { ActorRef, type Cell, type Message, SignalEnvelope } from './cell.ts'
import { cancelTimer, startTimer } from './keyed-timers.ts'
import { unwatch, watch } from './watches.ts'

export class ActorContext implements Context<Message> {
  readonly #cell: Cell
  #log: Logger | null = null

  constructor(cell: Cell) {
    this.#cell = cell
  }

  get self(): Ref<Message> {
    return this.#cell.ref
  }

  get system(): ActorSystem {
    return this.#cell.kernel.system
  }

  get log(): Logger {
    this.#log ??= new ActorLogger(this.#cell.kernel.loggerOfKind(this.#cell.spec?.kind ?? 'Nest'), this.#cell.path)
    return this.#log
  }

  get random(): Prng {
    return this.#cell.kernel.random
  }

  now(): Now {
    return this.#cell.kernel.now()
  }

  spawn<C>(spec: ActorSpec<C>): Ref<C> {
    return this.#cell.kernel.spawn(this.#cell, spec)
  }

  spawnSilent(name: string): Nest {
    return this.#cell.kernel.spawnSilent(this.#cell, name)
  }

  child(name: string): AnyRef | undefined {
    return this.#cell.kernel.childOf(this.#cell, name)
  }

  stop(ref: AnyRef): void {
    const cell = ActorRef.cellOf(ref)
    assert(cell !== null, 'only an actor can be stopped', { path: ref.path })
    cell.kernel.requestStop(cell)
  }

  watch(ref: AnyRef, message: Message): void {
    const target = ActorRef.cellOf(ref)
    if (target !== null) watch(this.#cell.kernel, this.#cell, target, message)
  }

  unwatch(ref: AnyRef): void {
    const target = ActorRef.cellOf(ref)
    if (target !== null) unwatch(this.#cell, target)
  }

  startTimer(key: string, afterMs: number, message: Message): void {
    assert(afterMs >= 0 && afterMs < Number.POSITIVE_INFINITY, 'a timer waits a finite time', { key, afterMs })
    startTimer(this.#cell.kernel, this.#cell, key, message, { afterMs, everyMs: null })
  }

  startPeriodicTimer(key: string, everyMs: number, message: Message): void {
    assert(everyMs > 0 && everyMs < Number.POSITIVE_INFINITY, 'a periodic timer has a finite period above 0', {
      key,
      everyMs,
    })
    startTimer(this.#cell.kernel, this.#cell, key, message, { afterMs: everyMs, everyMs })
  }

  cancelTimer(key: string): void {
    cancelTimer(this.#cell.kernel, this.#cell, key)
  }

  ask<Q, A>(
    ref: Ref<Q>,
    question: (replyTo: Ref<A>) => Q,
    options: AskOptions,
    adapt: (answer: A | null) => Message,
  ): void {
    const cell = this.#cell
    const incarnation = cell.incarnation
    ask<Q, A>(cell.kernel, ref, question, options.timeoutMs, end => {
      const answer = end.type === 'answered' ? end.answer : null
      cell.kernel.signal(cell, new SignalEnvelope(incarnation, () => adapt(answer)))
    })
  }

  pipe<T>(
    promise: Promise<T>,
    settled: (result: { ok: true; value: T } | { ok: false; cause: unknown }) => Message,
  ): void {
    const cell = this.#cell
    const incarnation = cell.incarnation
    const bring = (result: { ok: true; value: T } | { ok: false; cause: unknown }): void =>
      cell.kernel.signal(cell, new SignalEnvelope(incarnation, () => settled(result)))
    promise.then(
      value => bring({ ok: true, value }),
      (cause: unknown) => bring({ ok: false, cause }),
    )
  }
}

/** Says with every line which actor speaks. */
class ActorLogger implements Logger {
  readonly #base: Logger
  readonly #path: string

  constructor(base: Logger, path: string) {
    this.#base = base
    this.#path = path
  }

  isDebugOff(): boolean {
    return this.#base.isDebugOff?.() === true
  }

  debug(event: string, fields?: LogFields): void {
    if (this.#base.isDebugOff?.() === true) return
    this.#base.debug(event, { actor: this.#path, ...fields })
  }

  info(event: string, fields?: LogFields): void {
    this.#base.info(event, { actor: this.#path, ...fields })
  }

  warn(event: string, fields?: LogFields): void {
    this.#base.warn(event, { actor: this.#path, ...fields })
  }

  error(event: string, fields?: LogFields): void {
    this.#base.error(event, { actor: this.#path, ...fields })
  }

  child(scope: string): Logger {
    return new ActorLogger(this.#base.child(scope), this.#path)
  }
}
