import type { Command } from 'commander'
import type { AgentList, ClusterView } from '../wire/rest.ts'
import { clusterUrl } from './clusters.ts'
import { action, type CommonOptions, parseDuration, remote, type Session } from './command.ts'
import { CLIENT_EXIT, type ClientExit } from './exit-status.ts'
import type { Io } from './io.ts'
import { example } from './job.ts'
import { say, sayJson } from './report.ts'
import { restClient } from './rest-client.ts'

/** `daybreak cluster status [CLUSTER]`: who leads, how far the log is, and which machines are there. */
export function registerCluster(program: Command, session: Session): void {
  const cluster = program.command('cluster').description('look at a cluster')
  remote(cluster.command('status'))
    .summary('show the leader, the log and the agents')
    .description(
      'Shows the node that answers, who leads, how far the log is, and the agents with what is free on them.',
    )
    .argument('[cluster]', 'name of the cluster', 'local')
    .option('--json', 'print JSON')
    .addHelpText('after', example('cluster status'))
    .action(action(session, (io, name: string, options: CommonOptions) => clusterStatus(io, name, options)))
}

async function clusterStatus(io: Io, name: string, options: CommonOptions): Promise<ClientExit> {
  const client = restClient(io, await clusterUrl(io, name, options.url), { timeoutMs: parseDuration(options.timeout) })
  const view = await client.get<ClusterView>('/api/v1/cluster')
  const agents = (await client.get<AgentList>('/api/v1/agents?limit=1000')).agents
  if (options.json === true) {
    sayJson(io, { ...view, agents })
    return CLIENT_EXIT.ok
  }
  const { tableText } = await import('./table.ts')
  const { styleOf } = await import('./screen.ts')
  const style = styleOf(io.stdout, io.env)
  const leader = view.leader === null ? 'nobody leads' : `node ${view.leader.memberId} leads (${view.leader.httpUrl})`
  say(io, `${style.paint(name, 'strong')}  node ${view.memberId} is ${view.role}, ${view.status}; ${leader}`)
  say(io, `log: committed ${view.commit}, applied ${view.applied}; version ${view.version}`)
  if (agents.length === 0) {
    say(io, 'no agents')
    return CLIENT_EXIT.ok
  }
  const of = (free: number | undefined, total: number, unit = 1): string => {
    return `${free === undefined ? '-' : free / unit}/${total / unit}`
  }
  const columns = [
    { head: 'HOST', min: 12 },
    { head: 'STATE' },
    { head: 'TASKS', right: true },
    { head: 'CPUS FREE', right: true },
    { head: 'RAM MB FREE', right: true },
    { head: 'DISK MB FREE', right: true, worth: 2 },
    { head: 'VERSION', worth: 1 },
  ]
  const rows = agents.map(agent => [
    agent.host,
    agent.connected
      ? { text: agent.mode === 'NONE' ? 'ready' : agent.mode, paint: 'good' as const }
      : { text: 'not connected', paint: 'bad' as const },
    String(agent.tasks),
    of(agent.free?.cpusMilli, agent.total.cpusMilli, 1000),
    of(agent.free?.ramMb, agent.total.ramMb),
    of(agent.free?.diskMb, agent.total.diskMb),
    agent.agentVersion,
  ])
  io.stdout.write(tableText(columns, rows, style))
  return CLIENT_EXIT.ok
}
