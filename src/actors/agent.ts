/**
 * Agent: one machine's part in the cluster. Owns the connection to the leader, the book of accepted tasks, the outbox
 * of statuses and the highest epoch it has seen. It holds no scheduling policy: it refuses what cannot be right, starts
 * a TaskRunner for the rest and reports until it is acknowledged.
 *
 * Whatever others may build on (an accepted launch or kill, a status, an epoch) is durable before it is answered or
 * acted on; the store writes in the order of the calls, so answers wait for everything before them.
 * Source: the agent spec, sections 14 to 20.
 */
import type { AgentToLeader, LeaderToAgent } from '../wire/messages/agent.ts'
import type { ActorSpec, Ref } from './actor.ts'
import { AgentActor } from './agent/agent-actor.ts'
import type { AgentMessage } from './agent/agent-message.ts'
import type { AgentSecret, AgentStore, MachineOffer, TaskMachine } from './agent-ports.ts'
import type { AgentDialer, Metrics } from './ports.ts'

export interface AgentReport {
  readonly agentId: string | null
  readonly connection: string
  readonly leaderUrl: string | null
  readonly tasks: readonly { readonly taskId: string; readonly state: string; readonly lastSeq: number }[]
}

/** Asks for the end of every task here; `allEnded` is told when none is left alive. */
export interface KillAllTasks {
  readonly type: 'killAllTasks'
  readonly replyTo: Ref<{ readonly type: 'allEnded' }>
}
export interface Inspect {
  readonly type: 'inspect'
  readonly replyTo: Ref<AgentReport>
}
export type Command = KillAllTasks | Inspect

export interface AgentActorOptions {
  readonly host: string
  readonly schedulers: readonly string[]
  readonly attributes: readonly { readonly name: string; readonly values: readonly string[] }[]
  /** What the machine has to offer as it is now; asked again from time to time. */
  readonly offer: () => MachineOffer
  /** Names the work folder on its machine: the same for whoever uses that folder next. Undefined: nothing is told of it. */
  readonly place: string | undefined
  /** Absolute path of that folder; absent: people are not told where sandboxes are. */
  readonly workDir?: string
  readonly draining: boolean
  readonly logUrl: string | null
  readonly agentVersion: string
  /** New at every start. */
  readonly instanceId: string
  readonly killCapMs: number
  readonly sandboxKeepMs: number
  readonly redialMsMax: number
  readonly secret: AgentSecret | null
  readonly newNonce: () => string
  /** SHA-256 as hex. */
  readonly hash: (text: string) => string
  readonly dialer: AgentDialer<LeaderToAgent, AgentToLeader>
  readonly store: AgentStore
  readonly machine: TaskMachine
  readonly metrics: Metrics
  /** A failed flush: what was promised cannot be kept, so the process must end. */
  readonly fatal: (cause: unknown) => void
}

export function agent(options: AgentActorOptions): ActorSpec<Command> {
  const spec: ActorSpec<AgentMessage> = {
    name: 'agent',
    kind: 'Agent',
    mailbox: { capacity: 100_000 },
    start: context => new AgentActor(options, context),
  }
  return spec as unknown as ActorSpec<Command>
}
