/** OfferBroker: what every agent can still take, and who may take it. */
import type { AgentId, JobKey, TaskId } from '../core/base/ids.ts'
import type { Resources } from '../core/job/task-config.ts'

/** The agent has registered (or changed); its row is staged already. */
export interface AgentUp {
  readonly type: 'agentUp'
  readonly agentId: AgentId
}
/** Disconnected: nothing is placed there until it is up again. Its tasks keep their resources. */
export interface AgentDown {
  readonly type: 'agentDown'
  readonly agentId: AgentId
}
export type AgentCommand = AgentUp | AgentDown

/** One standing offer per connected agent; `id` is `<agentId>#<n>`, n rising with every change. */
export interface OfferView {
  readonly id: string
  readonly agentId: AgentId
  readonly host: string
  readonly free: Resources
  readonly freePorts: number
}

/** Why a group of equal tasks is not placed: one row per group. */
export interface PendingView {
  readonly job: JobKey
  readonly taskIds: readonly TaskId[]
  /** Until the next try by the clock; it may be woken earlier. */
  readonly penaltyMs: number
  /** Aurora's texts, strongest class first: `Insufficient: CPU`; empty when no offer was looked at. */
  readonly reasons: readonly string[]
  /** The same for people, with counts and what would help: `Insufficient: CPU (3 hosts)`, `No agents available`. */
  readonly details: readonly string[]
}

/** Read-only views for the REST edge; plain calls in the same thread. */
export interface PlacementView {
  offers(): readonly OfferView[]
  pending(): readonly PendingView[]
  /** Free and total of the host with the most room, for "can never fit: largest host has …"; null without agents. */
  largestHost(): { readonly host: string; readonly total: Resources; readonly ports: number } | null
}
