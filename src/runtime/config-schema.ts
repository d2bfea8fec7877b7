/**
 * Every key of the config file, for all roles, in one place: its form, meaning, unit, default and the Aurora (or Mesos)
 * flag it answers to. The flags of `daybreak start`, `config show`, `/vars`, docs/operating/configuration.md and the
 * types are all made from here. A leaf is read on its own, so that all faults of a file can be told at once.
 *
 * Units once read: durations ms, sizes bytes, cores thousandths of a core.
 */
import { z } from 'zod'
import { OFFER_ORDERS } from '../core/offers/candidate-order.ts'
import { TASK_STATUSES, type TaskStatus } from '../core/task/status.ts'
import { type Read, readCpus, readDuration, readPortRanges, readSize, shown } from './config-units.ts'

/** What is told about a key, as zod metadata. */
export interface KeyFacts {
  readonly meaning: string
  /** `duration`, `bytes`, `cores`, `port`, …: what a value is, for people. */
  readonly unit: string
  /** As one would write it in the file; null: not set, and then `unset` says what happens. */
  readonly default: string | number | boolean | readonly string[] | Readonly<Record<string, string>> | null
  readonly unset?: string
  /** The flag of Aurora (one dash), Mesos or the executor (two dashes) it answers to; null when there is none. */
  readonly aurora: string | null
}

type Told = Omit<KeyFacts, 'unit' | 'unset' | 'aurora'> & { readonly aurora?: string }
type ToldUnset = { readonly meaning: string; readonly unset: string; readonly aurora?: string }
interface Form<S extends z.ZodType> {
  readonly schema: S
  readonly unit: string
}

const key = <S extends z.ZodType>({ schema, unit }: Form<S>, told: Told): S =>
  schema.meta({ ...told, unit, aurora: told.aurora ?? null })
/** A key that may stay unset: null in the config then. */
const optionalKey = <S extends z.ZodType>({ schema, unit }: Form<S>, told: ToldUnset): z.ZodNullable<S> =>
  schema.nullable().meta({ ...told, unit, default: null, aurora: told.aurora ?? null })

// ---- forms of values ------------------------------------------------------------------------------------------------

const wrong = (expected: string) => ({
  error: (issue: { input?: unknown }) => `must be ${expected}, found ${shown(issue.input)}`,
})

/** `min` is written as in a file, so that a fault can show it. */
function quantity<T>(read: (value: unknown) => Read<T>, min = '0') {
  const least = read(min)
  return z.unknown().transform((value, context): T => {
    const done = read(value)
    const tooSmall = done.ok && least.ok && done.value < least.value
    if (done.ok && !tooSmall) return done.value
    const message = done.ok ? `must be at least ${min}, found ${shown(value)}` : done.text
    context.issues.push({ code: 'custom', message, input: value })
    return z.NEVER
  })
}
const duration = (min?: string) => ({ schema: quantity(readDuration, min), unit: 'duration' })
const size = (min?: string) => ({ schema: quantity(readSize, min), unit: 'bytes' })
const cpus = { schema: quantity(readCpus), unit: 'cores' }
const portRanges = { schema: quantity(readPortRanges), unit: 'port ranges' }
const count = (min: number, max: number) => {
  const expected = wrong(`a whole number from ${min} to ${max}`)
  return { schema: z.int(expected).min(min, expected).max(max, expected), unit: 'count' }
}
const port = { ...count(0, 65_535), unit: 'port, 0 = any free one' }
const flag = { schema: z.boolean(wrong('true or false')), unit: 'true or false' }
const text = (unit: string, pattern = /^\P{Cc}{1,1024}$/u, expected = 'a text of one line') => ({
  schema: z.string(wrong(expected)).regex(pattern, wrong(expected)),
  unit,
})
const name = text('name', /^[A-Za-z0-9][\w.-]{0,254}$/, 'a name of letters, digits, `.`, `-` and `_`')
const host = text('host', /^[A-Za-z0-9_.:[\]-]{1,253}$/, 'a host name or an address')
const choice = <const T extends readonly [string, ...string[]]>(...options: T) => ({
  schema: z.enum(options, wrong(`one of ${options.join(', ')}`)),
  unit: options.join(' or '),
})
const path = text('path')
const regex = {
  schema: z.string(wrong('a regular expression')).refine(isRegex, wrong('a regular expression that compiles')),
  unit: 'regular expression, whole match',
}

function isRegex(source: string): boolean {
  try {
    return new RegExp(source) instanceof RegExp
  } catch (cause) {
    if (cause instanceof SyntaxError) return false
    throw cause
  }
}

/** `host` or `host:port`: where others reach what is bound here. */
const advertised = {
  schema: z
    .string(wrong('`host` or `host:port`'))
    .regex(/^(?:[\w.-]{1,253}|\[[0-9a-fA-F:]+\])(?::\d{1,5})?$/, wrong('`host` or `host:port`'))
    .transform(value => {
      const match = /^(.*?)(?::(\d+))?$/.exec(value)
      return { host: match?.[1] ?? value, port: match?.[2] === undefined ? null : Number(match[2]) }
    }),
  unit: 'host or host:port',
}
const webhookUrl = {
  schema: z
    .string(wrong('an http or https URL'))
    .regex(/^https?:\/\/\S+$/, { ...wrong('an http or https URL'), abort: true })
    .refine(text => URL.canParse(text), wrong('an http or https URL')),
  unit: 'URL',
}
const statuses = {
  schema: z.array(
    z.enum(Object.keys(TASK_STATUSES) as [TaskStatus, ...TaskStatus[]], wrong('statuses of tasks, such as LOST')),
    wrong('a list of statuses'),
  ),
  unit: 'list of statuses',
}
const offerOrder = {
  schema: z.array(z.enum(OFFER_ORDERS, wrong(`some of ${OFFER_ORDERS.join(', ')}`)), wrong('a list of orders')),
  unit: `list of ${OFFER_ORDERS.join(', ')}`,
}
const urls = {
  schema: z.array(
    z
      .string(wrong('a URL'))
      .regex(/^https?:\/\/[^/\s]+\/?$/, { ...wrong('a URL such as `http://10.0.0.1:8081`'), abort: true })
      .refine(text => URL.canParse(text), wrong('a URL such as `http://10.0.0.1:8081`')),
    wrong('a list of URLs'),
  ),
  unit: 'list of URLs',
}
const origins = {
  schema: z.array(
    z
      .string(wrong('an origin such as `https://ui.example`'))
      .regex(/^https?:\/\/[^/\s*]+$/, { ...wrong('an origin such as `https://ui.example`'), abort: true })
      .refine(text => URL.canParse(text) && new URL(text).origin === text, wrong('an origin in its plain form')),
    wrong('a list of origins'),
  ),
  unit: 'list of origins',
}
const attributes = {
  schema: z
    .record(
      z.string(),
      z.union(
        [z.string(), z.number(), z.boolean(), z.array(z.union([z.string(), z.number(), z.boolean()]))],
        wrong('a value or a list of values'),
      ),
      wrong('a map of names to values'),
    )
    .transform(map =>
      Object.entries(map)
        .map(([attribute, values]) => ({ name: attribute, values: [...new Set([values].flat().map(String))].sort() }))
        .sort((a, b) => (a.name < b.name ? -1 : 1)),
    ),
  unit: 'map of name to value or values',
}
const members = {
  schema: z.array(
    z.strictObject(
      {
        id: count(1, 1_000_000).schema,
        host: host.schema,
        port: count(1, 65_535).schema,
        name: name.schema.optional(),
      },
      wrong('a member: {id, host, port, name}'),
    ),
    wrong('a list of members: [{id, host, port}]'),
  ),
  unit: 'list of {id, host, port, name}',
}
const roles = {
  schema: z
    .array(choice('scheduler', 'agent').schema, wrong('a list of scheduler and agent'))
    .min(1, wrong('at least one of scheduler and agent')),
  unit: 'list of scheduler and agent',
}

// ---- the keys ---------------------------------------------------------------------------------------------------------

export const configSchema = z.strictObject({
  roles: key(roles, {
    meaning: 'What this process is: a scheduler node, an agent that runs tasks on this machine, or both',
    default: ['scheduler', 'agent'],
  }),
  cluster: z.strictObject({
    name: key(name, {
      meaning: 'Name of the cluster for people, shown in /vars; clients name clusters in a file of their own',
      default: 'local',
      aurora: '-cluster_name',
    }),
    id: optionalKey(text('32 hex digits', /^[0-9a-f]{32}$/, '32 hexadecimal digits'), {
      meaning: 'Identity of the cluster; nodes and agents of another one are refused',
      unset: 'drawn when the log is initialized',
    }),
    secretFile: optionalKey(path, {
      meaning: 'File with the secret that nodes and agents prove to each other, at least 16 characters',
      unset: 'no secret, and then this node binds to loopback addresses only',
      aurora: '-framework_authentication_file',
    }),
  }),
  node: z.strictObject({
    id: key(
      { ...count(1, 1_000_000), unit: 'number' },
      {
        meaning: 'Member id of this scheduler node in the replicated log; never used again for another one',
        default: 1,
      },
    ),
    name: optionalKey(name, {
      meaning: 'Name of this node for people',
      unset: '`node-<id>`; of an agent alone: `agent.host`',
    }),
  }),
  members: optionalKey(members, {
    meaning: 'The scheduler nodes that make up the cluster when its log is initialized: 1, 3, 5 or 7 of them',
    unset: 'this node alone',
    aurora: '-native_log_zk_group_path',
  }),
  quorum: optionalKey(count(1, 7), {
    meaning: 'Only checked, never needed: the quorum is always floor(members / 2) + 1',
    unset: 'derived',
    aurora: '-native_log_quorum_size',
  }),
  data: z.strictObject({
    dir: key(path, {
      meaning: 'Folder of everything that must outlive a restart; relative to the folder one starts in',
      default: '.daybreak',
      aurora: '-native_log_file_path',
    }),
  }),
  http: z.strictObject({
    host: key(host, {
      meaning: 'Address to serve clients, agents and the web page on',
      default: '127.0.0.1',
      aurora: '-ip',
    }),
    port: key(port, { meaning: 'Port for clients, agents and the web page', default: 8081, aurora: '-http_port' }),
    advertise: optionalKey(advertised, {
      meaning: 'Where clients and agents reach this node, if that differs from where it is bound',
      unset: 'what it is bound to',
      aurora: '-hostname',
    }),
    bodyMax: key(size('1KiB'), { meaning: 'Largest body of a request', default: '4MiB' }),
    requestTimeout: key(duration('1s'), {
      meaning: 'How long a client may take to send a request, body included, before the connection is closed',
      default: '1min',
    }),
    corsOrigins: key(origins, {
      meaning:
        'Origins of web pages of others that may use /api and /api/v1 from a browser; pages of any other origin may change nothing',
      default: [],
      aurora: '-enable_cors_for',
    }),
    tls: z.strictObject({
      certFile: optionalKey(path, {
        meaning:
          'Certificate of this node in PEM, for the host under which clients reach it, and behind it those between it and the CA; with keyFile, clients and agents are served https only; read at the start',
        unset: 'http, so passwords and tokens can be read on the way',
      }),
      keyFile: optionalKey(path, {
        meaning: 'Private key of that certificate in PEM, without a passphrase',
        unset: 'http; both of certFile and keyFile or none',
      }),
      caFile: optionalKey(path, {
        meaning: 'Certificates of the CAs by which the agent of this process knows https scheduler nodes, in PEM',
        unset: 'those that come with Node.js',
      }),
    }),
  }),
  security: z.strictObject({
    file: optionalKey(path, {
      meaning:
        'File that says who may do what over HTTP (docs/operating/security.md); set it alike on all scheduler nodes',
      unset: 'anybody who reaches the port may do anything, so this node serves loopback addresses only',
      aurora: '-shiro_ini_path',
    }),
    allowUnsecured: key(flag, {
      meaning:
        'Whether this node serves addresses beyond loopback without security.file: only where others keep the port',
      default: false,
      aurora: '-http_authentication_mechanism',
    }),
  }),
  peer: z.strictObject({
    host: key(host, { meaning: 'Address to serve the other scheduler nodes on', default: '127.0.0.1' }),
    port: key(port, { meaning: 'Port for the other scheduler nodes', default: 8083 }),
    advertise: optionalKey(advertised, {
      meaning: 'Where the other scheduler nodes reach this one',
      unset: 'what it is bound to',
    }),
    tls: z.strictObject({
      certFile: optionalKey(path, {
        meaning:
          'Certificate of this node in PEM, for its host in members; with keyFile and caFile, scheduler nodes speak TLS only and show each other certificates; read at the start',
        unset: 'nothing is encrypted between scheduler nodes',
      }),
      keyFile: optionalKey(path, {
        meaning: 'Private key of that certificate in PEM, without a passphrase',
        unset: 'no TLS; all three of peer.tls or none',
      }),
      caFile: optionalKey(path, {
        meaning: 'Certificate of the CA, or of several, that signs those of the scheduler nodes, in PEM',
        unset: 'no TLS; all three of peer.tls or none',
      }),
    }),
  }),
  log: z.strictObject({
    autoBootstrap: key(flag, {
      meaning: 'Initialize an empty store at the first start; else `daybreak log initialize` has to be run',
      default: false,
      aurora: '--log_auto_initialize',
    }),
    heartbeat: key(duration('1ms'), {
      meaning: 'How often a leader is heard by the other scheduler nodes when it has nothing else to say',
      default: '150ms',
    }),
    lease: key(duration('1ms'), {
      meaning:
        'How long the other scheduler nodes wait for a silent leader before they elect another; at least 6 heartbeats',
      default: '1s',
      aurora: '-zk_session_timeout',
    }),
    keepEntries: key(count(100, 10_000_000), {
      meaning:
        'Committed entries of the log that are kept although the row tables stand for them, so that a node that was away for a moment need not be sent all rows',
      default: 10_000,
    }),
    space: z.strictObject({
      alarm: key(size(), { meaning: 'Free disk space below which a warning is logged', default: '1GiB' }),
      reserve: key(size(), { meaning: 'Free disk space below which no more changes are accepted', default: '256MiB' }),
      ballast: key(size(), {
        meaning: 'Size of a file that is given up when the disk is full, so that there is room to recover',
        default: '64MiB',
      }),
    }),
  }),
  scheduler: z.strictObject({
    heap: key(size('256MiB'), {
      meaning:
        'What the heap of the main thread, with the rows and actors of the cluster, may grow to; a million tasks take two fifths of the default. `bin/daybreak` hands it to Node, which must be told before it starts',
      default: '4GiB',
    }),
    allowedEnvironments: key(regex, {
      meaning: 'Environments that jobs may name',
      default: '^(prod|devel|test|staging\\d*)$',
      aurora: '-allowed_job_environments',
    }),
    maxTasksPerJob: key(count(1, 1_000_000), {
      meaning: 'Most instances a job may have',
      default: 4000,
      aurora: '-max_tasks_per_job',
    }),
    tiersFile: optionalKey(path, {
      meaning: 'File with the tiers that jobs may name, such as config/tiers.yaml; set it alike on all scheduler nodes',
      unset: 'preferred, preemptible (of jobs that name none) and revocable',
      aurora: '-tier_config',
    }),
    allowGpus: key(flag, {
      meaning: 'Whether jobs may ask for GPUs',
      default: false,
      aurora: '-allow_gpu_resource',
    }),
    transientTimeout: key(duration('1s'), {
      meaning: 'A task that stays longer in a passing state (ASSIGNED, KILLING, …) is given up as LOST',
      default: '5min',
      aurora: '-transient_task_state_timeout',
    }),
    killRetry: key(duration('100ms'), {
      meaning: 'First pause before a kill that was not answered is sent again; doubles from there',
      default: '15s',
      aurora: '-initial_task_kill_retry_interval',
    }),
    schedulePenaltyMax: key(duration('1ms'), {
      meaning: 'Longest pause between two tries to place a task that fits nowhere',
      default: '1min',
      aurora: '-max_schedule_penalty',
    }),
    agentHeartbeat: key(duration('100ms'), { meaning: 'How often agents report', default: '5s' }),
    agentUnreachable: key(duration('1s'), {
      meaning:
        'Nothing is placed on an agent that is silent for 3 heartbeats; after this long its tasks are PARTITIONED, and replaced as their partition policy says; at least 3 heartbeats',
      default: '75s',
      aurora: '--agent_ping_timeout',
    }),
    agentForget: key(duration('1min'), {
      meaning:
        'An agent that has been away for so long and has no tasks that have not ended is forgotten; one that comes back after that is registered anew; at least agentUnreachable',
      default: '7d',
    }),
    registrationDelay: key(duration('1s'), {
      meaning:
        'How long a new leader waits for its driver to be registered before it gives leadership away; our own agents need no registration, so it matters to drivers that ask somebody else',
      default: '1min',
      aurora: '-max_registration_delay',
    }),
    startSpread: key(duration(), {
      meaning:
        'After a change of leader the tasks that wait for a place are tried at moments drawn over this time, those of one configuration together; fewer than 100 configurations or 1,000 tasks are spread over as much less, so that a laptop waits for nothing; 0 tries all at once',
      default: '30s',
      aurora: '-max_reschedule_task_delay_on_startup',
    }),
    offerOrder: key(offerOrder, {
      meaning:
        'Which machine a task takes of those that fit: RANDOM first in the list spreads tasks; any other list fills machines one by one, fullest first by these amounts, the first of them before the second',
      default: ['RANDOM'],
      aurora: '-offer_order',
    }),
    preemption: z.strictObject({
      enabled: key(flag, {
        meaning: 'Whether tasks may be ended to make room for more important ones',
        default: true,
        aurora: '-enable_preemptor',
      }),
      delay: key(duration(), {
        meaning: 'Tasks are preempted only for one that has been PENDING for so long',
        default: '3min',
        aurora: '-preemption_delay',
      }),
      interval: key(duration('100ms'), {
        meaning:
          'Pause between two looks at the tasks that wait; also how long room that was made may go unused before it is given up',
        default: '10s',
        aurora: '-preemption_slot_search_interval',
      }),
      batch: key(count(1, 1000), {
        meaning:
          'Most tasks of one configuration that room is made for before it is the turn of the next one; a gang has its turn whole',
        default: 100,
        aurora: '-preemption_reservation_max_batch_size',
      }),
      reservation: key(duration('1s'), {
        meaning:
          'Room is kept for the tasks it is made for at most so long, counted from when the others were asked to go; longer than tasks take to stop',
        default: '3min',
        aurora: '-offer_reservation_duration',
      }),
    }),
    flapping: z.strictObject({
      threshold: key(duration(), {
        meaning: 'A task that ends by itself before it has run for so long has flapped',
        default: '5min',
        aurora: '-flapping_task_threshold',
      }),
      pauseMin: key(duration(), {
        meaning:
          'A task that has flapped is run again at once the first time; from the second in a row on it waits one to two times this, then one to two times its last pause; 0: never',
        default: '30s',
        aurora: '-initial_flapping_task_delay',
      }),
      pauseMax: key(duration(), {
        meaning: 'Longest of these pauses; at least pauseMin',
        default: '5min',
        aurora: '-max_flapping_task_delay',
      }),
      restartsPerSecond: key(count(1, 100_000), {
        meaning:
          "Most tasks of one job that are run again a second after they have flapped, but for a first burst of 10 seconds' worth; so that one job in a crash loop does not slow down the others",
        default: 100,
      }),
    }),
    requestOutcomes: z.strictObject({
      keep: key(duration('10min'), {
        meaning: 'How long the outcome of a change is kept, so that its retry gets the same answer',
        default: '24h',
      }),
      max: key(count(1, 10_000_000), {
        meaning: 'Most outcomes kept; the oldest go first, but none before 10 minutes',
        default: 100_000,
      }),
    }),
    pruning: z.strictObject({
      keep: key(duration('1min'), {
        meaning: 'How long an ended task can be looked at before it is forgotten',
        default: '2d',
        aurora: '-history_prune_threshold',
      }),
      keepMin: key(duration(), {
        meaning:
          'No ended task is forgotten sooner, however many its job has; nor sooner than this after a change of leader',
        default: '1h',
        aurora: '-history_min_retention_threshold',
      }),
      perJob: key(count(0, 1_000_000), {
        meaning: 'Ended tasks that a job keeps; the oldest go first, once they are older than keepMin',
        default: 100,
        aurora: '-history_max_per_job_threshold',
      }),
    }),
    updatePruning: z.strictObject({
      interval: key(duration('1s'), {
        meaning: 'How often it is looked for updates of jobs that may be forgotten',
        default: '15min',
        aurora: '-job_update_history_pruning_interval',
      }),
      keep: key(duration('1min'), {
        meaning: 'How long after its creation an update that has ended can be looked at before it is forgotten',
        default: '30d',
        aurora: '-job_update_history_pruning_threshold',
      }),
      perJob: key(count(0, 1_000_000), {
        meaning:
          'Ended updates that a job keeps; the oldest go first, and all of them when the job has no task any more',
        default: 10,
        aurora: '-job_update_history_per_job_threshold',
      }),
    }),
    reconciliation: z.strictObject({
      initialDelay: key(duration('1s'), {
        meaning:
          'From the start of a leader to the first run in which it asks the agents for the tasks it believes in (explicit); what differs between the two is found within seconds anyway, these runs are the safety net',
        default: '1min',
        aurora: '-reconciliation_initial_delay',
      }),
      explicitInterval: key(duration('1min'), {
        meaning: 'Between two explicit runs',
        default: '60min',
        aurora: '-reconciliation_explicit_interval',
      }),
      implicitInterval: key(duration('1min'), {
        meaning: 'Between two runs in which every agent tells all the tasks it has (implicit)',
        default: '60min',
        aurora: '-reconciliation_implicit_interval',
      }),
      spread: key(duration(), {
        meaning: 'So much later than the first explicit run the first implicit one comes, so that the two are apart',
        default: '30min',
        aurora: '-reconciliation_schedule_spread',
      }),
      batchSize: key(count(1, 1_000), {
        meaning: 'Most tasks asked for at once in an explicit run',
        default: 1_000,
        aurora: '-reconciliation_explicit_batch_size',
      }),
      batchInterval: key(duration('10ms'), {
        meaning: 'Between two batches of an explicit run',
        default: '5s',
        aurora: '-reconciliation_explicit_batch_interval',
      }),
    }),
    webhook: z.strictObject({
      url: optionalKey(webhookUrl, {
        meaning:
          'Where the leader posts every transition of a task as JSON, at least once and in order per task; set it alike on all scheduler nodes',
        unset: 'nothing is posted',
        aurora: '-webhook_config',
      }),
      timeout: key(duration('10ms'), {
        meaning: 'How long one post may take before it is tried again',
        default: '5s',
      }),
      headersFile: optionalKey(path, {
        meaning: 'File with headers that every post carries, one `Name: value` a line',
        unset: 'none beside those of a post',
      }),
      secretFile: optionalKey(path, {
        meaning: 'File with the secret that signs every post, at least 16 characters',
        unset: 'posts are not signed',
      }),
      statuses: key(statuses, { meaning: 'Only transitions into these are posted; empty: all', default: [] }),
      job: optionalKey(
        text('name or role/environment/name', /^[\w.-]+(\/[\w.-]+\/[\w.-]+)?$/, 'a name or role/environment/name'),
        {
          meaning: 'Only transitions of the tasks of this job are posted',
          unset: 'those of all jobs',
        },
      ),
    }),
  }),
  executor: z.strictObject({
    overheadCpus: key(cpus, {
      meaning: 'Cores counted for every task beside its own, for what runs it',
      default: 0.01,
      aurora: '-thermos_executor_cpu',
    }),
    overheadRam: key(size(), {
      meaning: 'RAM counted for every task beside its own, for what runs it',
      default: '8MiB',
      aurora: '-thermos_executor_ram',
    }),
  }),
  agent: z.strictObject({
    workDir: optionalKey(path, {
      meaning: 'Folder of the sandboxes and of what the agent remembers of its tasks',
      unset: '`agent` in data.dir',
      aurora: '--work_dir',
    }),
    schedulers: key(urls, {
      meaning: 'Scheduler nodes to register with; empty: the one in this process',
      default: [],
      aurora: '--master',
    }),
    host: optionalKey(name, {
      meaning: 'Name of this machine, for constraints and for people',
      unset: 'the host name',
      aurora: '--hostname',
    }),
    attributes: key(attributes, {
      meaning: 'What constraints of jobs can ask for; `dedicated` keeps a machine for one kind of job',
      default: {},
      aurora: '--attributes',
    }),
    resources: z.strictObject({
      cpus: optionalKey(cpus, { meaning: 'Cores to offer', unset: 'all', aurora: '--resources' }),
      ram: optionalKey(size(), {
        meaning: 'RAM to offer',
        unset: 'all but 5 %, at least 1GiB',
        aurora: '--resources',
      }),
      disk: optionalKey(size(), {
        meaning: 'Disk space to offer',
        unset: 'the file system of the work folder but 5GiB',
        aurora: '--resources',
      }),
      gpus: key(count(0, 64), { meaning: 'GPUs to offer', default: 0, aurora: '--resources' }),
      revocableCpus: key(cpus, {
        meaning:
          'Cores to lend beside cpus, such as those that are reserved and idle: only tasks of the tier revocable run on them, and on nothing else',
        default: 0,
        aurora: '-receive_revocable_resources',
      }),
    }),
    ports: key(portRanges, { meaning: 'Ports to assign to tasks', default: '31000-32000', aurora: '--resources' }),
    userMode: key(choice('role', 'shared'), {
      meaning: 'Whom tasks run as: the user named like their role (needs root), or all as the user of the agent',
      default: 'role',
      aurora: '--switch_user',
    }),
    allowRoot: key(flag, { meaning: 'Whether the role root may run tasks', default: false }),
    killCap: key(duration('1s'), {
      meaning: 'Longest time a task gets to end by itself before SIGKILL',
      default: '2min',
      aurora: '--stop_timeout_in_secs',
    }),
    sandboxKeep: key(duration(), {
      meaning: 'How long the sandbox of an ended task is kept; less when the disk fills up',
      default: '7d',
      aurora: '--gc_delay',
    }),
  }),
  backup: z.strictObject({
    folder: optionalKey(path, {
      meaning:
        'Where this node writes backups of the cluster while it leads, and where `daybreak backup stage` looks for them',
      unset: '`backups` in data.dir',
      aurora: '-backup_dir',
    }),
    interval: key(duration('1min'), {
      meaning: 'From one backup to the next; the first comes so long after the start of the process',
      default: '1h',
      aurora: '-backup_interval',
    }),
    keep: key(count(1, 100_000), {
      meaning: 'Backups that stay in the folder; the oldest go',
      default: 48,
      aurora: '-max_saved_backups',
    }),
  }),
  health: z.strictObject({
    interval: key(duration('100ms'), { meaning: 'How often the state of the node is looked at', default: '1s' }),
    eventLoopLagMax: key(duration('10ms'), {
      meaning: 'A thread that does not come round for longer counts as blocked',
      default: '5s',
    }),
    mailboxAgeMax: key(duration('10ms'), {
      meaning: 'A message that waits longer for its actor means that the mailbox does not drain',
      default: '10s',
    }),
    diskFreeMin: key(size(), { meaning: 'Free disk space below which the node counts as sick', default: '512MiB' }),
  }),
  logging: z.strictObject({
    format: key(choice('text', 'json'), {
      meaning: 'Log lines for people, or JSON, one object a line',
      default: 'text',
    }),
    level: key(choice('debug', 'info', 'warn'), {
      meaning: 'Least level that is written to standard error; errors always are',
      default: 'info',
      aurora: '-vlog',
    }),
  }),
})

export type NodeConfig = z.output<typeof configSchema>
export type Member = NonNullable<NodeConfig['members']>[number]

/** One key: its dotted name, its form and its facts. */
export interface ConfigKey {
  readonly name: string
  readonly path: readonly string[]
  readonly schema: z.ZodType
  readonly facts: KeyFacts
}

/** All keys in the order of the schema. */
export function configKeys(): readonly ConfigKey[] {
  const found: ConfigKey[] = []
  const walk = (section: z.ZodObject, path: readonly string[]): void => {
    for (const [part, schema] of Object.entries(section.shape) as [string, z.ZodType][]) {
      const here = [...path, part]
      if (schema instanceof z.ZodObject) walk(schema, here)
      else found.push({ name: here.join('.'), path: here, schema, facts: schema.meta() as unknown as KeyFacts })
    }
  }
  walk(configSchema, [])
  return found
}
