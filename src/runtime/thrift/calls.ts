/**
 * Every call of Aurora's interface in one table: who may make it, and what answers it. Those whose engine this version
 * does not have stand here too, and say so.
 */
import { isIdentifier, type JobKey } from '../../core/base/ids.ts'
import type { Call } from '../../wire/thrift/message.ts'
import type { MethodName } from '../../wire/thrift/methods.ts'
import { METHODS } from '../../wire/thrift/methods.ts'
import { readKey } from '../../wire/thrift/task-config-mapping.ts'
import type { Arguments, Struct } from '../../wire/thrift/types.ts'
import * as change from './mutations.ts'
import * as read from './reads.ts'
import { type Answer, failed } from './response.ts'

type Handler<M extends MethodName> =
  | { readonly kind: 'read'; readonly answer: (world: read.ReadWorld, args: Arguments<M>) => Answer }
  | {
      readonly kind: 'change'
      readonly answer: (caller: change.Caller, args: Arguments<M>) => Promise<change.Outcome>
    }
  | { readonly kind: 'unbuilt'; readonly engine: string }

const reads = <M extends MethodName>(answer: (world: read.ReadWorld, args: Arguments<M>) => Answer): Handler<M> => {
  return { kind: 'read', answer }
}
const changes = <M extends MethodName>(
  answer: (caller: change.Caller, args: Arguments<M>) => Promise<change.Outcome>,
): Handler<M> => ({ kind: 'change', answer })
const unbuilt = (engine: string): { readonly kind: 'unbuilt'; readonly engine: string } => ({ kind: 'unbuilt', engine })

const UPDATES = unbuilt('updates')
const CRON = unbuilt('cron')
const MAINTENANCE = unbuilt('maintenance')

const HANDLERS: { readonly [M in MethodName]: Handler<M> } = {
  getRoleSummary: reads(read.getRoleSummary),
  getJobSummary: reads(read.getJobSummary),
  getTasksStatus: reads(read.getTasksStatus),
  getTasksWithoutConfigs: reads(read.getTasksWithoutConfigs),
  getPendingReason: reads(read.getPendingReason),
  getConfigSummary: reads(read.getConfigSummary),
  getJobs: reads(read.getJobs),
  getQuota: reads(read.getQuota),
  populateJobConfig: reads(read.populateJobConfig),
  getJobUpdateDiff: reads(read.getJobUpdateDiff),
  getTierConfigs: reads(read.getTierConfigs),
  createJob: changes(change.createJob),
  killTasks: changes(change.killTasks),
  restartShards: changes(change.restartShards),
  addInstances: changes(change.addInstances),
  setQuota: changes(change.setQuota),
  forceTaskState: changes(change.forceTaskState),
  pruneTasks: changes(change.pruneTasks),
  triggerExplicitTaskReconciliation: changes(change.triggerExplicitTaskReconciliation),
  triggerImplicitTaskReconciliation: changes(change.triggerImplicitTaskReconciliation),
  performBackup: changes(change.performBackup),
  listBackups: changes(change.listBackups),
  stageRecovery: changes(change.stageRecovery),
  queryRecovery: changes(change.queryRecovery),
  deleteRecoveryTasks: changes(change.deleteRecoveryTasks),
  commitRecovery: changes(change.commitRecovery),
  unloadRecovery: changes(change.unloadRecovery),
  snapshot: changes(change.snapshot),

  // A line goes from here when its engine is built.
  getJobUpdateSummaries: UPDATES,
  getJobUpdateDetails: UPDATES,
  startJobUpdate: UPDATES,
  pauseJobUpdate: UPDATES,
  resumeJobUpdate: UPDATES,
  abortJobUpdate: UPDATES,
  rollbackJobUpdate: UPDATES,
  pulseJobUpdate: UPDATES,
  scheduleCronJob: CRON,
  replaceCronTemplate: CRON,
  descheduleCronJob: CRON,
  startCronJob: CRON,
  startMaintenance: MAINTENANCE,
  drainHosts: MAINTENANCE,
  slaDrainHosts: MAINTENANCE,
  maintenanceStatus: MAINTENANCE,
  endMaintenance: MAINTENANCE,
}

/** Calls that are answered with a clear refusal until their engine is there. */
export const UNBUILT: readonly MethodName[] = (Object.keys(HANDLERS) as MethodName[]).filter(
  name => HANDLERS[name].kind === 'unbuilt',
)

/** What the call needs: nothing, a right to the job it is about, or one to administer. */
export type Need =
  | { readonly type: 'none' }
  | { readonly type: 'job'; readonly method: MethodName; readonly key: JobKey | null }
  | { readonly type: 'admin'; readonly method: MethodName }

export function needOf(call: Call): Need {
  const { method } = call
  switch (METHODS[method].service) {
    case 'ReadOnlyScheduler':
      return { type: 'none' }
    case 'AuroraAdmin':
      return { type: 'admin', method }
    case 'AuroraSchedulerManager': {
      const given = keyOf(call)
      const key = given === undefined ? null : readKey(given)
      const isWhole = key !== null && [key.role, key.environment, key.name].every(isIdentifier)
      return { type: 'job', method, key: isWhole ? key : null }
    }
  }
}

/** The one argument that says which job a call is about. */
function keyOf({ args }: Call): Struct<'JobKey'> | undefined {
  if ('job' in args) return args.job
  if ('description' in args) return args.description?.key
  if ('config' in args) return args.config?.key
  if ('request' in args) return args.request?.taskConfig?.job
  if (!('key' in args) || args.key === undefined) return undefined
  return 'jobKey' in args.key ? args.key.jobKey : 'job' in args.key ? args.key.job : undefined
}

/** What the call came to. Reads are made from the leader's state as it is now. */
export function answerOf(call: Call, world: read.ReadWorld, caller: change.Caller): Answer | Promise<change.Outcome> {
  const handler = HANDLERS[call.method] as Handler<MethodName>
  switch (handler.kind) {
    case 'read':
      return handler.answer(world, call.args as Arguments<MethodName>)
    case 'change':
      return handler.answer(caller, call.args as Arguments<MethodName>)
    case 'unbuilt':
      return failed(
        'INVALID_REQUEST',
        `${call.method} is not answered: this version of Daybreak has no ${handler.engine} engine.`,
      )
  }
}

/** The arguments as they may stand in a log: what an executor is given is long, and may hold secrets. */
export function argumentsText({ args }: Call): string {
  const text = JSON.stringify(args, (name, value: unknown) => (name === 'executorConfig' ? 'BLANKED' : value))
  return text.length <= LOGGED_MAX ? text : `${text.slice(0, LOGGED_MAX)}… (${text.length} letters)`
}
const LOGGED_MAX = 4_096
