import { type FullKey, fullKeyText } from '../core/job/job-file.ts'
import { interpolate, scopeOf } from '../core/job/template.ts'
import type { TaskStatus } from '../core/task/status.ts'
import type { JobDetail, Task } from '../wire/rest.ts'
import { CLIENT_EXIT } from './exit-status.ts'
import { CliFailure, type Io } from './io.ts'
import { instancesText } from './keys.ts'
import { missingOf, whichThereAre } from './missing-instances.ts'
import { jobPath, type RestClient } from './rest-client.ts'
import type { Program, ProgramEnd } from './run-program.ts'
import { printable } from './screen.ts'

/** The tasks of a job that can be reached on their machines: what `task run`, `task ssh` and `task scp` share. */
export interface LiveTask {
  readonly task: Task
  readonly host: string
  /** Absolute path on the host. */
  readonly sandbox: string
}

/** Placed, and its sandbox made. PARTITIONED too: that the leader hears nothing of a machine does not say that we would not. */
const LIVE: ReadonlySet<TaskStatus> = new Set([
  'STARTING',
  'RUNNING',
  'PARTITIONED',
  'PREEMPTING',
  'RESTARTING',
  'DRAINING',
  'KILLING',
])

/** What newer versions of ssh refuse in the name of a host. */
const STEERING = /^-|[\s\p{Cc}'`"$\\;&<>|(){}]/u

/** By instance, never none. `instances`: each of them has to be there; null asks for all that are. */
export async function liveTasks(
  client: RestClient,
  key: FullKey,
  instances: readonly number[] | null,
): Promise<readonly LiveTask[]> {
  const detail = await client.find<JobDetail>(jobPath(key))
  const live = (detail?.active ?? []).filter(task => LIVE.has(task.status) && task.host !== null)
  const missing = missingOf(instances ?? [], live)
  const chosen = live.filter(task => instances?.includes(task.instance) ?? true).sort((a, b) => a.instance - b.instance)
  if (missing.length > 0 || chosen.length === 0) {
    const which = missing.length > 0 ? `: instances ${instancesText(missing)} do not run` : ''
    throw new CliFailure(CLIENT_EXIT.notFound, `No running tasks found for job ${fullKeyText(key)}${which}`, {
      remedy: `${whichThereAre('running', key, detail, live)}; \`daybreak job status\` shows where its tasks are`,
    })
  }
  return chosen.map(task => {
    const host = task.host as string
    // An agent names its host itself, and in a ProxyCommand or a Match of the user's ssh_config a shell would read it.
    if (STEERING.test(host)) {
      throw new CliFailure(CLIENT_EXIT.commandFailed, `'${printable(host)}' is no name of a host to log in to`, {
        remedy: `instance ${task.instance} is on an agent that registered under that name`,
      })
    }
    // Nodes and agents of versions before this one do not tell.
    if (task.sandbox == null) {
      throw new CliFailure(CLIENT_EXIT.commandFailed, `The agent on ${host} does not say where its sandboxes are`, {
        remedy:
          'it runs an earlier version, or belongs to a resource manager: bring the agent and the scheduler up to date',
      })
    }
    return { task, host, sandbox: task.sandbox }
  })
}

/** The refs that a launch fills in a command line, and whose job it is. */
export function fillIn(command: string, key: FullKey, { task, host }: LiveTask): string {
  const scope = scopeOf({
    mesos: { instance: task.instance, hostname: host, role: key.role, cluster: key.cluster },
    thermos: { task_id: task.taskId, ports: task.ports, user: key.role },
  })
  const { text, unbound, faults } = interpolate(command, scope, { unescape: true })
  if (unbound.length === 0 && faults.length === 0) return text
  const ports = Object.keys(task.ports).join(', ') || 'none'
  const why = faults[0] ?? `{{${unbound[0]}}} stands for nothing`
  throw new CliFailure(CLIENT_EXIT.notFound, `Invalid command '${command}': ${why}`, {
    remedy: `known are mesos.instance, mesos.hostname, mesos.role, mesos.cluster, thermos.task_id, thermos.user and thermos.ports[NAME] (ports of instance ${task.instance}: ${ports})`,
  })
}

/** What to log in to, as ssh takes it. `user`: of `--ssh-user`. */
export function login(io: Io, user: string | undefined, key: FullKey, { host }: LiveTask): string {
  return `${user ?? (io.env.DAYBREAK_SSH_USER || key.role)}@${host}`
}

/** Begins in the sandbox or not at all. */
export function inSandbox({ sandbox }: LiveTask, command: string): string {
  return `cd ${quoted(sandbox)} || exit 1; ${command}`
}

/** `-p 2222 -o 'ProxyCommand nc %h %p'` as a shell would split it; nothing is filled in. */
export function optionWords(text: string | undefined, option: string): readonly string[] {
  const words: string[] = []
  let rest = (text ?? '').trim()
  while (rest !== '') {
    const word = /^(?:[^\s'"\\]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")+/s.exec(rest)?.[0]
    if (word === undefined) throw new CliFailure(CLIENT_EXIT.usage, `${option} has a quote without its end: ${text}`)
    words.push(word.replace(/\\(.)|'([^']*)'|"((?:[^"\\]|\\.)*)"/gs, unquoted))
    rest = rest.slice(word.length)
    if (rest !== '' && !/^\s/.test(rest)) {
      throw new CliFailure(CLIENT_EXIT.usage, `${option} has a quote without its end: ${text}`)
    }
    rest = rest.trimStart()
  }
  return words
}

/** Says it plainly when the program is not there. */
export async function runTool(io: Io, program: Program): Promise<ProgramEnd> {
  try {
    return await io.runProgram(program)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === undefined) throw cause
    const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT'
    const text = missing
      ? `There is no ${program.name} on the PATH`
      : `Cannot run ${program.name}: ${(cause as Error).message}`
    const remedy = 'these commands use the OpenSSH client of this machine: install it'
    throw new CliFailure(CLIENT_EXIT.commandFailed, text, { ...(missing ? { remedy } : {}), cause })
  }
}

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

function unquoted(_all: string, escaped?: string, single?: string, double?: string): string {
  return escaped ?? single ?? (double as string).replace(/\\(["\\$`])/g, '$1')
}
