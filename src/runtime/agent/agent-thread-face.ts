/** What a node and its embedded agent's thread say to each other, over comlink. */
import type { MessagePort } from 'node:worker_threads'
import type { ActorReport } from '../../actors/actor.ts'
import type { AgentReport } from '../../actors/agent.ts'
import type { AgentOptions } from './agent-options.ts'

export interface AgentThreadData {
  readonly options: AgentOptions
  readonly logging: { readonly format: 'text' | 'json'; readonly level: 'debug' | 'info' | 'warn' }
}

/** `port`: where the thread exposes its face. */
export interface AgentThreadInput extends AgentThreadData {
  readonly port: MessagePort
}

/** One number on its way from the agent's thread to the node's registry. */
export interface MetricNote {
  readonly kind: 'count' | 'gauge' | 'observe'
  readonly name: string
  readonly value: number
  readonly labels?: Readonly<Record<string, string>>
}

export interface AgentThreadFace {
  /** Settles once the agent dials; rejects with the reason when its work folder cannot be used. */
  start(listener: AgentThreadListener): Promise<void>
  inspect(): Promise<AgentReport>
  actors(): readonly ActorReport[]
  stop(options: { readonly killTasks: boolean }): Promise<void>
}

export interface AgentThreadListener {
  /** At most once a second, only when there is something. */
  metrics(notes: readonly MetricNote[]): void
}
