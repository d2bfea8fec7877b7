/**
 * EveryHostKeeper: keeps one instance of every job with `every_host` on each host that its rules allow. One on the leader.
 *
 * It looks shortly after something has changed in the ledger, and every few seconds, as agents come and go without a row
 * of theirs changing. Where an instance goes is the matcher's business: it puts one on a host and no second. A production
 * job grows with its hosts only as far as the quota of its role goes.
 */
import { jobKeyText, type TaskId } from '../core/base/ids.ts'
import type { JobRow } from '../core/ledger/rows.ts'
import { everyHostPlan } from '../core/scheduling/every-host.ts'
import { insertTasks } from '../core/task/creation.ts'
import { newTaskId } from '../core/task/task-id.ts'
import type { ActorSpec, Behaviour, Context } from './actor.ts'
import type { Ledger } from './ledger.ts'
import type { PlacementView } from './offer-broker.ts'
import type { QuotaView } from './quota-keeper.ts'
import type { TaskDirectory } from './task-state-machine.ts'

export interface EveryHostKeeperOptions {
  readonly ledger: Ledger
  readonly tasks: TaskDirectory
  readonly placement: PlacementView
  readonly uuid: () => string
  readonly schedulerName: string
  /** Of one job. */
  readonly tasksMax: number
  /** Absent: nothing is limited. */
  readonly quotas?: () => Pick<QuotaView, 'addFault'>
}

type Message = { readonly type: 'look' } | { readonly type: 'changed' }

/** From a change to the look: what comes together is looked at once. */
const SOON_MS = 200
const LOOK_MS = 5_000
/**
 * Tasks that no host is in need of end only after so long: a machine whose connection broke, and all machines of a new
 * leader, are back by then.
 */
const SURPLUS_MS = 120_000

export function everyHostKeeperSpec(options: EveryHostKeeperOptions): ActorSpec<never> {
  const spec: ActorSpec<Message> = {
    name: 'every-host-keeper',
    kind: 'EveryHostKeeper',
    start: context => everyHostKeeper(context, options),
  }
  return spec as ActorSpec<never>
}

function everyHostKeeper(context: Context<Message>, options: EveryHostKeeperOptions): Behaviour<Message> {
  const { ledger, tasks, placement, uuid, schedulerName, tasksMax } = options
  const { view } = ledger
  /** Keys of the jobs that it keeps. */
  const jobs = new Set<string>()
  let isChanged = false
  /** Those that want more instances than their role has quota for: told once, until they have all of them. */
  const short = new Set<string>()
  /** Since when a job has more tasks that wait than hosts for them; monotonic. */
  const surplusSince = new Map<string, number>()
  let inserted = 0
  let ended = 0

  for (const job of view.jobs()) note(job)
  const unsubscribe = ledger.subscribe('staged', ({ changes }) => {
    let isNews = false
    for (const { change } of changes) {
      if (change.table === 'job') {
        if (change.type === 'put') note(change.row)
        else forget(change.key)
        isNews = true
      }
      isNews ||= change.table === 'agent' || change.table === 'task'
    }
    if (isNews && jobs.size > 0 && !isChanged) isChanged = context.self.tell({ type: 'changed' })
  })
  if (jobs.size > 0) isChanged = context.self.tell({ type: 'changed' })

  function note(job: JobRow): void {
    const key = jobKeyText(job.key)
    if (view.config(job.configId)?.everyHost === true) jobs.add(key)
    else forget(key)
  }

  function forget(key: string): void {
    jobs.delete(key)
    short.delete(key)
    surplusSince.delete(key)
  }

  function look(): void {
    isChanged = false
    if (jobs.size === 0) return
    context.startTimer('look', LOOK_MS, { type: 'look' })
    if (ledger.refusal() !== null) return
    for (const key of jobs) {
      const job = view.rows('job').get(key)
      if (job !== undefined) keep(job)
    }
  }

  function keep(job: JobRow): void {
    const active = view.activeTasksOfJob(job.key)
    const plan = everyHostPlan(placement.allowedHosts(job.configId), active, tasksMax)
    const { wallMs, monoMs } = context.now()
    const insert = plan.insert.slice(0, withinQuota(job, plan.insert.length))
    if (insert.length > 0) {
      const made = insertTasks({
        job: job.key,
        configId: job.configId,
        instances: insert,
        taken: new Set(active.map(task => task.instance)),
        nowMs: wallMs,
        who: 'every-host keeper',
        scheduler: schedulerName,
        newTaskId: (key, instance) => newTaskId(key, instance, uuid()),
      })
      if (made.type === 'rejected') return
      inserted += insert.length
      const row: JobRow = { ...job, instanceCount: plan.hosts }
      ledger.stage({
        cause: { who: 'every-host keeper', why: 'hosts without an instance', wallMs },
        changes: [{ type: 'put', table: 'job', key: jobKeyText(job.key), row }, ...made.changes],
      })
    }
    if (isSurplusForLong(jobKeyText(job.key), plan.end.length > 0, monoMs)) for (const taskId of plan.end) end(taskId)
    if (plan.hosts > tasksMax) {
      context.log.warn('every-host-too-many', { job: jobKeyText(job.key), hosts: plan.hosts, tasksMax })
    }
  }

  function isSurplusForLong(job: string, isSurplus: boolean, monoMs: number): boolean {
    if (!isSurplus) surplusSince.delete(job)
    else if (!surplusSince.has(job)) surplusSince.set(job, monoMs)
    return isSurplus && monoMs - (surplusSince.get(job) ?? monoMs) >= SURPLUS_MS
  }

  /** How many of so many more instances may be; a host that comes is no reason to take more than the role was given. */
  function withinQuota({ key, configId }: JobRow, wanted: number): number {
    const config = view.config(configId)
    const quotas = options.quotas?.()
    const job = jobKeyText(key)
    const fault = config === undefined || wanted === 0 ? null : (quotas?.addFault(key.role, config, wanted) ?? null)
    if (config === undefined || fault === null) {
      short.delete(job)
      return wanted
    }
    if (!short.has(job)) {
      short.add(job)
      context.log.warn('every-host-over-quota', { job, wanted, detail: fault.detail })
    }
    let [fits, tooMany] = [0, wanted]
    while (tooMany - fits > 1) {
      const middle = Math.floor((fits + tooMany) / 2)
      if (quotas?.addFault(key.role, config, middle) == null) fits = middle
      else tooMany = middle
    }
    return fits
  }

  function end(taskId: TaskId): void {
    ended++
    tasks.tell({
      type: 'propose',
      taskId,
      to: 'KILLING',
      message: 'No host is without an instance of the job: the one it was for has gone',
      who: 'every-host keeper',
    })
  }

  return {
    receive(message) {
      if (message.type === 'changed') context.startTimer('look', SOON_MS, { type: 'look' })
      else look()
    },
    stopping: () => unsubscribe(),
    summary: () => ({ jobs: jobs.size, overQuota: short.size, inserted, ended }),
  }
}
