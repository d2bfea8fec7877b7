import type { JobKey } from '../base/ids.ts'

/**
 * What the scheduler needs to know about the tasks of a job: immutable, shared by all tasks that have it, stored once
 * under the hash of its content. `executor.data` is opaque here: the JSON of the whole job, read by the agent only.
 *
 * Units: `cpusMilli` thousandths of a core; RAM and disk in MB (2^20 bytes). Integers, so that sums never drift.
 * Shape: `constraints` sorted by name, `ports` sorted and without duplicates, `metadata` sorted by key then value.
 */
export interface TaskConfig {
  readonly job: JobKey
  /** The account that submitted the job. */
  readonly owner: string
  readonly isService: boolean
  /** Failed runs allowed to a task that is no service: -1 without limit; 0 behaves like 1. */
  readonly maxTaskFailures: number
  readonly priority: number
  /** Derived from the tier: neither preemptible nor revocable. */
  readonly production: boolean
  readonly tier: string
  readonly contactEmail?: string
  readonly resources: Resources
  /** Names of the ports to be assigned. */
  readonly ports: readonly string[]
  readonly constraints: readonly Constraint[]
  readonly metadata: readonly { readonly key: string; readonly value: string }[]
  readonly partitionPolicy?: { readonly reschedule: boolean; readonly delaySecs: number }
  /** When one of the instances may be ended for the sake of others: updates and maintenance ask. Absent: at any time. */
  readonly slaPolicy?: SlaPolicy
  /** What people may open, by name: URLs in which `%host%` and `%port:http%` stand for those of the task. */
  readonly taskLinks?: Readonly<Record<string, string>>
  readonly executor: { readonly name: string; readonly data: string }
  /** Hosts that are better or worse than others; never a reason to refuse one. Absent: none is. */
  readonly prefer?: readonly Preference[]
  /** How the instances are to lie over the values of attributes, as far as it goes. Absent: anyhow. */
  readonly spread?: readonly Spread[]
  /** One instance on each host that the constraints allow, however many there are. */
  readonly everyHost?: true
  /** So many instances are placed together or none is; those that run already count. Absent: each alone. */
  readonly gang?: number
}

/** Unit: `percentage` 0 to 100 of the instances, `durationSecs` so long they must have been RUNNING. */
export type SlaPolicy =
  | { readonly type: 'count'; readonly count: number; readonly durationSecs: number }
  | { readonly type: 'percentage'; readonly percentage: number; readonly durationSecs: number }
  | { readonly type: 'coordinator'; readonly coordinatorUrl: string; readonly statusKey: string }

/** A host with any of the values is better by `weight`, or worse where it is negative. Unit: -100 to 100, not 0. */
export interface Preference {
  readonly attribute: string
  readonly values: readonly string[]
  readonly weight: number
}

/** Unit: `weight` 1 to 100. `targets`: percent of the instances by value, at most 100 in all; the rest is for all others. Absent: evenly. */
export interface Spread {
  readonly attribute: string
  readonly weight: number
  readonly targets?: Readonly<Record<string, number>>
}

export interface Resources {
  readonly cpusMilli: number
  readonly ramMb: number
  readonly diskMb: number
  readonly gpus: number
}

export interface Constraint {
  readonly name: string
  readonly rule:
    | { readonly type: 'value'; readonly negated: boolean; readonly values: readonly string[] }
    | { readonly type: 'limit'; readonly limit: number }
}

/** What a client submits: one configuration and how many instances of it. Source: Aurora's JobConfiguration. */
export interface JobConfiguration {
  readonly key: JobKey
  readonly owner: string
  readonly instanceCount: number
  readonly task: TaskConfig
  readonly cronSchedule?: string
  readonly cronCollisionPolicy?: 'KILL_EXISTING' | 'CANCEL_NEW'
}
