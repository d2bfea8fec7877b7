/**
 * Decides whether a node is fit, from what was last seen of it. A supervisor restarts a sick node, so only what a restart
 * or an operator can mend counts: a store that was never initialized is not sickness, a standby is not either.
 *
 * Units: ages are ms of the monotonic clock, free space is bytes. Source: the outside interfaces, sections 2 and 16;
 * the replicated log, C2 (EMPTY stays healthy) and C10 (space).
 */
export interface HealthLimits {
  /** A thread that does not come round for longer is blocked. */
  readonly eventLoopLagMsMax: number
  /** A message that waits longer means that its mailbox does not drain. */
  readonly mailboxAgeMsMax: number
  readonly diskFreeBytesMin: number
}

export interface HealthSamples {
  readonly threads: readonly ThreadSample[]
  readonly log: LogSample | null
  readonly disks: readonly DiskSample[]
}

export interface ThreadSample {
  readonly name: string
  /** Longest time it was known not to come round, since the last look; counts up while it does not answer. */
  readonly lagMs: number
  readonly oldestMessage: { readonly path: string; readonly ageMs: number } | null
  /** Why it is gone for good; null while it lives. */
  readonly ended: string | null
}

export interface LogSample {
  readonly status: 'EMPTY' | 'STARTING' | 'RECOVERING' | 'VOTING'
  readonly notWritable: string | null
}

export interface DiskSample {
  readonly path: string
  /** Null: it could not be asked, and then `trouble` says why. */
  readonly freeBytes: number | null
  readonly trouble: string | null
}

/** What is wrong, one sentence each; empty means healthy. */
export function healthReasons(samples: HealthSamples, limits: HealthLimits): readonly string[] {
  const reasons: string[] = []
  for (const thread of samples.threads) {
    if (thread.ended !== null) {
      reasons.push(`${thread.name} thread ended: ${thread.ended}`)
      continue
    }
    if (thread.lagMs > limits.eventLoopLagMsMax) {
      reasons.push(
        `event loop blocked: the ${thread.name} thread did not come round for ${seconds(thread.lagMs)} (at most ${seconds(limits.eventLoopLagMsMax)})`,
      )
    }
    const oldest = thread.oldestMessage
    if (oldest !== null && oldest.ageMs > limits.mailboxAgeMsMax) {
      reasons.push(
        `mailbox not draining: a message to ${oldest.path} (${thread.name} thread) has waited ${seconds(oldest.ageMs)} (at most ${seconds(limits.mailboxAgeMsMax)})`,
      )
    }
  }
  const { log } = samples
  const takesPart = log !== null && log.status !== 'EMPTY' && log.status !== 'STARTING'
  if (takesPart && log.notWritable !== null) reasons.push(`log not writable: ${log.notWritable}`)
  for (const disk of samples.disks) {
    if (disk.freeBytes === null)
      reasons.push(`disk of ${disk.path} cannot be asked for its free space: ${disk.trouble}`)
    else if (disk.freeBytes < limits.diskFreeBytesMin) {
      reasons.push(
        `disk nearly full: ${mebibytes(disk.freeBytes)} free at ${disk.path} (at least ${mebibytes(limits.diskFreeBytesMin)})`,
      )
    }
  }
  return reasons
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`
const mebibytes = (bytes: number): string => `${Math.floor(bytes / 1024 ** 2)} MiB`
