import type { Command } from 'commander'
import { brakeTexts, NO_BRAKES } from '../core/agents/brakes.ts'
import type { AgentList, AgentView, ClusterView, LogStatusView } from '../wire/rest.ts'
import type { Access } from './access.ts'
import { clusterUrl, knownClusters } from './clusters.ts'
import { action, type CommonOptions, parseDuration, remote, type Session } from './command.ts'
import { CLIENT_EXIT, type ClientExit } from './exit-status.ts'
import { CliFailure, type Io } from './io.ts'
import { example } from './job.ts'
import { say, sayJson } from './report.ts'
import { everyPage, type RestClient, restClient } from './rest-client.ts'

/** A member that does not answer must not hold up the others' rows. */
const MEMBER_MS_MAX = 2_000

/** `daybreak cluster status [CLUSTER]`: who leads, how far each member is, and which machines are there. */
export function registerCluster(program: Command, session: Session): void {
  const cluster = program.command('cluster').description('look at a cluster, or list those that are known')
  remote(cluster.command('status'))
    .summary('show the leader, the log and the agents')
    .description(
      'Shows the node that answers, who leads, how far the log of every member is and what it waits for, and the agents with what is free on them.',
    )
    .argument('[cluster]', 'name of the cluster', 'local')
    .option('--json', 'print JSON')
    .addHelpText('after', example('cluster status'))
    .action(action(session, (io, name: string, options: CommonOptions) => clusterStatus(io, name, options)))
  cluster
    .command('list')
    .summary('list the clusters that this client knows')
    .description(
      'Lists the names that a key may begin with, what each stands for and which file says so. Asks no cluster.',
    )
    .option('--json', 'print JSON')
    .addHelpText('after', example('cluster list'))
    .action(action(session, (io, options: CommonOptions) => clusterList(io, options)))
}

async function clusterList(io: Io, options: CommonOptions): Promise<ClientExit> {
  const known = await knownClusters(io)
  if (options.json === true) sayJson(io, known)
  else {
    const { tableText } = await import('./table.ts')
    const { styleOf } = await import('./screen.ts')
    const columns = [{ head: 'CLUSTER' }, { head: 'URL' }, { head: 'FROM', worth: 1 }]
    io.stdout.write(
      tableText(
        columns,
        known.map(({ name, url, from }) => [name, url, from]),
        styleOf(io.stdout, io.env),
      ),
    )
  }
  return CLIENT_EXIT.ok
}

async function clusterStatus(io: Io, name: string, options: CommonOptions): Promise<ClientExit> {
  const client = restClient(io, await clusterUrl(io, name, options.url), { timeoutMs: parseDuration(options.timeout) })
  const view = await client.get<ClusterView>('/api/v1/cluster')
  const members = await memberRows(io, client)
  // Only an active leader knows the agents; without one the rest is worth showing all the more.
  const listed: AgentList | CliFailure = await everyPage(
    client,
    '/api/v1/agents',
    (page: AgentList) => page.agents,
  ).then(
    ({ items, last }) => ({ ...last, agents: [...items] }),
    cause => (cause instanceof CliFailure && isLeaderless(view, cause) ? cause : Promise.reject(cause)),
  )
  const agents = listed instanceof CliFailure ? null : listed.agents
  // Nodes of versions before this one do not tell.
  const brakes = listed instanceof CliFailure ? NO_BRAKES : (listed.brakes ?? NO_BRAKES)
  if (options.json === true) {
    sayJson(io, { ...view, members: members.map(({ member, report }) => ({ ...member, log: report })), agents, brakes })
    return agents === null ? CLIENT_EXIT.network : CLIENT_EXIT.ok
  }
  const { tableText } = await import('./table.ts')
  const { printable, styleOf } = await import('./screen.ts')
  const style = styleOf(io.stdout, io.env)
  const leader = view.leader === null ? 'nobody leads' : `node ${view.leader.memberId} leads (${view.leader.httpUrl})`
  say(io, `${style.paint(name, 'strong')}  node ${view.memberId} is ${view.role}, ${view.status}; ${leader}`)
  const reign = reignText(members)
  if (reign !== null) say(io, reign)
  // Nodes of versions before this one do not tell.
  const waitsFor = view.scheduler?.waitsFor ?? null
  if (waitsFor !== null) say(io, `node ${view.memberId} is ${view.scheduler.state} and waits for ${waitsFor}`)
  say(io, `log: committed ${view.commit}, applied ${view.applied}; version ${view.version}`)
  if (members.length > 1) {
    io.stdout.write(tableText(MEMBER_COLUMNS, members.map(memberCells), style))
    for (const { member, report } of members) {
      if (report?.waitingFor != null) say(io, `node ${member.memberId} waits for ${report.waitingFor}`)
      if (report?.notWritable != null) say(io, `node ${member.memberId} takes no changes: ${report.notWritable}`)
    }
  }
  for (const text of brakeTexts(brakes)) say(io, style.paint(printable(text), 'bad'))
  if (agents === null) {
    const why = view.leader === null ? 'nobody leads' : 'it is not active yet'
    say(io, `the agents are known to the leader only, and ${why}`)
    return CLIENT_EXIT.network
  }
  if (agents.length === 0) {
    say(io, 'no agents')
    return CLIENT_EXIT.ok
  }
  const here = new Map(agents.filter(agent => agent.connected).map(agent => [agent.host, agent]))
  io.stdout.write(tableText(AGENT_COLUMNS, agents.map(agentCells), style))
  const away = agents.filter(agent => !agent.connected)
  for (const agent of away.slice(0, AWAY_LINES_MAX)) say(io, absenceText(agent, here.get(agent.host) ?? null))
  for (const text of placeTexts(agents)) say(io, style.paint(printable(text), 'busy'))
  if (away.length > AWAY_LINES_MAX) say(io, `and ${away.length - AWAY_LINES_MAX} more are not connected`)
  return CLIENT_EXIT.ok
}

/** Nobody is there who could tell the agents: no leader, or one that does not serve yet. */
function isLeaderless(view: ClusterView, cause: CliFailure): boolean {
  return view.leader === null || cause.code === 'SCHEDULER_NOT_ACTIVE'
}

// ---- members ----

interface MemberRow {
  readonly member: LogStatusView['members'][number]
  readonly report: LogStatusView | null
  /** Why there is no report. */
  readonly trouble: string | null
  /** How many positions it is behind the furthest; null when it is not known. */
  readonly lag: number | null
}

/** Every member is asked itself: what one says of another may be old. Empty when the node has no log. */
async function memberRows(io: Io, client: RestClient): Promise<readonly MemberRow[]> {
  const own = await client.find<LogStatusView>('/api/v1/log/status')
  if (own === null) return []
  const access = await client.access()
  const asked = await Promise.all(
    own.members.map(async member => {
      if (member.memberId === own.memberId) return { member, report: own, trouble: null }
      const peer = own.peers.find(one => one.memberId === member.memberId)
      if (!peer?.httpUrl) return { member, report: null, trouble: peer?.trouble ?? 'not known' }
      const report = await askMember(io, peer.httpUrl, access)
      return typeof report === 'string'
        ? { member, report: null, trouble: report }
        : { member, report, trouble: peer.trouble }
    }),
  )
  const furthest = Math.max(...asked.map(({ report }) => report?.commit ?? 0))
  return asked.map(row => ({ ...row, lag: row.report === null ? null : furthest - row.report.commit }))
}

/** Since when the leader leads, by its own word. */
function reignText(members: readonly MemberRow[]): string | null {
  const report = members.find(row => row.report?.view.role === 'LEADER')?.report
  if (report == null || report.leaderSinceMs === null) return null
  const epoch = report.view.ballot === null ? '' : `, epoch ${report.view.ballot.join('.')}`
  const lease = report.leaseLeftMs === null ? '' : `, lease for another ${report.leaseLeftMs} ms`
  return `leads since ${new Date(report.leaderSinceMs).toISOString()}${epoch}${lease}`
}

/** A text says why it did not answer. */
async function askMember(io: Io, url: string, { ca, headersFor }: Access): Promise<LogStatusView | string> {
  try {
    const answer = await io.http({
      method: 'GET',
      url: `${url}/api/v1/log/status`,
      headers: { accept: 'application/json', ...headersFor(url) },
      signal: AbortSignal.any([io.interrupted, AbortSignal.timeout(MEMBER_MS_MAX)]),
      ...(ca === undefined ? {} : { ca }),
    })
    if (answer.status !== 200) return `answered ${answer.status}`
    return JSON.parse(answer.text) as LogStatusView
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code ?? (cause as Error).message
  }
}

const MEMBER_COLUMNS = [
  { head: 'NODE', right: true },
  { head: 'NAME', min: 8 },
  { head: 'ROLE' },
  { head: 'STATUS' },
  { head: 'COMMITTED', right: true },
  { head: 'BEHIND', right: true },
  { head: 'APPLIED', right: true, worth: 1 },
  { head: 'TROUBLE', wraps: true },
]

function memberCells({ member, report, trouble, lag }: MemberRow) {
  const role = report?.view.role ?? 'not reached'
  return [
    String(member.memberId),
    member.name,
    {
      text: role,
      paint: role === 'LEADER' ? ('good' as const) : role === 'FOLLOWER' ? ('dim' as const) : ('bad' as const),
    },
    report?.status ?? '-',
    report === null ? '-' : String(report.commit),
    lag === null ? '-' : String(lag),
    report === null ? '-' : String(report.applied),
    trouble ?? '',
  ]
}

// ---- agents ----

const AWAY_LINES_MAX = 20

const AGENT_COLUMNS = [
  { head: 'HOST', min: 12 },
  { head: 'AGENT', worth: 3 },
  { head: 'STATE' },
  { head: 'TASKS', right: true },
  { head: 'CPUS FREE', right: true },
  { head: 'RAM MB FREE', right: true },
  { head: 'DISK MB FREE', right: true, worth: 2 },
  { head: 'VERSION', worth: 1 },
]

/** Enough of an id to tell it from others by eye; `--json` has all of it. */
const shortId = (id: string): string => id.slice(0, 8)

function agentCells(agent: AgentView) {
  const of = (free: number | undefined, total: number, unit = 1): string => {
    return `${free === undefined ? '-' : free / unit}/${total / unit}`
  }
  return [
    agent.host,
    shortId(agent.agentId),
    agent.connected
      ? { text: presentState(agent), paint: 'good' as const }
      : { text: 'not connected', paint: 'bad' as const },
    String(agent.tasks),
    of(agent.free?.cpusMilli, agent.total.cpusMilli, 1000),
    of(agent.free?.ramMb, agent.total.ramMb),
    of(agent.free?.diskMb, agent.total.diskMb),
    agent.agentVersion,
  ]
}

function presentState({ mode, draining }: AgentView): string {
  return mode === 'NONE' ? (draining ? 'draining' : 'ready') : mode
}

/** A machine whose work folder was emptied is there twice for a while: which of the two it is has to be plain. */
function absenceText({ agentId, awaySinceMs, host, tasks }: AgentView, here: AgentView | null): string {
  const since = awaySinceMs == null ? '' : ` since ${new Date(awaySinceMs).toISOString()}`
  const bound = tasks === 0 ? '' : `, ${tasks} ${tasks === 1 ? 'task is' : 'tasks are'} bound to it`
  const other = here === null ? '' : `; a machine of that name is connected as ${shortId(here.agentId)}`
  return `${host} (${shortId(agentId)}) is not connected${since}${bound}${other}`
}

/** One line for each warning that agents share. */
function placeTexts(agents: readonly AgentView[]): readonly string[] {
  const hosts = new Map<string, string[]>()
  // A leader of an earlier release says nothing of this.
  for (const { host, warnings = [] } of agents) {
    for (const text of warnings) hosts.set(text, [...(hosts.get(text) ?? []), host])
  }
  return [...hosts].map(([text, names]) => {
    const more = names.length > 3 ? ` and ${names.length - 3} more` : ''
    return `${names.slice(0, 3).join(', ')}${more}: ${text}`
  })
}
