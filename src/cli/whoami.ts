import type { Command } from 'commander'
import type { Whoami } from '../wire/rest.ts'
import { clusterUrl } from './clusters.ts'
import { action, type CommonOptions, parseDuration, remote, type Session } from './command.ts'
import { CLIENT_EXIT, type ClientExit } from './exit-status.ts'
import type { Io } from './io.ts'
import { example } from './job.ts'
import { say, sayJson } from './report.ts'
import { restClient } from './rest-client.ts'
import { printable } from './screen.ts'

type Options = CommonOptions & { readonly may?: string }

/** `daybreak whoami [CLUSTER]`: who the client is there, and what it may. */
export function registerWhoami(program: Command, session: Session): void {
  remote(program.command('whoami'))
    .summary('show who you are to a cluster, and what you may')
    .description('Shows the user that the cluster knows you as, and your permissions.')
    .argument('[cluster]', 'name of the cluster', 'local')
    .option('--may <permission>', 'only say whether you have this one: status 0 for yes, 30 for no')
    .option('--json', 'print JSON')
    .addHelpText('after', example('whoami', 'whoami local --may thrift.AuroraAdmin:setQuota'))
    .action(action(session, (io, cluster: string, options: Options) => whoami(io, cluster, options)))
}

async function whoami(io: Io, cluster: string, { may, json, url, timeout }: Options): Promise<ClientExit> {
  const client = restClient(io, await clusterUrl(io, cluster, url), { timeoutMs: parseDuration(timeout) })
  const query = may === undefined ? '' : `?${new URLSearchParams({ may })}`
  const answer = await client.get<Whoami>(`/api/v1/whoami${query}`)
  if (json === true) sayJson(io, answer)
  else if (may !== undefined) say(io, answer.may === true ? 'yes' : 'no')
  else if (!answer.isSecured) say(io, `${printable(answer.user)}; security is off: everybody may do everything`)
  else if (answer.permissions.length === 0) say(io, `${printable(answer.user)} may only read`)
  else say(io, [`${printable(answer.user)} may`, ...answer.permissions.map(one => `  ${printable(one)}`)].join('\n'))
  return may === undefined || answer.may === true ? CLIENT_EXIT.ok : CLIENT_EXIT.authentication
}
