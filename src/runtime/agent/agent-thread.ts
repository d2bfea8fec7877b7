/**
 * The thread of an embedded agent: the very agent of a machine of its own, dialling the node over its HTTP port like
 * any other. Apart from the scheduler's thread, so that neither can make the other late.
 */
import { workerData } from 'node:worker_threads'
import { type Endpoint, expose } from 'comlink'
import type { Metrics } from '../../actors/ports.ts'
import { assert } from '../../core/base/assert.ts'
import { ignoreEchoesOfFailedCommits } from '../log/lmdb-trouble.ts'
import { createLogger } from '../logger.ts'
import { createAgentDialer } from '../ws-agent-dialer.ts'
import { type RunningAgent, startAgent } from './agent-node.ts'
import type { AgentThreadFace, AgentThreadInput, AgentThreadListener, MetricNote } from './agent-thread-face.ts'

const METRICS_EVERY_MS = 1_000

const { options, logging, port } = workerData as AgentThreadInput
let running: RunningAgent | null = null

const face: AgentThreadFace = {
  async start(listener) {
    assert(running === null, 'the agent of a thread is started once')
    running = await startAgent(options, {
      dialer: createAgentDialer({ ca: options.schedulersCa ?? null }),
      log: createLogger(logging),
      metrics: forwardedMetrics(listener),
      // Thrown outside every actor: the thread ends, its node hears of it and ends too.
      onFatal: cause => setImmediate(() => throwIt(cause)),
    })
  },
  async inspect() {
    return started().inspect()
  },
  actors() {
    return started().system.inspection.actors()
  },
  async stop(how) {
    await running?.stop(how)
    running = null
  },
}
ignoreEchoesOfFailedCommits()
expose(face, port as unknown as Endpoint)

function started(): RunningAgent {
  assert(running !== null, 'the agent has been started')
  return running
}

function throwIt(cause: unknown): never {
  throw cause
}

/** Numbers of the same name are added up while they wait, so a busy agent sends as little as an idle one. */
function forwardedMetrics(listener: AgentThreadListener): Metrics {
  const waiting = new Map<string, MetricNote>()
  let isDue = false
  const note = (kind: MetricNote['kind'], name: string, value: number, labels?: Readonly<Record<string, string>>) => {
    const key = `${kind} ${name} ${JSON.stringify(labels ?? {})}${kind === 'observe' ? ` ${waiting.size}` : ''}`
    const before = kind === 'count' ? (waiting.get(key)?.value ?? 0) : 0
    waiting.set(key, { kind, name, value: before + value, ...(labels === undefined ? {} : { labels }) })
    if (isDue) return
    isDue = true
    setTimeout(() => {
      isDue = false
      listener.metrics([...waiting.values()])
      waiting.clear()
    }, METRICS_EVERY_MS).unref()
  }
  return {
    count: (name, by = 1, labels) => note('count', name, by, labels),
    gauge: (name, value, labels) => note('gauge', name, value, labels),
    observe: (name, seconds, labels) => note('observe', name, seconds, labels),
  }
}
