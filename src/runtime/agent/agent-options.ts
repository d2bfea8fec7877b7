/** What an agent is told at its start: plain data, so that it can cross into a worker thread. */
import type { Resources } from '../../core/job/task-config.ts'

export interface AgentOptions {
  /** Where sandboxes and records live. Must not be a symlink nor writable by everybody; made when missing. */
  readonly workDir: string
  /** Addresses of scheduler nodes: `http://127.0.0.1:8081`. Tried in turn; a redirect to the leader is followed. */
  readonly schedulers: readonly string[]
  /** By whom https scheduler nodes are known, PEM. Default: the CAs that come with Node.js. */
  readonly schedulersCa?: string | null
  /** The name this machine registers with; also the attribute `host` and `{{mesos.hostname}}`. */
  readonly host: string
  /** Besides `host`, which is always there. */
  readonly attributes: readonly { readonly name: string; readonly values: readonly string[] }[]
  /** What to offer instead of what was detected (CPUs, RAM minus max(1 GiB, 5 %), disk minus 5 GiB). */
  readonly resources?: Partial<Resources>
  /** Cores that are only lent to revocable tasks, in thousandths. Default: none. */
  readonly revocableCpusMilli?: number
  /** Ports that tasks may be given, both ends inclusive. Default 31000–32000. */
  readonly portRanges?: readonly (readonly [number, number])[]
  /** `shared`: all tasks run as the agent's own user. `role`: each as the account its job's role names (needs root). */
  readonly userMode: 'shared' | 'role'
  /** Whether a role of uid 0 may run under `role`. Default false. */
  readonly allowRoot?: boolean
  /** Longest time from a kill to SIGKILL, ms; a job's finalization_wait may be shorter. Default 60,000. */
  readonly killCapMs?: number
  /** The cluster's secret; without one the handshake carries no proof. */
  readonly secret?: string | null
  /** How long the sandbox of a forgotten task is kept for its logs, ms; less when the disk fills. Default 7 days. */
  readonly sandboxKeepMs?: number
  /** Accept no launches from the start. Default false. */
  readonly draining?: boolean
  /** Where people reach this agent's logs, if anywhere. */
  readonly logUrl?: string | null
  /** Longest pause between two dials, ms. Default 30,000. */
  readonly redialMsMax?: number
  /** Rehearsal of a reboot: what to take for the kernel's boot id. Only tests set it. */
  readonly bootId?: string
}

/** What a running agent shows of itself. */
export interface AgentInspection {
  readonly agentId: string | null
  readonly connection: string
  readonly leaderUrl: string | null
  readonly tasks: readonly { readonly taskId: string; readonly state: string; readonly lastSeq: number }[]
}
