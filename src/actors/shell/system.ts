/** The face of a kernel: what both bodies have in common of `ActorSystem`. */
import { assert } from '../../core/base/assert.ts'
import type { ActorSpec, ActorSystem, AnyRef, AskOptions, Inspection, Nest, Ref } from '../actor.ts'
import { ActorGone, AskTimeout } from '../actor.ts'
import { ask } from './ask.ts'
import { ActorRef, FunctionRef } from './cell.ts'
import type { Kernel } from './kernel.ts'

export class KernelSystem implements ActorSystem {
  readonly name: string
  protected readonly kernel: Kernel

  constructor(name: string, kernel: Kernel) {
    this.name = name
    this.kernel = kernel
    kernel.system = this
  }

  get inspection(): Inspection {
    return this.kernel.inspector
  }

  spawn<M>(spec: ActorSpec<M>): Ref<M> {
    return this.kernel.spawn(this.kernel.root, spec)
  }

  spawnSilent(name: string): Nest {
    return this.kernel.spawnSilent(this.kernel.root, name)
  }

  stopActor(ref: AnyRef): Promise<void> {
    const cell = ActorRef.cellOf(ref)
    assert(cell !== null, 'only an actor can be stopped', { path: ref.path })
    return this.kernel.stopActor(cell)
  }

  ask<Q, A>(ref: Ref<Q>, question: (replyTo: Ref<A>) => Q, options: AskOptions): Promise<A> {
    return new Promise<A>((resolve, reject) => {
      ask<Q, A>(this.kernel, ref, question, options.timeoutMs, end => {
        switch (end.type) {
          case 'answered':
            return resolve(end.answer)
          case 'timedOut':
            return reject(new AskTimeout(`${ref.path} did not answer within ${options.timeoutMs} ms`))
          case 'refused':
            return reject(new AskTimeout(`${ref.path} refused the question: its mailbox is full`))
          case 'gone':
            return reject(new ActorGone(`${ref.path} is gone`))
        }
      })
    })
  }

  function<M>(name: string, receive: (message: M) => void): Ref<M> {
    const path = `/function/${name}`
    return new FunctionRef<M>(path, receive, error => {
      this.kernel.log.error('function-ref-failed', { actor: path, error })
    })
  }

  stop(): Promise<void> {
    return this.kernel.stopAll()
  }
}
