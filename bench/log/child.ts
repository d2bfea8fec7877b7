/**
 * A process of a benchmark that answers questions of the one that started it. The channel is all that holds them together:
 * when it breaks, because the benchmark has ended in whatever way, the child ends too.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { PROFILE_VARIABLE } from '../profile/profiler.ts'

/** What may be asked, by name. Plain data: it travels. */
export type Questions = Record<string, { readonly ask: unknown; readonly answer: unknown }>

type Answers<Q extends Questions> = {
  readonly [Name in keyof Q]: (ask: Q[Name]['ask']) => Q[Name]['answer'] | Promise<Q[Name]['answer']>
}
interface Asked {
  readonly id: number
  readonly name: string
  readonly ask: unknown
}
type Answered =
  | { readonly id: number; readonly answer: unknown }
  | { readonly id: number; readonly failed: string; readonly answer?: undefined }

export class Child<Q extends Questions> {
  readonly #child: ChildProcess
  readonly #name: string
  readonly #waiting = new Map<number, { resolve: (answer: unknown) => void; reject: (cause: Error) => void }>()
  readonly #ended: Promise<unknown>
  #asked = 0

  /** `entry` is built code. Under `--profile` all its threads leave a CPU profile in the folder of the bench. */
  constructor(entry: URL, name: string) {
    const profiles = process.env[PROFILE_VARIABLE]
    const execArgv = profiles === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profiles}/${name}`]
    this.#child = fork(entry, [name], {
      serialization: 'advanced',
      execArgv,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    this.#name = name
    this.#ended = once(this.#child, 'exit')
    this.#child.on('message', message => this.#onAnswer(message as Answered))
    this.#child.on('exit', (code, signal) => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`${name} has ended: ${code ?? signal}`))
      this.#waiting.clear()
    })
  }

  ask<Name extends keyof Q & string>(name: Name, ask: Q[Name]['ask']): Promise<Q[Name]['answer']> {
    return new Promise<unknown>((resolve, reject) => {
      const { exitCode, signalCode } = this.#child
      if (exitCode !== null || signalCode !== null) {
        reject(new Error(`${this.#name} has ended: ${exitCode ?? signalCode}`))
        return
      }
      const id = ++this.#asked
      this.#waiting.set(id, { resolve, reject })
      this.#child.send({ id, name, ask } satisfies Asked)
    })
  }

  /** SIGSTOP and SIGCONT: a machine that stands still. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child.kill(signal)
  }

  /** Lets it end by itself; after a moment, or at once if `by` says so, it is killed. */
  async end(by: 'itself' | 'SIGKILL' = 'itself'): Promise<void> {
    const { exitCode, signalCode } = this.#child
    if (exitCode !== null || signalCode !== null) return
    if (this.#child.connected) this.#child.disconnect()
    const late = setTimeout(() => this.#child.kill('SIGKILL'), by === 'itself' ? END_MS_MAX : 0)
    await this.#ended
    clearTimeout(late)
  }

  #onAnswer(answered: Answered): void {
    const waiting = this.#waiting.get(answered.id)
    this.#waiting.delete(answered.id)
    if ('failed' in answered) waiting?.reject(new Error(`${this.#name}: ${answered.failed}`))
    else waiting?.resolve(answered.answer)
  }
}

const END_MS_MAX = 5_000

/** The child's end. `ending` is called once, when nobody will ask any more. */
export function answer<Q extends Questions>(answers: Answers<Q>, ending: () => Promise<void> | void): void {
  // Whoever asked may be gone by now.
  const reply = (answered: Answered): void => void process.send?.(answered, undefined, undefined, () => {})
  process.on('message', ({ id, name, ask }: Asked) => {
    Promise.resolve()
      .then(() => answers[name]!(ask))
      .then(
        said => reply({ id, answer: said }),
        (cause: unknown) =>
          reply({ id, failed: cause instanceof Error ? (cause.stack ?? cause.message) : String(cause) }),
      )
  })
  // A terminal tells all processes that somebody wants an end; what is done about it is for the benchmark to say.
  process.on('SIGINT', () => {})
  process.once('disconnect', () => void Promise.resolve(ending()).finally(() => process.exit(0)))
}
