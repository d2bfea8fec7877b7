import { writeFileSync } from 'node:fs'
import { clusterUrl } from './clusters.ts'
import { type CommonOptions, parseDuration } from './command.ts'
import { CLIENT_EXIT } from './exit-status.ts'
import { CliFailure, type Io, unreadable } from './io.ts'
import { parseJobAndInstances } from './keys.ts'
import { fillIn, inSandbox, type LiveTask, liveTasks, login, optionWords, runTool } from './live-tasks.ts'
import { warn } from './report.ts'
import { restClient } from './rest-client.ts'

/** `daybreak task ssh KEY[/INSTANCE]`: the user's own terminal in the sandbox of a task; ends with the status of ssh. */
export interface SshOptions extends CommonOptions {
  readonly sshUser?: string
  readonly sshOptions?: string
  readonly command?: string
  readonly tunnel?: readonly string[]
  readonly pidFile?: string
}

export async function taskSsh(io: Io, text: string, options: SshOptions): Promise<number> {
  const { key, instances } = parseJobAndInstances(text)
  if (instances !== null && instances.length !== 1) {
    throw new CliFailure(
      CLIENT_EXIT.notFound,
      `A shell is in one task, and '${text}' names ${instances.length} instances`,
      {
        remedy: 'name one instance, or use `daybreak task run`',
      },
    )
  }
  if (options.command !== undefined && instances === null) {
    throw new CliFailure(CLIENT_EXIT.notFound, '--command needs an instance', {
      remedy: `name it, as in ${text}/0, or use \`daybreak task run\` for all`,
    })
  }
  const more = optionWords(options.sshOptions, '--ssh-options')
  const client = restClient(io, await clusterUrl(io, key.cluster, options.url), {
    timeoutMs: parseDuration(options.timeout),
  })
  const [target] = (await liveTasks(client, key, instances)) as [LiveTask]
  const command = options.command === undefined ? 'exec bash -l' : fillIn(options.command, key, target)
  // A script that reads what a command writes wants no terminal between.
  const terminal = options.command === undefined || io.stdout.isTTY ? ['-t'] : []
  const tunnels = (options.tunnel ?? []).flatMap(tunnel => ['-L', forwarded(tunnel, target)])
  const args = [
    ...terminal,
    ...more,
    ...tunnels,
    '--',
    login(io, options.sshUser, key, target),
    inSandbox(target, command),
  ]
  const { pidFile } = options
  const started = pidFile === undefined ? {} : { started: (pid: number) => writePid(io, pidFile, pid) }
  return (await runTool(io, { name: 'ssh', args, stdio: 'terminal', ...started })).status
}

/** `8080:http` as ssh takes it: `8080:HOST:31000`. */
function forwarded(text: string, { task, host }: LiveTask): string {
  const [, local = '', name = ''] = /^(\d{1,5}):(.+)$/.exec(text) ?? []
  if (local === '' || Number(local) < 1 || Number(local) > 65_535) {
    throw new CliFailure(CLIENT_EXIT.usage, `--tunnel is PORT:NAME, such as 8080:http, not '${text}'`)
  }
  const port = Object.hasOwn(task.ports, name) ? task.ports[name] : undefined
  if (port === undefined) {
    const known = Object.keys(task.ports).join(', ') || 'none'
    throw new CliFailure(CLIENT_EXIT.notFound, `Instance ${task.instance} has no port '${name}'; its ports: ${known}`)
  }
  return `${local}:${host.includes(':') ? `[${host}]` : host}:${port}`
}

function writePid(io: Io, path: string, pid: number): void {
  try {
    writeFileSync(path, `${pid}\n`)
  } catch (cause) {
    warn(io, `cannot write ${path}: ${unreadable(cause)}`)
  }
}
