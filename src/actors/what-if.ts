/**
 * WhatIf: trials on a copy of the live state, for people who want to know before they do. One on the leader; it reads and
 * never stages. A trial is cut into turns, so everything else goes on beside it; there are few at a time, each for a
 * bounded time.
 */
import type { AgentId } from '../core/base/ids.ts'
import { compareIds, jobKeyText } from '../core/base/ids.ts'
import { type Fault, type Rejection, rejected } from '../core/base/rejection.ts'
import { type AdmissionSettings, admit } from '../core/job/admission.ts'
import { configIdOf } from '../core/job/canonical-config.ts'
import type { JobConfiguration } from '../core/job/task-config.ts'
import type { Quota } from '../core/ledger/rows.ts'
import { type Bag, EMPTY, minus, plus } from '../core/quota/bag.ts'
import { jobChange } from '../core/quota/job-change.ts'
import { NO_QUOTA } from '../core/quota/quota-check.ts'
import { poolOf, sidesOf } from '../core/quota/role-use.ts'
import { type NamedAgents, namedAgents } from '../core/whatif/named-hosts.ts'
import { type Plan, type PlanOptions, plan, type WhatIf } from '../core/whatif/plan.ts'
import type { ActorSpec, Behaviour, Context, Ref } from './actor.ts'
import { existsFault, hostsWanted, machines, updatingFault } from './job-keeper.ts'
import type { Ledger } from './ledger.ts'
import type { PlacementView } from './offer-broker.ts'
import type { QuotaView } from './quota-keeper.ts'

export interface TryOut {
  readonly type: 'tryOut'
  /** Host names, agent ids, or `attribute=value`. */
  readonly drain: readonly string[]
  readonly lose: readonly string[]
  readonly apply: readonly JobConfiguration[]
  /** The jobs are to be created: one that exists already is refused, as a creation would be. */
  readonly isCreation: boolean
  /** Null: drawn. */
  readonly seed: number | null
  readonly replyTo: Ref<TriedOut | Rejection>
}
export type Command = TryOut

/** What admission says of a job that is to be applied. */
export interface Refused {
  readonly key: string
  readonly rejection: Rejection
}

export interface TriedOut {
  readonly type: 'triedOut'
  readonly plan: Plan
  /** Jobs that would not be admitted; they are not part of the plan. */
  readonly refused: readonly Refused[]
  readonly warnings: readonly { readonly key: string; readonly text: string }[]
  /** Of the roles whose production jobs were applied: what is left of their quota afterwards. */
  readonly quotaLeft: readonly { readonly role: string; readonly left: Quota }[]
}

export interface WhatIfOptions {
  readonly ledger: Ledger
  readonly placement: PlacementView
  readonly isConnected: (id: AgentId) => boolean
  readonly admission: AdmissionSettings
  readonly quotas: () => QuotaView
  readonly sha256: (text: string) => string
  readonly planning: Pick<
    PlanOptions,
    'overhead' | 'tiers' | 'offerOrder' | 'unavailabilityThresholdMs' | 'isPreemptionEnabled'
  >
}

interface Running {
  readonly command: TryOut
  readonly steps: Generator<undefined, Plan>
  readonly result: Omit<TriedOut, 'plan' | 'type'>
  readonly startedMs: number
  readonly seed: number
}

type Message = Command | { readonly type: 'stepOn' }

const TRIALS_MAX = 2
const TRIAL_MS_MAX = 30_000

export function whatIfSpec(options: WhatIfOptions): ActorSpec<Command> {
  const spec: ActorSpec<Message> = {
    name: 'what-if',
    kind: 'WhatIf',
    mailbox: {
      capacity: 100,
      onRefused: message => {
        if ('replyTo' in message) message.replyTo.tell(rejected('BUSY'))
      },
    },
    start: context => whatIf(context, options),
  }
  return spec as ActorSpec<Command>
}

function whatIf(context: Context<Message>, options: WhatIfOptions): Behaviour<Message> {
  const { ledger, placement, admission, sha256 } = options
  const { view } = ledger
  let running: Running[] = []
  let trials = 0

  function tryOut(command: TryOut): void {
    const refusal = ledger.refusal()
    if (refusal?.code === 'NOT_LEADER') return void command.replyTo.tell(refusal)
    if (running.length >= TRIALS_MAX) {
      const detail = `${TRIALS_MAX} trials are under way already`
      return void command.replyTo.tell(rejected('BUSY', detail, { remedy: 'Ask again in a few seconds.' }))
    }
    const { drain, lose } = command
    const named = namedAgents({ drain, lose }, [...view.agents()])
    if (named.faults.length > 0) return void command.replyTo.tell(unknownHosts(named))
    const twice = namedTwice(command.apply)
    if (twice !== null) return void command.replyTo.tell(twice)
    const { ids } = named
    const { apply, ...result } = admitted(command, new Set([...ids.drain, ...ids.lose]))
    const what: WhatIf = { drain: without(ids.drain, ids.lose), lose: ids.lose, apply }
    const { wallMs, monoMs } = context.now()
    const seed = command.seed ?? context.random.int(0, 2 ** 32)
    const { tasksPerJobMax } = admission
    const { isConnected, planning } = options
    const steps = plan(what, { view, isConnected, tasksPerJobMax, nowMs: wallMs, seed, ...planning })
    running.push({ command, steps, result, startedMs: monoMs, seed })
    trials++
    if (running.length === 1) context.self.tell({ type: 'stepOn' })
  }

  /** One step of one trial a turn. */
  function stepOn(): void {
    const next = running.shift()
    if (next === undefined) return
    const { command, steps, result, startedMs, seed } = next
    if (context.now().monoMs - startedMs > TRIAL_MS_MAX) {
      const detail = `The trial was given up after ${TRIAL_MS_MAX / 1000} s`
      command.replyTo.tell(rejected('BUSY', detail, { remedy: 'Ask when the scheduler has less to do.' }))
    } else {
      orFailed(command, seed, () => {
        const step = steps.next()
        if (step.done !== true) return void running.push(next)
        const outcome: TriedOut = { type: 'triedOut', plan: step.value, ...result }
        ledger.whenLeased(
          () => void command.replyTo.tell(outcome),
          reason => void command.replyTo.tell(reason),
        )
      })
    }
    if (running.length > 0) context.self.tell({ type: 'stepOn' })
  }

  /** A bug in one trial ends that trial, whose caller is told at once; the others go on. */
  function orFailed({ replyTo }: TryOut, seed: number | null, work: () => void): void {
    try {
      work()
    } catch (cause) {
      const because = cause instanceof Error ? cause.message : String(cause)
      context.log.error('what-if-failed', { because, seed, stack: cause instanceof Error ? cause.stack : undefined })
      const remedy = 'Nothing was changed. The log of this node tells more, as what-if-failed; please report it.'
      replyTo.tell(rejected('INTERNAL', `The trial failed: ${because}`, { remedy }))
    }
  }

  /** `gone`: agents that take nothing in the trial. */
  function admitted(
    { apply, isCreation }: TryOut,
    gone: ReadonlySet<AgentId>,
  ): { readonly apply: WhatIf['apply'] } & Running['result'] {
    const quotas = options.quotas()
    const known = machines(view, placement)
    const refused: Refused[] = []
    const warnings: TriedOut['warnings'][number][] = []
    const taken: WhatIf['apply'][number][] = []
    /** What production of each role would take more while the jobs so far change: those of one trial must fit together. */
    const planned = new Map<string, Bag>()
    /** The same when they have changed. */
    const settled = new Map<string, Bag>()
    for (const job of apply) {
      const key = jobKeyText(job.key)
      const answer = admit(job, admission, known)
      if (answer.type === 'rejected') {
        refused.push({ key, rejection: answer })
        continue
      }
      const wanted = everyHostCount(answer.job, gone)
      const { key: jobKey, task } = wanted
      const { role } = jobKey
      const configId = configIdOf(task, sha256)
      const change = jobChange(view, wanted, configId)
      const beside = planned.get(role) ?? EMPTY
      const refusal =
        updatingFault(view, jobKey) ??
        (isCreation ? existsFault(view, jobKey) : null) ??
        quotas.updateFault(change, beside)
      if (refusal !== null) {
        refused.push({ key, rejection: refusal })
        continue
      }
      const { before, after } = sidesOf(change)
      if ([task, ...change.initial.map(part => part.config)].some(config => poolOf(config) === 'prodShared')) {
        const more = minus(quotas.useOf(role, change).prodShared, quotas.useOf(role).prodShared)
        planned.set(role, plus(beside, more))
        const settledMore = minus(after.prodShared, before.prodShared)
        settled.set(role, plus(settled.get(role) ?? EMPTY, settledMore))
      }
      for (const text of answer.warnings) warnings.push({ key, text })
      taken.push({ job: wanted, configId })
    }
    const left = [...settled].map(([role, more]) => ({ role, left: quotaLeft(quotas, role, more) }))
    return { apply: taken, refused, warnings, quotaLeft: left.sort((a, b) => compareIds(a.role, b.role)) }
  }

  /** Of a job with one instance on every host there are as many as hosts that it is allowed on, without those that go. */
  function everyHostCount(job: JobConfiguration, gone: ReadonlySet<AgentId>): JobConfiguration {
    if (job.task.everyHost !== true) return job
    const allowed = placement.allowedHosts(job.task).filter(id => !gone.has(id))
    return { ...job, instanceCount: hostsWanted(allowed, admission) }
  }

  return {
    receive(message) {
      if (message.type === 'tryOut') orFailed(message, message.seed, () => tryOut(message))
      else stepOn()
    },
    stopping() {
      for (const { command } of running) command.replyTo.tell(rejected('NOT_LEADER'))
      running = []
    },
    summary: () => ({ running: running.length, trials }),
  }
}

function unknownHosts({ faults, faultsUnlisted }: NamedAgents<'drain' | 'lose'>): Rejection {
  const texts = faults.map(({ text }) => text)
  if (faultsUnlisted > 0) texts.push(`and ${faultsUnlisted} more`)
  const remedy = 'See which hosts and attributes there are: daybreak cluster status'
  return rejected('INVALID_REQUEST', texts.join('; '), { faults, remedy })
}

/** Which of the two would be meant is not for a trial to guess. */
function namedTwice(apply: readonly JobConfiguration[]): Rejection | null {
  const firstAt = new Map<string, number>()
  const faults: Fault[] = []
  apply.forEach(({ key }, at) => {
    const job = jobKeyText(key)
    const first = firstAt.get(job)
    if (first === undefined) firstAt.set(job, at)
    else faults.push({ path: `apply[${at}].key`, text: `${job} is to be tried twice: it is apply[${first}] already` })
  })
  if (faults.length === 0) return null
  const detail = faults.map(({ text }) => text).join('; ')
  return rejected('INVALID_REQUEST', detail, { faults, remedy: 'Name each job once.' })
}

function quotaLeft(quotas: QuotaView, role: string, planned: Bag): Quota {
  const quota = quotas.quotaOf(role) ?? NO_QUOTA
  const used = plus(quotas.useOf(role).prodShared, planned)
  return {
    cpusMilli: quota.cpusMilli - used.cpusMilli,
    ramMb: quota.ramMb - used.ramMb,
    diskMb: quota.diskMb - used.diskMb,
    ...(quota.gpus === undefined ? {} : { gpus: quota.gpus - used.gpus }),
  }
}

function without<T>(all: ReadonlySet<T>, some: ReadonlySet<T>): ReadonlySet<T> {
  return new Set([...all].filter(one => !some.has(one)))
}
