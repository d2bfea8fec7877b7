import type { Command } from 'commander'
import { clusterUrl } from './clusters.ts'
import { action, type CommonOptions, parseDuration, remote, type Session } from './command.ts'
import { CLIENT_EXIT, type ClientExit } from './exit-status.ts'
import type { Io } from './io.ts'
import { example } from './job.ts'
import { sayJson } from './report.ts'
import { restClient } from './rest-client.ts'

/** `daybreak inspect [PATH]`: the actors of one node, as a tree or one by one. */
export interface InspectActorsOptions extends CommonOptions {
  readonly cluster: string
}

export interface ActorView {
  readonly path: string
  readonly parent: string | null
  readonly kind: string
  readonly status: string
  readonly mailboxDepth: number
  readonly mailboxMax?: number
  readonly oldestMessageAgeMs?: number
  readonly processed: number
  readonly failed?: number
  readonly restarts: number
  readonly lastError: { readonly atMs?: number; readonly message: string; readonly messageType?: string } | null
  readonly stateSummary?: Readonly<Record<string, unknown>>
  readonly [more: string]: unknown
}

export function registerInspect(program: Command, session: Session): void {
  remote(program.command('inspect'))
    .summary('show the actors of a node')
    .description('Shows the tree of actors of a node, or everything known about one of them.')
    .argument('[path]', 'an actor, as the tree names it')
    .option('--cluster <name>', 'the cluster whose node to ask', 'local')
    .option('--json', 'print JSON')
    .addHelpText('after', example('inspect', 'inspect /scheduler/ledger'))
    .action(
      action(session, (io, path: string | undefined, options: InspectActorsOptions) =>
        inspectActors(io, path, options),
      ),
    )
}

async function inspectActors(io: Io, path: string | undefined, options: InspectActorsOptions): Promise<ClientExit> {
  const client = restClient(io, await clusterUrl(io, options.cluster, options.url), {
    timeoutMs: parseDuration(options.timeout),
  })
  const suffix = path === undefined ? '' : `/${path.split('/').filter(Boolean).map(encodeURIComponent).join('/')}`
  const answer = await client.get<Record<string, unknown>>(`/inspect${suffix}`)
  if (options.json === true) {
    sayJson(io, answer)
    return CLIENT_EXIT.ok
  }
  const { actorText, treeText } = await import('./inspect-text.ts')
  const { styleOf } = await import('./screen.ts')
  const style = styleOf(io.stdout, io.env)
  const { actors, ...around } = answer as { actors?: readonly ActorView[] }
  if (actors === undefined) io.stdout.write(actorText(answer, style))
  else if (path === undefined) io.stdout.write(treeText(actors, style))
  else {
    const [asked, ...others] = [...actors].sort((a, b) => a.path.length - b.path.length)
    io.stdout.write(actorText({ ...around, ...asked }, style))
    if (others.length > 0) io.stdout.write(`\n${treeText(others, style)}`)
  }
  return CLIENT_EXIT.ok
}
