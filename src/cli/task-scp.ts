import { clusterUrl } from './clusters.ts'
import { type CommonOptions, parseDuration } from './command.ts'
import { CLIENT_EXIT } from './exit-status.ts'
import { CliFailure, type Io } from './io.ts'
import { parseTaskInstance } from './keys.ts'
import { type LiveTask, liveTasks, login, optionWords, runTool } from './live-tasks.ts'
import { restClient } from './rest-client.ts'

/** `daybreak task scp SRC… DST`: `CLUSTER/ROLE/ENV/NAME/INSTANCE:PATH` is in a sandbox. Ends with the status of scp. */
export interface ScpOptions extends CommonOptions {
  readonly sshUser?: string
  readonly scpOptions?: string
}

export async function taskScp(io: Io, paths: readonly string[], options: ScpOptions): Promise<number> {
  if (paths.length < 2) throw new CliFailure(CLIENT_EXIT.usage, 'scp takes sources, and where to copy them')
  const more = optionWords(options.scpOptions, '--scp-options')
  const places = paths.map(inTask)
  if (places.every(place => place === null)) {
    throw new CliFailure(CLIENT_EXIT.notFound, 'None of the paths is in a task', {
      remedy: 'name one as CLUSTER/ROLE/ENV/NAME/INSTANCE:PATH',
    })
  }
  const args: string[] = []
  for (const [at, place] of places.entries()) {
    args.push(place === null ? localPath(paths[at] as string) : await remotePath(io, place, options))
  }
  return (await runTool(io, { name: 'scp', args: [...more, '--', ...args], stdio: 'terminal' })).status
}

interface Place {
  readonly instance: string
  readonly path: string
}

/** Null: a path on this machine. */
function inTask(text: string): Place | null {
  const found = /^([^:/]+(?:\/[^:/]*){3,}):(.*)$/s.exec(text)
  if (found === null) return null
  const [, instance = '', path = ''] = found
  if (path.startsWith('~')) {
    throw new CliFailure(CLIENT_EXIT.notFound, `'${text}': ~ is not understood in the path of a task`, {
      remedy: 'paths begin at the sandbox, or at the root when they begin with /',
    })
  }
  return { instance, path }
}

async function remotePath(io: Io, { instance: text, path }: Place, options: ScpOptions): Promise<string> {
  const { key, instance } = parseTaskInstance(text)
  const client = restClient(io, await clusterUrl(io, key.cluster, options.url), {
    timeoutMs: parseDuration(options.timeout),
  })
  const [target] = (await liveTasks(client, key, [instance])) as [LiveTask]
  const bracketed = target.host.includes(':') ? { ...target, host: `[${target.host}]` } : target
  return `${login(io, options.sshUser, key, bracketed)}:${path.startsWith('/') ? path : `${target.sandbox}/${path}`}`
}

/** Or scp would take what stands before a colon for a host. */
const localPath = (path: string): string => (path.includes(':') && !/^\.{0,2}\//.test(path) ? `./${path}` : path)
