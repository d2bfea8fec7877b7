/** The node's end of its embedded agent: starts the thread, forwards its numbers, notices its death. */
import { MessageChannel, Worker } from 'node:worker_threads'
import { type Endpoint, proxy, releaseProxy, wrap } from 'comlink'
import type { ActorReport } from '../../actors/actor.ts'
import type { AgentReport } from '../../actors/agent.ts'
import type { Metrics } from '../../actors/ports.ts'
import type { AgentThreadData, AgentThreadFace, AgentThreadInput, MetricNote } from './agent-thread-face.ts'

export interface EmbeddedAgent {
  inspect(): Promise<AgentReport>
  actors(): Promise<readonly ActorReport[]>
  /** The thread is gone afterwards; tasks run on unless they are asked to end. */
  stop(options: { readonly killTasks: boolean }): Promise<void>
}

export interface EmbeddedAgentDeps {
  readonly metrics: Metrics
  /** Told once when the thread ends without having been asked to: the node should end too. */
  readonly onDeath: (cause: unknown) => void
}

/** Rejects, with the thread gone, when the agent cannot start; `cause.name` is `PlaceError` for its work folder. */
export async function startAgentThread(data: AgentThreadData, deps: EmbeddedAgentDeps): Promise<EmbeddedAgent> {
  const { port1, port2 } = new MessageChannel()
  const input: AgentThreadInput = { ...data, port: port2 }
  const entry = new URL('./agent-thread.js', import.meta.url)
  const worker = new Worker(entry, { workerData: input, transferList: [port2], name: 'agent' })
  const face = wrap<AgentThreadFace>(port1 as unknown as Endpoint)
  let asked = false
  let died: (cause: unknown) => void = () => {}
  const death = new Promise<never>((_, reject) => {
    died = reject
  })
  death.catch(() => {}) // told through onDeath, or through the start that it interrupts
  let failure: unknown = null
  worker.once('error', cause => {
    failure = cause
  })
  worker.once('exit', code => {
    const cause = failure ?? new Error(`the agent's thread ended with ${code}`)
    died(cause)
    if (!asked) deps.onDeath(cause)
  })
  try {
    await Promise.race([face.start(proxy({ metrics: notes => forward(deps.metrics, notes) })), death])
  } catch (cause) {
    asked = true
    port1.close()
    await worker.terminate()
    throw cause
  }
  return {
    inspect: () => face.inspect(),
    actors: () => face.actors(),
    async stop(how) {
      asked = true
      await Promise.race([face.stop(how), death]).finally(async () => {
        face[releaseProxy]()
        port1.close()
        await worker.terminate()
      })
    },
  }
}

function forward(metrics: Metrics, notes: readonly MetricNote[]): void {
  for (const { kind, name, value, labels } of notes) metrics[kind](name, value, labels)
}
