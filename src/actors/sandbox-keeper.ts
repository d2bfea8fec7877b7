/**
 * SandboxKeeper: what is left of tasks. Keeps the sandboxes of forgotten tasks for their logs until they are old or the
 * disk is full, tombstones for a day beyond, and ends processes that belong to no task. The agent tells it what was
 * forgotten; it never touches a task that has a record. Source: the agent spec, sections 20 and 21.
 */
import { sandboxKeepMs } from '../core/executor/agent-book.ts'
import type { ActorSpec, Behaviour, Context } from './actor.ts'
import type { AgentStore, TaskMachine } from './agent-ports.ts'
import type { Metrics } from './ports.ts'

export interface Forgotten {
  readonly type: 'forgotten'
  readonly taskId: string
  readonly atMs: number
}
export type SandboxKeeperCommand = Forgotten
type Message =
  | Forgotten
  | { readonly type: 'sweep' }
  | { readonly type: 'listed'; readonly taskIds: readonly string[] }
  | { readonly type: 'removed'; readonly taskId: string }
  | { readonly type: 'failed'; readonly what: string; readonly cause: unknown }

export interface SandboxKeeperOptions {
  readonly machine: TaskMachine
  readonly store: AgentStore
  /** Longest time a forgotten sandbox is kept, ms. */
  readonly keepMs: number
  readonly metrics: Metrics
  /** Task id → when it was forgotten, as stored. */
  readonly forgotten: ReadonlyMap<string, number>
  /** Tasks that have a record. */
  readonly known: () => ReadonlySet<string>
  readonly expired: (taskId: string) => void
  /** Nothing was ever launched from it: what runs there belongs to a folder of the same name that is gone. */
  readonly isFolderNew: boolean
}

export const SWEEP_MS = 60_000
export const TOMBSTONE_MS = 24 * 3_600_000
const ORPHAN_GRACE_MS = 60_000

export function sandboxKeeper(options: SandboxKeeperOptions): ActorSpec<Message> {
  return {
    name: 'sandbox-keeper',
    kind: 'SandboxKeeper',
    mailbox: { capacity: 100_000 },
    start: context => new SandboxKeeper(options, context),
  }
}

class SandboxKeeper implements Behaviour<Message> {
  private readonly options: SandboxKeeperOptions
  private readonly context: Context<Message>
  private readonly forgottenAtMs: Map<string, number>
  private removals = 0
  private orphans = 0
  private graceMs: number

  constructor(options: SandboxKeeperOptions, context: Context<Message>) {
    this.options = options
    this.context = context
    this.forgottenAtMs = new Map(options.forgotten)
    // The leader may place the same tasks here anew, so the old ones are not given time.
    this.graceMs = options.isFolderNew ? 0 : ORPHAN_GRACE_MS
    context.startPeriodicTimer('sweep', SWEEP_MS, { type: 'sweep' })
    context.self.tell({ type: 'sweep' })
  }

  receive(message: Message): void {
    switch (message.type) {
      case 'forgotten':
        this.forgottenAtMs.set(message.taskId, message.atMs)
        return
      case 'sweep': {
        const ended = this.options.machine.killOrphans(this.options.known(), this.graceMs)
        this.graceMs = ORPHAN_GRACE_MS
        this.orphans += ended
        if (ended > 0) {
          this.options.metrics.count('agent_orphans_killed', ended)
          this.context.log.warn('agent-orphans-killed', { tasks: ended })
        }
        this.context.pipe(this.options.machine.sandboxes(), settled =>
          settled.ok
            ? { type: 'listed', taskIds: settled.value }
            : { type: 'failed', what: 'list sandboxes', cause: settled.cause },
        )
        return
      }
      case 'listed':
        return this.collect(new Set(message.taskIds))
      case 'removed':
        this.removals += 1
        this.options.metrics.count('agent_sandboxes_removed')
        return
      case 'failed':
        this.context.log.warn('agent-sandbox-trouble', { what: message.what, cause: String(message.cause) })
        return
      default:
        message satisfies never
    }
  }

  summary(): Record<string, number> {
    return { forgotten: this.forgottenAtMs.size, sandboxesRemoved: this.removals, orphansKilled: this.orphans }
  }

  private collect(onDisk: ReadonlySet<string>): void {
    const { options } = this
    const nowMs = this.context.now().wallMs
    const keepMs = sandboxKeepMs(options.keepMs, options.machine.vitals().diskUsedFraction)
    const known = options.known()
    // A sandbox that nobody remembers (its record was put aside) ages from now on.
    for (const taskId of onDisk) {
      if (!known.has(taskId) && !this.forgottenAtMs.has(taskId)) this.forgottenAtMs.set(taskId, nowMs)
    }
    const oldestFirst = [...this.forgottenAtMs].toSorted((a, b) => a[1] - b[1] || (a[0] < b[0] ? -1 : 1))
    for (const [taskId, atMs] of oldestFirst) {
      if (known.has(taskId)) continue
      const ageMs = nowMs - atMs
      if (onDisk.has(taskId) && ageMs >= keepMs) {
        this.context.pipe(options.machine.removeSandbox(taskId), settled =>
          settled.ok
            ? { type: 'removed', taskId }
            : { type: 'failed', what: `remove the sandbox of ${taskId}`, cause: settled.cause },
        )
      }
      if (!onDisk.has(taskId) && ageMs >= keepMs + TOMBSTONE_MS) {
        this.forgottenAtMs.delete(taskId)
        options.store.write({ dropTombstones: [taskId] }).catch(cause => {
          this.context.self.tell({ type: 'failed', what: 'drop a tombstone', cause })
        })
        options.expired(taskId)
      }
    }
  }
}
