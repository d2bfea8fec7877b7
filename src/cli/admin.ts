import type { Command } from 'commander'
import { isTerminal, TASK_STATUSES, type TaskStatus } from '../core/task/status.ts'
import type { ForcedView, ForceState, PrunedView, PruneTasks } from '../wire/rest.ts'
import { clusterUrl } from './clusters.ts'
import { action, type CommonOptions, collect, parseCount, parseDuration, remote, type Session } from './command.ts'
import { CLIENT_EXIT, type ClientExit } from './exit-status.ts'
import { CliFailure, type Io } from './io.ts'
import { example } from './job.ts'
import { say, sayJson } from './report.ts'
import { type RestClient, restClient } from './rest-client.ts'
import { printable } from './screen.ts'

interface AdminOptions extends CommonOptions {
  readonly cluster: string
  readonly reason: string
}
interface PruneOptions extends AdminOptions {
  readonly job: readonly string[]
  readonly role?: string
  readonly host: readonly string[]
  readonly status: readonly string[]
  readonly limit?: string
  readonly all?: boolean
}

/** The verbs of `daybreak admin`: what an operator does to tasks by hand, always with a reason. */
export function registerAdmin(program: Command, session: Session): void {
  const admin = program.command('admin').description('put tasks right by hand')
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
}

function asked(command: Command): Command {
  return remote(command)
    .requiredOption('--reason <text>', 'why; stands in the history')
    .option('--cluster <name>', 'name of the cluster', 'local')
    .option('--json', 'print JSON')
}

async function clientOf(io: Io, { cluster, url, timeout }: AdminOptions): Promise<RestClient> {
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

const isStatus = (text: string): text is TaskStatus => Object.hasOwn(TASK_STATUSES, text)

function noStatus(text: string, known: readonly string[]): CliFailure {
  return new CliFailure(CLIENT_EXIT.usage, `There is no status '${text}' here: ${known.join(', ')}`)
}
