/**
 * QuotaKeeper: what each role may use and what it uses. One on the leader. It follows the ledger's staged changes, and
 * every question first takes them in, so that of two requests that only fit alone the second is refused.
 *
 * Source: the scheduling spec, section 11, items D4 and D17.
 */
import { type Rejection, rejected } from '../core/base/rejection.ts'
import type { TaskConfig } from '../core/job/task-config.ts'
import { requestChange, requestOutcome } from '../core/ledger/request-outcomes.ts'
import type { Quota, QuotaRow, Rows, TableName } from '../core/ledger/rows.ts'
import { type Bag, QUOTA_KINDS } from '../core/quota/bag.ts'
import { type Amount, consumption } from '../core/quota/consumption.ts'
import { QuotaCheck } from '../core/quota/quota-check.ts'
import { type JobChange, type Pools, RoleUse } from '../core/quota/role-use.ts'
import type { ActorSpec, Behaviour, Context, Ref } from './actor.ts'
import type { Ledger, LedgerChange } from './ledger.ts'
import { type Metrics, silentMetrics } from './ports.ts'

interface Request {
  readonly requestId: string
  readonly fingerprint: string
  readonly user: string
  readonly role: string
  readonly replyTo: Ref<QuotaSet | Rejection>
}
export interface SetQuota extends Request {
  readonly type: 'setQuota'
  readonly quota: Quota
}
/** Added to what is there: two who add at the same time both get what they asked for. */
export interface IncreaseQuota extends Request {
  readonly type: 'increaseQuota'
  /** May be negative. */
  readonly by: Quota
}
export type Command = SetQuota | IncreaseQuota

export interface QuotaSet {
  readonly type: 'quotaSet'
  readonly role: string
  readonly quota: Quota
}

/** Plain reads on staged state. */
export interface QuotaView {
  /** Undefined: none was ever set, which counts as zero. */
  quotaOf(role: string): Quota | undefined
  /** `planned`: a change that is counted as if it were under way. */
  useOf(role: string, planned?: JobChange): Pools
  /** Roles that have a quota or use something. */
  roles(): readonly string[]
  /** Whether so many more instances of the configuration may be; null: yes. */
  addFault(role: string, config: TaskConfig, added: number): Rejection | null
  /** Whether a job may be changed so, beside others that are only planned; null: yes. */
  updateFault(change: JobChange, beside?: Bag): Rejection | null
}

export interface QuotaKeeperOptions {
  readonly ledger: Ledger
  readonly metrics?: Metrics
  readonly publish: (view: QuotaView) => void
}

type Message = Command | { readonly type: 'gaugesDue' }

const GAUGES_MS = 15_000

export function quotaKeeperSpec(options: QuotaKeeperOptions): ActorSpec<Command> {
  const spec: ActorSpec<Message> = {
    name: 'quota-keeper',
    kind: 'QuotaKeeper',
    mailbox: {
      capacity: 1_000,
      onRefused: message => {
        if ('replyTo' in message) message.replyTo.tell(rejected('BUSY'))
      },
    },
    start: context => quotaKeeper(context, options),
  }
  return spec as ActorSpec<Command>
}

function quotaKeeper(context: Context<Message>, options: QuotaKeeperOptions): Behaviour<Message> {
  const { ledger, metrics = silentMetrics } = options
  const { view } = ledger
  const use = new RoleUse(view)
  const check = new QuotaCheck(view, use)
  let changes: LedgerChange[] = []
  let isStopped = false
  /** What was last told to the metrics, by name and labels. */
  let told = new Map<string, Amount>()

  const unsubscribe = ledger.subscribe('staged', change => {
    changes.push(change)
    // Nobody may ask for hours: what waits here stays small all the same.
    if (changes.length >= CHANGES_MAX) takeIn()
  })
  function takeIn(): void {
    const taken = changes
    changes = []
    for (const { changes: rows } of taken) {
      for (const { change, before } of rows) use.apply(change, before as Rows[TableName] | undefined)
    }
  }
  /** While the keeper is being restarted others still hold its view, and nobody tells it of changes: it counts anew then. */
  function current(): RoleUse {
    if (isStopped) return new RoleUse(view)
    takeIn()
    return use
  }
  options.publish({
    quotaOf: role => view.quota(role)?.quota,
    useOf: (role, planned) => current().of(role, planned),
    roles: () => [...new Set([...view.rows('quota').keys(), ...current().roles()])].sort(),
    addFault: (...asked) => new QuotaCheck(view, current()).addFault(...asked),
    updateFault: (...asked) => new QuotaCheck(view, current()).updateFault(...asked),
  })

  function commanded(command: Command): void {
    const { role, requestId, fingerprint, user, replyTo } = command
    const refusal = ledger.refusal()
    if (refusal !== null) return void replyTo.tell(refusal)
    const known = requestOutcome(view, requestId, fingerprint)
    if (known.type === 'conflict') return answer(replyTo, known.rejection)
    if (known.type === 'done') return answer(replyTo, known.outcome as QuotaSet)
    takeIn()
    const quota = command.type === 'setQuota' ? command.quota : increased(check.quotaOf(role), command.by)
    const fault =
      (command.type === 'increaseQuota' ? check.increaseFault(role, command.by) : null) ?? check.setFault(role, quota)
    if (fault !== null) return answer(replyTo, fault)
    const { wallMs } = context.now()
    const row: QuotaRow = { v: 1, role, quota }
    const outcome: QuotaSet = { type: 'quotaSet', role, quota }
    const why = command.type === 'setQuota' ? 'quota set' : 'quota increased'
    ledger.stage(
      {
        cause: { who: user, why, requestId, wallMs },
        changes: [
          { type: 'put', table: 'quota', key: role, row },
          requestChange(requestId, fingerprint, outcome, wallMs),
        ],
      },
      () => {
        // Only now: the line says who did it, so it must not tell of what has not been done.
        context.log.info('quota-set', { role, user, ...quota })
        replyTo.tell(outcome)
      },
      reason => void replyTo.tell(reason),
    )
  }

  function answer(replyTo: Ref<QuotaSet | Rejection>, said: QuotaSet | Rejection): void {
    ledger.whenLeased(
      () => void replyTo.tell(said),
      reason => void replyTo.tell(reason),
    )
  }

  function gauge(): void {
    takeIn()
    const gone = told
    told = new Map()
    for (const amount of consumption(use, view.rows('quota').values())) {
      const key = JSON.stringify([amount.name, amount.labels])
      gone.delete(key)
      told.set(key, amount)
      metrics.gauge(amount.name, amount.value, amount.labels)
    }
    zero(gone)
  }
  /** A role that is gone takes nothing; and when another node leads, it tells all of this. */
  function zero(amounts: ReadonlyMap<string, Amount>): void {
    for (const { name, labels } of amounts.values()) metrics.gauge(name, 0, labels)
  }
  gauge()
  context.startPeriodicTimer('gauges', GAUGES_MS, { type: 'gaugesDue' })

  return {
    receive(message) {
      if (message.type === 'gaugesDue') gauge()
      else commanded(message)
    },
    stopping: () => {
      isStopped = true
      unsubscribe()
      zero(told)
    },
    summary: () => ({ quotas: view.rows('quota').size, rolesInUse: use.roles().size, changesWaiting: changes.length }),
  }
}

const CHANGES_MAX = 256

function increased(quota: Quota, by: Quota): Quota {
  const sum: { -readonly [K in keyof Quota]: Quota[K] } = { cpusMilli: 0, ramMb: 0, diskMb: 0 }
  for (const { type } of QUOTA_KINDS) {
    if (quota[type] !== undefined || by[type] !== undefined) sum[type] = (quota[type] ?? 0) + (by[type] ?? 0)
  }
  return sum
}
