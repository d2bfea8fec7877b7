/**
 * Follows what is committed, transaction by transaction, and holds it to what clients were told, what agents did, and
 * what is owed to every task that has ended. It takes nothing from the schedulers but what is in the log.
 */
import { jobKeyText } from '../../../src/core/base/ids.ts'
import { PayloadJoiner, payloadTransactions, type TransactionBytes } from '../../../src/core/ledger/payload.ts'
import { type RequestRow, TABLE_NUMBERS, type TaskRow } from '../../../src/core/ledger/rows.ts'
import type { Entry } from '../../../src/core/log/entry.ts'
import { isActive, isTerminal } from '../../../src/core/task/status.ts'
import { RowReader } from '../../../src/wire/ledger-rows.ts'
import { holds } from '../log/violation.ts'
import type { Asked, Job } from './clients.ts'

const slotOf = ({ job, instance }: TaskRow): string => `${jobKeyText(job)}/${instance}`

export class TaskOracle {
  readonly counts = { tasks: 0, transitions: 0, ended: 0, replaced: 0, started: 0 }
  readonly tasks = new Map<string, TaskRow>()
  readonly requests = new Map<string, RequestRow>()
  readonly jobs = new Set<string>()
  readonly #active = new Map<string, Set<string>>()
  /** Agents to which a task was ever bound, by the log. */
  readonly #bound = new Map<string, string>()
  readonly #started = new Map<string, string>()
  /** Epochs that agents have acted on. */
  readonly #epochs = new Map<string, readonly [number, number]>()
  /** How often a request has restarted an instance. */
  readonly #restarts = new Map<string, number>()
  readonly #reader = new RowReader()
  readonly #joiner = new PayloadJoiner()
  readonly #jobOf: (key: string) => Job | undefined

  constructor(jobOf: (key: string) => Job | undefined) {
    this.#jobOf = jobOf
  }

  committed(entry: Entry): void {
    if (entry.type !== 'DATA') return this.#joiner.other(entry.position, entry.type)
    const whole = this.#joiner.data(entry.position, entry.payload)
    if (whole !== null) for (const transaction of payloadTransactions(whole)) this.#apply(transaction, entry.position)
  }

  /** A request has its final answer. */
  acknowledged({ id, type, job }: { readonly id: string; readonly type: Asked; readonly job: Job }): void {
    if (type !== 'create') return
    holds(
      this.requests.has(id) && this.#everyInstance(job),
      'what is acknowledged is committed',
      () => `${type} ${id} of ${job.key.name}`,
    )
  }

  /** A task begins to run on a machine. */
  started(host: string, agentId: string | null, taskId: string): void {
    this.counts.started++
    const before = this.#started.get(taskId)
    holds(before === undefined, 'nothing is launched twice', () => `${taskId} on ${host}, before on ${before}`)
    this.#started.set(taskId, host)
    holds(
      agentId !== null && this.#bound.get(taskId) === agentId,
      'only what is committed is launched, and where the log says',
      () => `${taskId} on ${host} (${agentId}), bound to ${this.#bound.get(taskId)}`,
    )
  }

  /** An agent acts on an order. */
  obeyed(host: string, type: string, epoch: readonly [number, number]): void {
    const before = this.#epochs.get(host)
    const isOlder = before !== undefined && (epoch[0] < before[0] || (epoch[0] === before[0] && epoch[1] < before[1]))
    holds(!isOlder, 'no agent obeys an older leader after a newer one', () => `${host}: ${type} of ${epoch}, ${before}`)
    this.#epochs.set(host, epoch)
  }

  /** An agent is told that the end of a task has taken effect and need not be said again. */
  endAcknowledged(agentId: string | null, taskId: string): void {
    const row = this.tasks.get(taskId)
    holds(
      row === undefined || isTerminal(row.status) || row.agentId !== agentId,
      'the end of a task is acknowledged once it is committed',
      () => `${taskId} is ${row?.status}`,
    )
  }

  activeIn(job: Job, instance: number): readonly TaskRow[] {
    const ids = this.#active.get(`${jobKeyText(job.key)}/${instance}`) ?? []
    return [...ids].map(id => this.tasks.get(id)!)
  }

  /** Once nothing strikes any more and all is quiet. */
  settled(jobs: Iterable<Job>): void {
    for (const job of jobs) {
      if (!job.isCreated) continue
      if (!job.isWholeKillAsked)
        holds(this.jobs.has(jobKeyText(job.key)), 'acknowledged jobs survive', () => job.key.name)
      for (let instance = 0; instance < job.instances; instance++) {
        const active = this.activeIn(job, instance)
        const shown = (): string =>
          `${job.key.name}/${instance}: ${active.map(({ status }) => status).join() || 'none'}`
        if (job.killDone.has(instance)) holds(active.length === 0, 'what was killed stays so', shown)
        if (job.isService && !job.killAsked.has(instance))
          holds(active.length === 1, 'a service that nobody killed runs', shown)
      }
    }
  }

  #apply({ rows, cause }: TransactionBytes, position: number): void {
    const touched = new Map<string, TaskRow>()
    const ended: { readonly before: TaskRow; readonly after: TaskRow }[] = []
    for (const { table, key, bytes } of rows) {
      if (table === TABLE_NUMBERS.job) {
        if (bytes === null) this.jobs.delete(key)
        else this.jobs.add(key)
      }
      if (table === TABLE_NUMBERS.request) {
        if (bytes === null) this.requests.delete(key)
        else {
          const change = this.#reader.read(table, key, bytes)
          if (change.type === 'put') this.requests.set(key, change.row as RequestRow)
        }
      }
      if (table !== TABLE_NUMBERS.task) continue
      const before = this.tasks.get(key)
      if (before !== undefined) this.#leave(before)
      if (bytes === null) {
        this.tasks.delete(key)
        if (before !== undefined) touched.set(slotOf(before), before)
        continue
      }
      const change = this.#reader.read(table, key, bytes)
      if (change.type !== 'put') continue
      const after = change.row as TaskRow
      this.tasks.set(key, after)
      this.#take(after)
      touched.set(slotOf(after), after)
      this.#moved(before, after, position)
      if (isTerminal(after.status) && before !== undefined && !isTerminal(before.status)) ended.push({ before, after })
    }
    for (const [slot] of touched) {
      const active = this.#active.get(slot)
      holds(
        active === undefined || active.size <= 1,
        'at most one active task of an instance',
        () => `${[...(active ?? [])].join(', ')} of ${slot} at ${position} (${cause.why})`,
      )
    }
    for (const { after } of ended) this.#owed(after)
  }

  #moved(before: TaskRow | undefined, after: TaskRow, position: number): void {
    const shown = (): string => `${after.taskId} at ${position}: ${before?.status ?? 'new'} to ${after.status}`
    if (before === undefined) {
      this.counts.tasks++
      if (after.ancestorId !== undefined) this.counts.replaced++
    }
    if (before?.status !== after.status) this.counts.transitions++
    if (after.agentId !== undefined) this.#bound.set(after.taskId, after.agentId)
    if (before !== undefined) {
      holds(!isTerminal(before.status) || before.status === after.status, 'an end is an end', shown)
      holds(before.version < after.version, 'every change of a task counts', shown)
    }
    for (const event of after.events.slice(before?.events.length ?? 0)) this.#restarted(event, after)
    const job = this.#jobOf(jobKeyText(after.job))
    if (job?.killDone.has(after.instance) && isActive(after.status))
      holds(after.status === 'KILLING', 'no acknowledged kill is undone', shown)
  }

  #restarted({ status, who }: TaskRow['events'][number], { job, instance }: TaskRow): void {
    if (status !== 'RESTARTING' || who === undefined) return
    const what = `${who} ${jobKeyText(job)}/${instance}`
    const times = (this.#restarts.get(what) ?? 0) + 1
    this.#restarts.set(what, times)
    holds(times === 1, 'a request takes effect once', () => `restart ${what}`)
  }

  /** A task has ended: the same transaction makes its replacement, or nothing, as the life cycle has it. */
  #owed(task: TaskRow): void {
    this.counts.ended++
    const job = this.#jobOf(jobKeyText(task.job))
    if (job === undefined || !job.isCreated || job.killAsked.has(task.instance)) return
    const active = this.activeIn(job, task.instance)
    const history = task.events.map(({ status }) => status).join(' ')
    const isOwed = owes(job, task)
    holds(
      active.length === (isOwed ? 1 : 0),
      isOwed ? 'every owed replacement is made' : 'nothing is replaced that is not owed',
      () =>
        `${task.taskId} (${job.isService ? 'service' : `failures ${task.failureCount} of ${job.maxTaskFailures}`}): ${history}`,
    )
  }

  #everyInstance(job: Job): boolean {
    const known = new Set<number>()
    for (const { job: key, instance } of this.tasks.values()) if (key.name === job.key.name) known.add(instance)
    // Killed before anybody saw it, a task leaves no row.
    return job.killAsked.size > 0 || known.size >= job.instances
  }

  #take(row: TaskRow): void {
    if (!isActive(row.status)) return
    const slot = slotOf(row)
    const ids = this.#active.get(slot)
    if (ids === undefined) this.#active.set(slot, new Set([row.taskId]))
    else ids.add(row.taskId)
  }

  #leave(row: TaskRow): void {
    this.#active.get(slotOf(row))?.delete(row.taskId)
  }
}

const ASKED_TO_END = new Set(['RESTARTING', 'PREEMPTING', 'DRAINING'])

/** The rule of the life cycle, once more: whether an end without any kill is followed by another task. */
function owes({ isService, maxTaskFailures }: Job, { status, events, failureCount }: TaskRow): boolean {
  const isAskedToEnd = ASKED_TO_END.has(events.at(-2)?.status ?? '')
  switch (status) {
    case 'FAILED':
      return isAskedToEnd || isService || maxTaskFailures === -1 || failureCount < maxTaskFailures
    case 'FINISHED':
      return isService || events.at(-2)?.status === 'RESTARTING'
    default:
      return true
  }
}
