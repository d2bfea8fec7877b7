import type { Command } from 'commander'
import type {
  BackupDiff,
  BackupList,
  BackupRestored,
  BackupTaskList,
  BackupWritten,
  CommitBackup,
  StagedBackupView,
} from '../wire/rest.ts'
import { clusterUrl } from './clusters.ts'
import { action, type CommonOptions, collect, parseDuration, remote, type Session } from './command.ts'
import { CLIENT_EXIT, type ClientExit } from './exit-status.ts'
import { CliFailure, type Io } from './io.ts'
import { example } from './job.ts'
import { say, sayJson } from './report.ts'
import { everyPage, type RestClient, restClient } from './rest-client.ts'
import { printable, styleOf } from './screen.ts'

interface BackupOptions extends CommonOptions {
  readonly cluster: string
}
interface FilterOptions extends BackupOptions {
  readonly job: readonly string[]
  readonly role?: string
  readonly host: readonly string[]
  readonly status: readonly string[]
  readonly instance?: string
  readonly id: readonly string[]
  readonly all?: boolean
}
interface RestoreOptions extends CommonOptions {
  readonly into: string
  readonly otherCluster?: boolean
}
interface CommitOptions extends BackupOptions {
  readonly yes?: boolean
  readonly digest?: string
  readonly force?: boolean
  readonly reason?: string
}

const WRITE_MS_MAX = 120_000

/** Loaded with the first table that is shown. */
const text = () => import('./backup-text.ts')

/** The verbs of `daybreak backup`: those of the leader over REST, and what is done to a file on this machine. */
export function registerBackup(program: Command, session: Session): void {
  const backup = program.command('backup').description('take backups of a cluster, check them and bring one back')
  const verb = (name: string, summary: string): Command =>
    remote(backup.command(name))
      .summary(summary)
      .option('--cluster <name>', 'name of the cluster', 'local')
      .option('--json', 'print JSON')
  verb('now', 'write a backup on the leader')
    .description('Writes a backup on the machine of the leader, reads it back, and says its name.')
    .action(action(session, now))
  verb('list', 'list the backups of the leader')
    .description('Lists the backups in the folder of the leader, the oldest first.')
    .action(action(session, list))
  backup
    .command('verify')
    .summary('check a file from its first byte to its last')
    .description('Reads a backup on this machine whole: checksums, counts and the digest of its rows.')
    .argument('<file>', 'path of a backup')
    .option('--json', 'print JSON')
    .action(
      action(session, async (io, file: string, options: CommonOptions) => {
        const { verifyFile } = await import('./backup-file.ts')
        return verifyFile(io, file, options)
      }),
    )
  backup
    .command('restore')
    .summary('put a backup into the empty log of a new cluster')
    .description(
      'For a cluster that has lost every disk: puts a backup into the log of a member that `daybreak log initialize` has just formatted and that has never run. Do it on every member, with the same file, before any of them starts.',
    )
    .argument('<file>', 'path of a backup')
    .requiredOption('--into <folder>', 'the data folder of the member (data.dir)')
    .option('--other-cluster', 'the new cluster has another id: no agent of the old one will obey it')
    .option('--json', 'print JSON')
    .action(
      action(session, async (io, file: string, options: RestoreOptions) => {
        const { restoreInto } = await import('./backup-file.ts')
        return restoreInto(io, file, options)
      }),
    )
  verb('stage', 'load a backup on the leader, to be looked at')
    .description('Loads a backup into the memory of the leader. Nothing of the cluster changes before `commit`.')
    .argument('<name>', 'as `backup list` shows it')
    .addHelpText('after', example('backup stage scheduler-backup-20261127T150405Z-p000000123456.daybreak'))
    .action(action(session, stage))
  filtered(verb('show', 'show tasks of the loaded backup'))
    .description('Shows the tasks of the loaded backup that match all filters.')
    .action(action(session, show))
  filtered(verb('drop', 'take tasks out of the loaded backup'))
    .description('Takes the tasks that match all filters out of the loaded backup. No filter needs --all.')
    .option('--all', 'every task')
    .action(action(session, drop))
  verb('diff', 'show what a commit would do')
    .description('Shows which tasks a commit would have killed and which replaced, and what happens to jobs.')
    .action(action(session, diff))
  verb('unload', 'put the loaded backup aside')
    .description('Forgets the loaded backup. Nothing of the cluster changes.')
    .action(action(session, unload))
  verb('commit', 'make the loaded backup the state of the cluster')
    .description(
      'Makes the state of the cluster that of the loaded backup, as one change, and begins a new reign. Look at `backup diff` first, and read docs/operating/backup.md.',
    )
    .option('--digest <digest>', 'of the diff that was looked at: it is refused when it would do something else by now')
    .option('--yes', 'whatever the diff of this moment says')
    .option('--force', 'whatever it comes to, even if that has changed since the diff')
    .option('--reason <text>', 'why; stands in the log')
    .addHelpText(
      'after',
      example('backup diff', "backup commit --digest 8f3a90c1 --reason 'a job was killed by mistake'"),
    )
    .action(action(session, commit))
}

function filtered(command: Command): Command {
  return command
    .option('--job <key>', 'ROLE/ENV/NAME; may be given several times', collect, [])
    .option('--role <role>', 'tasks of the jobs of this role')
    .option('--host <host>', 'tasks that were on this host; may be given several times', collect, [])
    .option('--status <status>', 'a status, active or terminal; may be given several times', collect, [])
    .option('--instance <numbers>', 'numbers and ranges: 0,2-4')
    .option('--id <task>', 'id of a task; may be given several times', collect, [])
}

async function clientOf(io: Io, { cluster, url, timeout }: BackupOptions, timeoutMs?: number): Promise<RestClient> {
  return restClient(io, await clusterUrl(io, cluster, url), { timeoutMs: parseDuration(timeout) ?? timeoutMs })
}

/** As the routes take it: lists with commas. */
function filterOf({ job, role, host, status, instance, id }: FilterOptions): Record<string, string> {
  const parts = { role, instance, job: job.join(), host: host.join(), status: status.join(), id: id.join() }
  return Object.fromEntries(Object.entries(parts).filter((part): part is [string, string] => (part[1] ?? '') !== ''))
}

async function now(io: Io, options: BackupOptions): Promise<ClientExit> {
  const done = await (await clientOf(io, options, WRITE_MS_MAX)).post<BackupWritten>('/api/v1/backups', {})
  if (options.json === true) sayJson(io, done)
  else say(io, `Wrote ${printable(done.name)}: ${done.bytes} bytes, as of position ${done.position}`)
  return CLIENT_EXIT.ok
}

async function list(io: Io, options: BackupOptions): Promise<ClientExit> {
  const client = await clientOf(io, options)
  const { items, last } = await everyPage(client, '/api/v1/backups', (page: BackupList) => page.backups)
  const { folder, staged } = last
  const found = { folder, backups: [...items], staged }
  if (options.json === true) sayJson(io, found)
  else io.stdout.write((await text()).filesText(found, io.now(), styleOf(io.stdout, io.env)))
  return CLIENT_EXIT.ok
}

async function stage(io: Io, name: string, options: BackupOptions): Promise<ClientExit> {
  const done = await (await clientOf(io, options)).post<StagedBackupView>('/api/v1/backups:stage', { name })
  if (options.json === true) sayJson(io, done)
  else say(io, `Loaded ${printable(name)}: ${done.tasks} tasks, ${done.jobs} jobs. Next: daybreak backup diff`)
  return CLIENT_EXIT.ok
}

async function show(io: Io, options: FilterOptions): Promise<ClientExit> {
  const client = await clientOf(io, options)
  const pages = (page: BackupTaskList) => page.tasks
  const { items: tasks, last } = await everyPage(client, '/api/v1/backups/tasks', pages, filterOf(options))
  const { staged } = last
  if (options.json === true) sayJson(io, { staged, tasks })
  else io.stdout.write((await text()).tasksText(tasks, styleOf(io.stdout, io.env)))
  return CLIENT_EXIT.ok
}

async function drop(io: Io, options: FilterOptions): Promise<ClientExit> {
  const body = { ...filterOf(options), ...(options.all === true ? { all: true } : {}) }
  const done = await (await clientOf(io, options)).post<StagedBackupView>('/api/v1/backups:drop', body)
  if (options.json === true) sayJson(io, done)
  else say(io, `Dropped ${done.dropped} tasks from ${printable(done.staged ?? '?')}: ${done.tasks} are left`)
  return CLIENT_EXIT.ok
}

async function diff(io: Io, options: BackupOptions): Promise<ClientExit> {
  const found = await (await clientOf(io, options)).get<BackupDiff>('/api/v1/backups/diff')
  if (options.json === true) sayJson(io, found)
  else io.stdout.write((await text()).diffText(found))
  return CLIENT_EXIT.ok
}

async function unload(io: Io, options: BackupOptions): Promise<ClientExit> {
  const done = await (await clientOf(io, options)).post<StagedBackupView>('/api/v1/backups:unload', {})
  if (options.json === true) sayJson(io, done)
  else say(io, 'No backup is loaded')
  return CLIENT_EXIT.ok
}

async function commit(io: Io, options: CommitOptions): Promise<ClientExit> {
  const { yes, digest, force, reason, json } = options
  const ways = [yes, force, digest].filter(way => way !== undefined)
  if (ways.length !== 1) {
    throw new CliFailure(CLIENT_EXIT.usage, 'A commit needs one of --digest, --yes and --force', {
      remedy: '`daybreak backup diff` shows what it would do, and the digest of that',
    })
  }
  const client = await clientOf(io, options)
  let stated: CommitBackup = { force: true }
  if (digest !== undefined) stated = { digest }
  else if (yes === true) {
    const found = await client.get<BackupDiff>('/api/v1/backups/diff')
    if (json !== true) io.stdout.write((await text()).diffText(found))
    stated = { digest: found.digest }
  }
  const body: CommitBackup = { ...stated, ...(reason === undefined ? {} : { reason }) }
  const done = await client.post<BackupRestored>('/api/v1/backups:commit', body)
  if (json === true) sayJson(io, done)
  else say(io, `Restored ${printable(done.restored)}: ${done.rows} rows changed. A new reign begins from it`)
  return CLIENT_EXIT.ok
}
