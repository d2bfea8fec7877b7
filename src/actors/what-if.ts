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
import { type Bag, EMPTY, plus, times } from '../core/quota/bag.ts'
import { NO_QUOTA } from '../core/quota/quota-check.ts'
import { poolOf } from '../core/quota/role-use.ts'
import { namedAgents } from '../core/whatif/named-hosts.ts'
import { type Plan, type PlanOptions, plan, type WhatIf } from '../core/whatif/plan.ts'
import type { ActorSpec, Behaviour, Context, Ref } from './actor.ts'
import { machines } from './job-keeper.ts'
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
    const agents = [...view.agents()]
    const drain = namedAgents(command.drain, agents, 'drain')
    const lose = namedAgents(command.lose, agents, 'lose')
    const faults: Fault[] = [...drain.faults, ...lose.faults]
    if (faults.length > 0) {
      const detail = faults.map(({ text }) => text).join('; ')
      const remedy = 'See which hosts and attributes there are: daybreak cluster status'
      return void command.replyTo.tell(rejected('INVALID_REQUEST', detail, { faults, remedy }))
    }
    const { apply, ...result } = admitted(command)
    const what: WhatIf = { drain: without(drain.ids, lose.ids), lose: lose.ids, apply }
    const { wallMs, monoMs } = context.now()
    const seed = command.seed ?? context.random.int(0, 2 ** 32)
    const steps = plan(what, { view, isConnected: options.isConnected, nowMs: wallMs, seed, ...options.planning })
    running.push({ command, steps, result, startedMs: monoMs })
    trials++
    if (running.length === 1) context.self.tell({ type: 'stepOn' })
  }

  /** One step of one trial a turn. */
  function stepOn(): void {
    const next = running.shift()
    if (next === undefined) return
    const { command, steps, result, startedMs } = next
    if (context.now().monoMs - startedMs > TRIAL_MS_MAX) {
      const detail = `The trial was given up after ${TRIAL_MS_MAX / 1000} s`
      command.replyTo.tell(rejected('BUSY', detail, { remedy: 'Ask when the scheduler has less to do.' }))
    } else {
      const step = steps.next()
      if (step.done === true) {
        const outcome: TriedOut = { type: 'triedOut', plan: step.value, ...result }
        ledger.whenLeased(
          () => void command.replyTo.tell(outcome),
          reason => void command.replyTo.tell(reason),
        )
      } else {
        running.push(next)
      }
    }
    if (running.length > 0) context.self.tell({ type: 'stepOn' })
  }

  function admitted({ apply, isCreation }: TryOut): { readonly apply: WhatIf['apply'] } & Running['result'] {
    const quotas = options.quotas()
    const known = machines(view, placement)
    const refused: Refused[] = []
    const warnings: TriedOut['warnings'][number][] = []
    const taken: WhatIf['apply'][number][] = []
    /** What production of each role would take more, by the jobs so far: those of one trial must fit together. */
    const planned = new Map<string, Bag>()
    for (const job of apply) {
      const key = jobKeyText(job.key)
      const answer = admit(job, admission, known)
      if (answer.type === 'rejected') {
        refused.push({ key, rejection: answer })
        continue
      }
      const { key: jobKey, task, instanceCount } = answer.job
      const active = view.activeTasksOfJob(jobKey).length
      if (isCreation && active > 0) {
        refused.push({ key, rejection: rejected('JOB_EXISTS', `Job ${key} already exists`) })
        continue
      }
      const added = Math.max(0, instanceCount - active)
      const { role } = jobKey
      const beside = planned.get(role) ?? EMPTY
      const overQuota = quotas.addFault(role, task, added, beside)
      if (overQuota !== null) {
        refused.push({ key, rejection: overQuota })
        continue
      }
      if (poolOf(task) === 'prodShared') planned.set(role, plus(beside, times(task.resources, added)))
      for (const text of answer.warnings) warnings.push({ key, text })
      const config = everyHostCount(answer.job)
      taken.push({ job: config, configId: configIdOf(task, sha256) })
    }
    const left = [...planned].map(([role, more]) => ({ role, left: quotaLeft(quotas, role, more) }))
    return { apply: taken, refused, warnings, quotaLeft: left.sort((a, b) => compareIds(a.role, b.role)) }
  }

  /** Of a job with one instance on every host there are as many as there are hosts now. */
  function everyHostCount(job: JobConfiguration): JobConfiguration {
    return job.task.everyHost === true ? { ...job, instanceCount: placement.offers().length } : job
  }

  return {
    receive(message) {
      if (message.type === 'tryOut') tryOut(message)
      else stepOn()
    },
    stopping() {
      for (const { command } of running) command.replyTo.tell(rejected('NOT_LEADER'))
      running = []
    },
    summary: () => ({ running: running.length, trials }),
  }
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
