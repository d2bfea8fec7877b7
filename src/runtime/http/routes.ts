/**
 * All routes of a node in one table: the index page, the OpenAPI document and the answer to a wrong path or method are
 * made from it.
 */
import { type Rejection, rejected } from '../../core/base/rejection.ts'

export interface RouteFacts {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** Parameters in braces, as in OpenAPI. */
  readonly path: string
  readonly meaning: string
  /** Who should answer: any node, or the leader (others answer 307). */
  readonly by: 'any' | 'leader'
}

export const API = '/api/v1'
const MNAME = '/mname/{role}/{environment}/{job}/{instance}'

export const ROUTES = [
  { method: 'GET', path: '/', meaning: 'Links to all of this', by: 'any' },
  { method: 'GET', path: '/health', meaning: 'OK, or 503 with what is wrong', by: 'any' },
  { method: 'GET', path: '/leaderhealth', meaning: 'Whether this node leads: 200, 503 or 502', by: 'any' },
  { method: 'GET', path: '/vars', meaning: 'Numbers and the effective config as text', by: 'any' },
  { method: 'GET', path: '/vars.json', meaning: 'The same as JSON', by: 'any' },
  { method: 'GET', path: '/metrics', meaning: 'Numbers for Prometheus', by: 'any' },
  { method: 'GET', path: '/inspect', meaning: 'The tree of actors', by: 'any' },
  { method: 'GET', path: '/inspect/{path}', meaning: 'One actor', by: 'any' },
  { method: 'POST', path: '/quitquitquit', meaning: 'Stop this node in order', by: 'any' },
  { method: 'POST', path: '/abortabortabort', meaning: 'End this process at once', by: 'any' },
  { method: 'POST', path: '/api', meaning: 'The Thrift interface of Aurora, binary or TJSON', by: 'leader' },
  { method: 'GET', path: '/apibeta', meaning: 'On to here', by: 'any' },
  { method: 'POST', path: '/apibeta/{method}', meaning: 'The same calls as plain JSON, by their names', by: 'leader' },
  { method: 'GET', path: '/agents', meaning: 'Machines, as Aurora shows them', by: 'leader' },
  { method: 'GET', path: '/slaves', meaning: 'The same under its old name', by: 'leader' },
  { method: 'GET', path: '/offers', meaning: 'What each machine has left, as Mesos would offer it', by: 'leader' },
  { method: 'GET', path: '/pendingtasks', meaning: 'What waits for a place, by group of equal tasks', by: 'leader' },
  { method: 'GET', path: '/cron', meaning: 'Cron jobs with their schedules', by: 'leader' },
  { method: 'GET', path: '/maintenance', meaning: 'Hosts under maintenance, by mode', by: 'leader' },
  { method: 'GET', path: '/quotas', meaning: 'The quota of each role; `?role=` of one', by: 'leader' },
  { method: 'GET', path: '/state', meaning: 'Which configurations run on which agent', by: 'leader' },
  { method: 'GET', path: '/tiers', meaning: 'Tiers that jobs may name', by: 'leader' },
  { method: 'GET', path: '/utilization', meaning: 'What all tasks take', by: 'leader' },
  { method: 'GET', path: '/utilization/{metric}', meaning: 'The same by role', by: 'leader' },
  { method: 'GET', path: '/utilization/{metric}/{role}', meaning: 'The same of one role by job', by: 'leader' },
  { method: 'GET', path: '/mname', meaning: 'How to ask for where an instance serves', by: 'any' },
  ...(['GET', 'PUT', 'POST', 'DELETE'] as const).flatMap(method => [
    { method, path: MNAME, meaning: 'On to where the instance serves HTTP', by: 'leader' } as const,
    { method, path: `${MNAME}/{path}`, meaning: 'On to a path there', by: 'leader' } as const,
  ]),
  { method: 'GET', path: '/services', meaning: 'The parts of this node and how they are', by: 'any' },
  { method: 'GET', path: '/threads', meaning: 'Threads, event loop and handles of this node', by: 'any' },
  { method: 'GET', path: '/structdump', meaning: 'How to ask for a stored record', by: 'any' },
  { method: 'GET', path: '/structdump/task/{id}', meaning: 'The stored record of a task', by: 'any' },
  { method: 'GET', path: '/structdump/cron/{role}/{environment}/{job}', meaning: 'That of a cron job', by: 'any' },
  { method: 'GET', path: `${API}/openapi.json`, meaning: 'This API as an OpenAPI document', by: 'any' },
  { method: 'GET', path: `${API}/whoami`, meaning: 'Who you are here, and what you may', by: 'any' },
  { method: 'GET', path: `${API}/cluster`, meaning: 'Who leads, and how far this node is', by: 'any' },
  { method: 'GET', path: `${API}/log/status`, meaning: 'The replicated log of this node', by: 'any' },
  {
    method: 'GET',
    path: `${API}/log/entries`,
    meaning: 'Committed entries of the log, both ends inclusive',
    by: 'any',
  },
  {
    method: 'POST',
    path: `${API}/log:transfer`,
    meaning: 'Hand leadership over to another member, and wait until it leads',
    by: 'leader',
  },
  { method: 'GET', path: `${API}/roles`, meaning: 'Roles that have jobs, a page at a time', by: 'leader' },
  { method: 'GET', path: `${API}/search`, meaning: 'Roles, jobs, machines and tasks by part of a name', by: 'leader' },
  { method: 'GET', path: `${API}/jobs`, meaning: 'Jobs, a page at a time', by: 'leader' },
  { method: 'POST', path: `${API}/jobs`, meaning: 'Create a job', by: 'leader' },
  { method: 'GET', path: `${API}/jobs/{role}/{environment}/{name}`, meaning: 'One job with its tasks', by: 'leader' },
  {
    method: 'GET',
    path: `${API}/jobs/{role}/{environment}/{name}/explain`,
    meaning: 'Why tasks of a job wait, and what would help',
    by: 'leader',
  },
  {
    method: 'POST',
    path: `${API}/jobs/{role}/{environment}/{name}:kill`,
    meaning: 'Kill instances, or all of a job',
    by: 'leader',
  },
  {
    method: 'POST',
    path: `${API}/jobs/{role}/{environment}/{name}:restart`,
    meaning: 'Restart instances',
    by: 'leader',
  },
  {
    method: 'POST',
    path: `${API}/jobs/{role}/{environment}/{name}:add`,
    meaning: 'Add instances like one that is active',
    by: 'leader',
  },
  {
    method: 'POST',
    path: `${API}/jobs/{role}/{environment}/{name}:diff`,
    meaning: 'What would be added, changed and removed to make a job what a configuration says; changes nothing',
    by: 'leader',
  },
  { method: 'GET', path: `${API}/tasks`, meaning: 'Tasks, a page at a time', by: 'leader' },
  { method: 'GET', path: `${API}/tasks/{taskId}`, meaning: 'One task', by: 'leader' },
  { method: 'GET', path: `${API}/tasks/{taskId}/why`, meaning: 'Why a task was placed where it is', by: 'leader' },
  { method: 'GET', path: `${API}/tasks/{taskId}/logs`, meaning: 'A piece of what a process has written', by: 'leader' },
  {
    method: 'POST',
    path: `${API}/tasks/{taskId}:force-state`,
    meaning: 'Force a task into a status, with a reason',
    by: 'leader',
  },
  {
    method: 'POST',
    path: `${API}/tasks:prune`,
    meaning: 'Forget ended tasks before their time, with a reason',
    by: 'leader',
  },
  {
    method: 'POST',
    path: `${API}/admin:reconcile`,
    meaning: 'Compare what agents run with the ledger now',
    by: 'leader',
  },
  {
    method: 'POST',
    path: `${API}/admin:release-held`,
    meaning: 'Let go of what a brake holds, with a reason',
    by: 'leader',
  },
  { method: 'GET', path: `${API}/backups`, meaning: 'Backups of the leader', by: 'leader' },
  { method: 'POST', path: `${API}/backups`, meaning: 'Write a backup now', by: 'leader' },
  {
    method: 'POST',
    path: `${API}/backups:stage`,
    meaning: 'Load a backup, to be looked at before it is committed',
    by: 'leader',
  },
  {
    method: 'GET',
    path: `${API}/backups/tasks`,
    meaning: 'Tasks of the loaded backup, a page at a time',
    by: 'leader',
  },
  { method: 'POST', path: `${API}/backups:drop`, meaning: 'Take tasks out of the loaded backup', by: 'leader' },
  { method: 'GET', path: `${API}/backups/diff`, meaning: 'What a commit of the loaded backup would do', by: 'leader' },
  { method: 'POST', path: `${API}/backups:unload`, meaning: 'Put the loaded backup aside', by: 'leader' },
  {
    method: 'POST',
    path: `${API}/backups:commit`,
    meaning: 'Make the state of the cluster that of the loaded backup; a new reign begins',
    by: 'leader',
  },
  { method: 'GET', path: `${API}/agents`, meaning: 'Machines that run tasks, a page at a time', by: 'leader' },
  { method: 'GET', path: `${API}/agents/{agentId}`, meaning: 'One machine', by: 'leader' },
  { method: 'GET', path: `${API}/pending`, meaning: 'What waits for a place, and why, a page at a time', by: 'leader' },
  {
    method: 'POST',
    path: `${API}/what-if`,
    meaning: 'What would happen if hosts were drained or lost, or jobs applied; changes nothing',
    by: 'leader',
  },
  { method: 'GET', path: `${API}/quotas`, meaning: 'What each role may use, and what it uses', by: 'leader' },
  { method: 'GET', path: `${API}/quotas/{role}`, meaning: 'The same of one role', by: 'leader' },
  { method: 'POST', path: `${API}/quotas/{role}:set`, meaning: 'Set the quota of a role', by: 'leader' },
  { method: 'POST', path: `${API}/quotas/{role}:increase`, meaning: 'Add to the quota of a role', by: 'leader' },
  { method: 'GET', path: `${API}/tiers`, meaning: 'Tiers that jobs may name', by: 'leader' },
  { method: 'GET', path: `${API}/events`, meaning: 'What happens, as server-sent events', by: 'any' },
] as const satisfies readonly RouteFacts[]

const NEARBY_MAX = 5

/** The answer to a path or method that nobody serves. */
export function missingRoute(
  method: string,
  url: string,
): { readonly rejection: Rejection; readonly status: number; readonly allow: string | null } {
  const path = url.split('?')[0] ?? url
  const methods = ROUTES.filter(route => pattern(route.path).test(path)).map(route => route.method)
  if (methods.length > 0) {
    const allow = [...new Set<string>(methods.flatMap(one => (one === 'GET' ? ['GET', 'HEAD'] : [one])))].join(', ')
    const rejection = rejected('MALFORMED', `${method} is not served at ${path}`, { remedy: `use ${allow}` })
    return { rejection, status: 405, allow }
  }
  const near = ROUTES.map(route => ({ route, common: commonParts(route.path, path) }))
    .sort((a, b) => b.common - a.common || a.route.path.length - b.route.path.length)
    .slice(0, NEARBY_MAX)
    .map(({ route }) => `${route.method} ${route.path}`)
  return {
    rejection: rejected('NOT_FOUND', `There is nothing at ${path}`, { remedy: `nearby: ${near.join(', ')}` }),
    status: 404,
    allow: null,
  }
}

function pattern(path: string): RegExp {
  const source = path
    .replace(/[.*+?^$()|[\]\\]/g, '\\$&')
    .replaceAll('{path}', '.+')
    .replace(/\{\w+\}/g, '[^/:]+')
  return new RegExp(`^${source}/?$`)
}

/** Leading segments in common, then letters of the next one. */
function commonParts(a: string, b: string): number {
  const left = a.split('/')
  const right = b.split('/')
  let parts = 0
  while (parts < left.length && parts < right.length && left[parts] === right[parts]) parts += 1
  const [x, y] = [left[parts] ?? '', right[parts] ?? '']
  let letters = 0
  while (letters < x.length && letters < y.length && x[letters] === y[letters]) letters += 1
  return parts * 100 + letters
}
