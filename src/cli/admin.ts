import type { Command } from 'commander'
import { isTerminal, TASK_STATUSES, type TaskStatus } from '../core/task/status.ts'
import type {
  ForcedView,
  ForceState,
  HeldReleasedView,
  PrunedView,
  PruneTasks,
  Reconcile,
  ReconcileStartedView,
  ReleaseHeld,
} from '../wire/rest.ts'
import { clusterUrl } from './clusters.ts'
import { action, type CommonOptions, collect, parseCount, parseDuration, remote, type Session } from './command.ts'
import { CLIENT_EXIT, type ClientExit } from './exit-status.ts'
import { CliFailure, type Io } from './io.ts'
import { example } from './job.ts'
import { say, sayJson } from './report.ts'
import { type RestClient, restClient } from './rest-client.ts'
import { printable } from './screen.ts'

interface ClusterOptions extends CommonOptions {
  readonly cluster: string
}
interface AdminOptions extends ClusterOptions {
  readonly reason: string
}
interface ReconcileOptions extends ClusterOptions {
  readonly explicit?: boolean
  readonly implicit?: boolean
  readonly batchSize?: string
}
interface PruneOptions extends AdminOptions {
  readonly job: readonly string[]
  readonly role?: string
  readonly host: readonly string[]
  readonly status: readonly string[]
  readonly limit?: string
  readonly all?: boolean
}

/** The verbs of `daybreak admin`: what an operator does by hand; with a reason where it changes tasks. */
export function registerAdmin(program: Command, session: Session): void {
  const admin = program.command('admin').description('put tasks right by hand, and release what a brake holds')
  asked(admin.command('force-state'))
    .summary('force a task into a status')
    .description(
      'Moves a task as if its agent, a user or a timer had asked: only where a task of its status may go. DELETED forgets an ended task. Who asked and why stand in its history.',
    )
    .argument('<task>', 'id of the task, as `job status --json` shows it')
    .argument('<status>', 'such as RESTARTING, DRAINING, KILLING, LOST, DELETED')
    .addHelpText('after', example("admin force-state TASK LOST --reason 'the machine was scrapped'"))
    .action(
      action(session, (io, task: string, status: string, options: AdminOptions) =>
        forceState(io, task, status, options),
      ),
    )
  asked(admin.command('prune'))
    .summary('forget ended tasks before their time')
    .description(
      'Forgets ended tasks that match all filters, the ones that ended first in front. No filter needs --all.',
    )
    .option('--job <key>', 'ROLE/ENV/NAME; may be given several times', collect, [])
    .option('--role <role>', 'tasks of the jobs of this role')
    .option('--host <host>', 'tasks that were on this host; may be given several times', collect, [])
    .option('--status <status>', 'FINISHED, FAILED, KILLED, LOST; may be given several times', collect, [])
    .option('--limit <n>', 'no more than so many')
    .option('--all', 'every ended task of the cluster')
    .addHelpText('after', example("admin prune --job www-data/devel/hello --reason 'its history is noise'"))
    .action(action(session, (io, options: PruneOptions) => prune(io, options)))
  toCluster(admin.command('reconcile'))
    .summary('compare what the agents run with the ledger, now')
    .description(
      'Begins a run that otherwise comes every hour. Explicit: the leader asks for the tasks it believes in, in batches. Implicit: each agent tells all it has. What differs is put right.',
    )
    .option('--explicit', 'ask for known tasks (unless --implicit is given)')
    .option('--implicit', 'ask each agent for its whole list')
    .option('--batch-size <n>', 'tasks in one batch of an explicit run, 1 to 1000')
    .addHelpText('after', example('admin reconcile --implicit'))
    .action(action(session, (io, options: ReconcileOptions) => reconcile(io, options)))
  asked(admin.command('release-held'))
    .summary('let go of what a brake holds')
    .description(
      'Kills the tasks that agents run and the ledger does not know, and gives up the tasks of agents that went away many at once. `cluster status` shows what is held. Holds for what is held now.',
    )
    .argument('[agent...]', 'ids of agents; without any, all that are held')
    .addHelpText('after', example("admin release-held AGENT --reason 'the rack burned down'"))
    .action(action(session, (io, agents: readonly string[], options: AdminOptions) => releaseHeld(io, agents, options)))
}

function asked(command: Command): Command {
  return toCluster(command).requiredOption('--reason <text>', 'why; stands in the history')
}

function toCluster(command: Command): Command {
  return remote(command).option('--cluster <name>', 'name of the cluster', 'local').option('--json', 'print JSON')
}

async function clientOf(io: Io, { cluster, url, timeout }: ClusterOptions): Promise<RestClient> {
  return restClient(io, await clusterUrl(io, cluster, url), { timeoutMs: parseDuration(timeout) })
}

async function forceState(io: Io, task: string, text: string, options: AdminOptions): Promise<ClientExit> {
  const status = text.toUpperCase()
  if (status !== 'DELETED' && !isStatus(status)) throw noStatus(text, [...Object.keys(TASK_STATUSES), 'DELETED'])
  const body: ForceState = { status, reason: options.reason }
  const client = await clientOf(io, options)
  const done = await client.post<ForcedView>(`/api/v1/tasks/${encodeURIComponent(task)}:force-state`, body)
  if (options.json === true) sayJson(io, done)
  else say(io, `Task ${printable(done.taskId)} was ${done.from} and was forced to ${done.to}`)
  return CLIENT_EXIT.ok
}

async function prune(io: Io, options: PruneOptions): Promise<ClientExit> {
  const { role, host, reason, limit, all } = options
  const statuses = options.status.map(text => {
    const status = text.toUpperCase()
    if (isStatus(status) && isTerminal(status)) return status
    throw noStatus(text, ['FINISHED', 'FAILED', 'KILLED', 'LOST'])
  })
  const jobs = options.job.map(text => {
    const [of = '', environment = '', name = '', ...more] = text.split('/')
    if (name !== '' && more.length === 0) return { role: of, environment, name }
    throw new CliFailure(CLIENT_EXIT.usage, `--job is ROLE/ENV/NAME, not '${text}'`)
  })
  const body: PruneTasks = {
    reason,
    ...(role === undefined ? {} : { role }),
    ...(jobs.length === 0 ? {} : { jobs }),
    ...(host.length === 0 ? {} : { hosts: [...host] }),
    ...(statuses.length === 0 ? {} : { statuses }),
    ...(limit === undefined ? {} : { limit: parseCount(limit, '--limit', 1) }),
    ...(all === true ? { all } : {}),
  }
  const done = await (await clientOf(io, options)).post<PrunedView>('/api/v1/tasks:prune', body)
  if (options.json === true) sayJson(io, done)
  else say(io, done.tasks === 0 ? 'No ended tasks match' : `Forgot ${done.tasks} ended tasks`)
  return CLIENT_EXIT.ok
}

async function reconcile(io: Io, options: ReconcileOptions): Promise<ClientExit> {
  const { explicit = false, implicit = false } = options
  if (explicit && implicit)
    throw new CliFailure(CLIENT_EXIT.usage, 'one run is either --explicit or --implicit', {
      remedy: 'ask twice for both',
    })
  const batchSize = options.batchSize === undefined ? undefined : batchSizeOf(options.batchSize)
  const body: Reconcile = {
    kind: implicit ? 'implicit' : 'explicit',
    ...(batchSize === undefined ? {} : { batchSize }),
  }
  const started = await (await clientOf(io, options)).post<ReconcileStartedView>('/api/v1/admin:reconcile', body)
  if (options.json === true) sayJson(io, started)
  else say(io, startedText(started))
  return CLIENT_EXIT.ok
}

function batchSizeOf(text: string): number {
  const size = Number(text)
  if (Number.isInteger(size) && size > 0) return size
  throw new CliFailure(CLIENT_EXIT.usage, 'Batch size must be greater than zero.', {
    remedy: `give --batch-size a whole number from 1 to 1000, not '${text}', or leave it out`,
  })
}

function startedText({ kind, steps, isUnderWay }: ReconcileStartedView): string {
  if (isUnderWay) return `An ${kind} run is under way and goes on; no other was begun`
  const nothing = kind === 'explicit' ? 'no task is bound to an agent' : 'no agent is connected'
  if (steps === 0) return `Nothing to compare: ${nothing}`
  const what = kind === 'explicit' ? counted(steps, 'batch', 'es') : counted(steps, 'agent', 's')
  return `An ${kind} run has begun: ${what} to ask`
}

async function releaseHeld(io: Io, agents: readonly string[], options: AdminOptions): Promise<ClientExit> {
  const body: ReleaseHeld = { reason: options.reason, ...(agents.length === 0 ? {} : { agents: [...agents] }) }
  const done = await (await clientOf(io, options)).post<HeldReleasedView>('/api/v1/admin:release-held', body)
  if (options.json === true) {
    sayJson(io, done)
    return CLIENT_EXIT.ok
  }
  for (const { agentId, host, tasks } of done.killed)
    say(io, `${counted(tasks, 'unknown task', 's')} on ${printable(host)} (${printable(agentId)}) will be killed`)
  for (const agentId of done.away)
    say(io, `Agent ${printable(agentId)} was given up: its tasks become PARTITIONED, those of five agents at a time`)
  const released = new Set([...done.killed.map(one => one.agentId), ...done.away])
  for (const id of agents) if (!released.has(id)) say(io, `Nothing of agent ${printable(id)} was held`)
  if (agents.length === 0 && released.size === 0) say(io, 'Nothing was held')
  return CLIENT_EXIT.ok
}

const counted = (count: number, one: string, plural: string): string => `${count} ${one}${count === 1 ? '' : plural}`

const isStatus = (text: string): text is TaskStatus => Object.hasOwn(TASK_STATUSES, text)

function noStatus(text: string, known: readonly string[]): CliFailure {
  return new CliFailure(CLIENT_EXIT.usage, `There is no status '${text}' here: ${known.join(', ')}`)
}
