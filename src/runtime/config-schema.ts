/**
 * Every key of the config file, for all roles: its form, meaning, unit, default and the Aurora (or Mesos)
 * flag it answers to. The flags of `daybreak start`, `config show`, `/vars`, docs/operating/configuration.md and the
 * types are all made from here. A leaf is read on its own, so that all faults of a file can be told at once.
 *
 * Units once read: durations ms, sizes bytes, cores thousandths of a core.
 */
import { z } from 'zod'
import {
  advertised,
  choice,
  count,
  duration,
  host,
  type KeyFacts,
  key,
  members,
  name,
  optionalKey,
  path,
  port,
  roles,
  size,
  text,
} from './config-forms.ts'
import { agentKeys, executorKeys } from './config-keys/agent.ts'
import { httpKeys, securityKeys } from './config-keys/http.ts'
import { backupKeys, logKeys } from './config-keys/log.ts'
import { schedulerKeys } from './config-keys/scheduler.ts'

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
  http: httpKeys,
  security: securityKeys,
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
  log: logKeys,
  scheduler: schedulerKeys,
  executor: executorKeys,
  agent: agentKeys,
  backup: backupKeys,
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
