/**
 * What must hold between keys: contradictions are refused and both keys named, and nothing listens beyond loopback
 * without a secret. Run on the keys that could be read.
 */
import { readFileSync } from 'node:fs'
import { isIPv4 } from 'node:net'
import { attributeFault } from '../core/agents/attribute-faults.ts'
import { memberFaults } from '../core/log/descriptor.ts'
import { HEARTBEATS_IN_LEASE_MIN } from '../core/log/timing.ts'
import type { NodeConfig } from './config-schema.ts'
import { showDuration } from './config-units.ts'
import { type ReadHttpTls, readHttpTls } from './http-certificates.ts'
import { type ReadPeerTls, readPeerTls } from './peer-certificates.ts'
import { readSecurityFile } from './security/security-file.ts'
import { readTiersFile } from './tiers-file.ts'
import { readWebhookFiles } from './webhook-files.ts'

export interface RuleFault {
  /** The keys it is about, the one to change first; it is not told when one of them could not even be read. */
  readonly keys: readonly string[]
  readonly text: string
}

export const SECRET_CHARACTERS_MIN = 16
const HEARTBEATS_UNTIL_UNREACHABLE_MIN = 3
const HTTP_TLS_KEYS = ['http.tls.certFile', 'http.tls.keyFile', 'http.tls.caFile']
const TLS_KEYS = ['peer.tls.certFile', 'peer.tls.keyFile', 'peer.tls.caFile']

/** `readFiles`: whether the secret, the certificates, the tiers and who may do what are looked at too, and not only their keys. */
export function configRuleFaults(config: NodeConfig, { readFiles }: { readFiles: boolean }): readonly RuleFault[] {
  return [
    ...roleFaults(config),
    ...(config.roles.includes('scheduler') ? [...memberRules(config), ...timeFaults(config)] : []),
    ...portFaults(config),
    ...secretFaults(config, readFiles),
    ...securityFaults(config, readFiles),
    ...(readFiles ? tlsFaults(config) : []),
    ...(readFiles ? httpTlsFaults(config) : []),
    ...(readFiles ? webhookFaults(config) : []),
    ...(readFiles ? tierFaults(config) : []),
  ]
}

/** The certificates of `peer.tls`, as they are now. */
export function readTlsOf({ members, node, peer }: NodeConfig): ReadPeerTls {
  const host = members?.find(member => member.id === node.id)?.host ?? null
  return readPeerTls(peer.tls, { host, wallMs: Date.now() })
}

/** The certificates of `http.tls`, as they are now. */
export function readHttpTlsOf({ http }: NodeConfig): ReadHttpTls {
  // Of a node that serves all addresses under no name of its own, nobody can say here what it is called.
  const host = http.advertise?.host ?? (http.host === '0.0.0.0' || http.host === '::' ? null : http.host)
  return readHttpTls(http.tls, { host, wallMs: Date.now() })
}

/** 127.0.0.0/8, ::1 and localhost. */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, '').toLowerCase()
  return bare === 'localhost' || bare === '::1' || (isIPv4(bare) && bare.startsWith('127.'))
}

function roleFaults({ roles, agent }: NodeConfig): RuleFault[] {
  const faults: RuleFault[] = []
  if (new Set(roles).size !== roles.length) faults.push({ keys: ['roles'], text: 'names a role twice' })
  if (!roles.includes('scheduler') && agent.schedulers.length === 0) {
    faults.push({
      keys: ['agent.schedulers', 'roles'],
      text: 'an agent without a scheduler in its own process needs to know where to register: list the scheduler nodes, such as [http://10.0.0.1:8081]',
    })
  }
  const fault = roles.includes('agent') ? attributeFault(agent.attributes) : null
  if (fault !== null) faults.push({ keys: ['agent.attributes'], text: fault })
  return faults
}

/** Texts: the replicated log, C2. */
function memberRules(config: NodeConfig): RuleFault[] {
  const { members, quorum, node, peer } = config
  const listed = (members ?? [{ id: node.id }]).map(member => ({ memberId: member.id }))
  const texts = memberFaults({ members: listed, nodeId: node.id, quorum: quorum ?? undefined })
  const faults: RuleFault[] = texts.map(text => ({
    keys: text.startsWith('quorum ')
      ? ['quorum', 'members']
      : text.startsWith('node id')
        ? ['node.id', 'members']
        : ['members'],
    text,
  }))
  const own = members?.find(member => member.id === node.id)
  if (own === undefined) return faults
  const host = peer.advertise?.host ?? peer.host
  const port = peer.advertise?.port ?? peer.port
  if (port !== 0 && own.port !== port) {
    faults.push({
      keys: [peer.advertise?.port == null ? 'peer.port' : 'peer.advertise', 'members'],
      text: `contradicts members: they say that node ${node.id} is reached at port ${own.port}, this says ${port}`,
    })
  }
  if (peer.advertise !== null && own.host !== host) {
    faults.push({
      keys: ['peer.advertise', 'members'],
      text: `contradicts members: they say that node ${node.id} is reached at ${own.host}, this says ${host}`,
    })
  }
  return faults
}

function timeFaults({ scheduler, log }: NodeConfig): RuleFault[] {
  const faults: RuleFault[] = []
  const leaseLeast = log.heartbeat * HEARTBEATS_IN_LEASE_MIN
  if (log.lease < leaseLeast) {
    faults.push({
      keys: ['log.lease', 'log.heartbeat'],
      text: `${showDuration(log.lease)} is too short for log.heartbeat ${showDuration(log.heartbeat)}: at least ${HEARTBEATS_IN_LEASE_MIN} heartbeats, ${showDuration(leaseLeast)}`,
    })
  }
  const least = scheduler.agentHeartbeat * HEARTBEATS_UNTIL_UNREACHABLE_MIN
  if (scheduler.agentUnreachable < least) {
    faults.push({
      keys: ['scheduler.agentUnreachable', 'scheduler.agentHeartbeat'],
      text: `${showDuration(scheduler.agentUnreachable)} is too short for scheduler.agentHeartbeat ${showDuration(scheduler.agentHeartbeat)}: at least ${HEARTBEATS_UNTIL_UNREACHABLE_MIN} heartbeats, ${showDuration(least)}`,
    })
  }
  if (scheduler.agentForget < scheduler.agentUnreachable) {
    faults.push({
      keys: ['scheduler.agentForget', 'scheduler.agentUnreachable'],
      text: `${showDuration(scheduler.agentForget)} is shorter than scheduler.agentUnreachable ${showDuration(scheduler.agentUnreachable)}`,
    })
  }
  const { pauseMin, pauseMax } = scheduler.flapping
  if (pauseMax < pauseMin) {
    faults.push({
      keys: ['scheduler.flapping.pauseMax', 'scheduler.flapping.pauseMin'],
      text: `${showDuration(pauseMax)} is shorter than scheduler.flapping.pauseMin ${showDuration(pauseMin)}`,
    })
  }
  return faults
}

function portFaults({ roles, http, peer, agent }: NodeConfig): RuleFault[] {
  const faults: RuleFault[] = []
  const schedules = roles.includes('scheduler')
  if (schedules && http.port !== 0 && http.port === peer.port && http.host === peer.host) {
    faults.push({
      keys: ['peer.port', 'http.port'],
      text: `${peer.port} is taken by http.port: give the two different ports`,
    })
  }
  if (roles.includes('agent')) {
    for (const [key, port] of [
      ['http.port', http.port] as const,
      ...(schedules ? [['peer.port', peer.port] as const] : []),
    ]) {
      if (agent.ports.some(([from, to]) => from <= port && port <= to)) {
        faults.push({ keys: ['agent.ports', key], text: `contain ${key} ${port}, which a task could then be given` })
      }
    }
  }
  return faults
}

function tlsFaults(config: NodeConfig): RuleFault[] {
  if (!config.roles.includes('scheduler')) return []
  const read = readTlsOf(config)
  if (read.ok) return []
  return read.faults.map(({ key, text }) => ({ keys: [`peer.tls.${key}`, ...TLS_KEYS], text }))
}

/** Whoever reaches a port without security may stop the node and kill every task. */
function securityFaults({ roles, cluster, http, security }: NodeConfig, readFiles: boolean): RuleFault[] {
  if (security.file !== null) {
    if (security.allowUnsecured) {
      const text = 'contradicts security.file: remove one of the two'
      return [{ keys: ['security.allowUnsecured', 'security.file'], text }]
    }
    const faults: RuleFault[] = []
    // Agents and members do not pass by the users: without a secret nothing asks them who they are.
    if (roles.includes('scheduler') && cluster.secretFile === null) {
      const text = `says who may do what, but without a secret whoever reaches port ${http.port} can come in as an agent, and be given tasks: set cluster.secretFile`
      faults.push({ keys: ['security.file', 'cluster.secretFile'], text })
    }
    const read = readFiles ? readSecurityFile(security.file) : { ok: true as const }
    return read.ok ? faults : [...faults, ...read.faults.map(text => ({ keys: ['security.file'], text }))]
  }
  if (security.allowUnsecured || isLoopback(http.host)) return []
  const text = `${http.host} is not a loopback address and nothing says who may do what: set security.file (docs/operating/security.md), use 127.0.0.1, or set security.allowUnsecured where others keep the port`
  return [{ keys: ['http.host', 'security.file', 'security.allowUnsecured'], text }]
}

function httpTlsFaults(config: NodeConfig): RuleFault[] {
  const read = readHttpTlsOf(config)
  return read.ok ? [] : read.faults.map(({ key, text }) => ({ keys: [`http.tls.${key}`, ...HTTP_TLS_KEYS], text }))
}

function webhookFaults({ roles, scheduler: { webhook } }: NodeConfig): RuleFault[] {
  if (!roles.includes('scheduler') || webhook.url === null) return []
  const read = readWebhookFiles(webhook)
  return read.ok ? [] : [{ keys: [`scheduler.webhook.${read.key}`], text: read.text }]
}

function tierFaults({ roles, scheduler: { tiersFile } }: NodeConfig): RuleFault[] {
  if (!roles.includes('scheduler')) return []
  const read = readTiersFile(tiersFile)
  return read.ok ? [] : read.faults.map(text => ({ keys: ['scheduler.tiersFile'], text }))
}

function secretFaults({ roles, cluster, http, peer, agent, members }: NodeConfig, readFiles: boolean): RuleFault[] {
  if (cluster.secretFile !== null) return readFiles ? secretFileFaults(cluster.secretFile) : []
  const faults: RuleFault[] = []
  const remedy = 'set cluster.secretFile to a file with the secret of the cluster, or use 127.0.0.1'
  const listening: [string, string][] = [['http.host', http.host]]
  if (roles.includes('scheduler')) listening.push(['peer.host', peer.host])
  for (const [key, host] of listening) {
    if (!isLoopback(host)) {
      faults.push({
        keys: [key, 'cluster.secretFile'],
        text: `${host} is not a loopback address and there is no secret: ${remedy}`,
      })
    }
  }
  for (const { id, host } of roles.includes('scheduler') ? (members ?? []) : []) {
    if (!isLoopback(host)) {
      faults.push({
        keys: ['members', 'cluster.secretFile'],
        text: `member ${id} at ${host} is beyond this machine and there is no secret: set cluster.secretFile`,
      })
    }
  }
  for (const url of roles.includes('agent') ? agent.schedulers : []) {
    if (!isLoopback(new URL(url).hostname)) {
      faults.push({
        keys: ['agent.schedulers', 'cluster.secretFile'],
        text: `${url} is beyond this machine and there is no secret: set cluster.secretFile`,
      })
    }
  }
  return faults
}

function secretFileFaults(path: string): RuleFault[] {
  try {
    if (readFileSync(path, 'utf8').trim().length >= SECRET_CHARACTERS_MIN) return []
    return [
      {
        keys: ['cluster.secretFile'],
        text: `the secret in ${path} is shorter than ${SECRET_CHARACTERS_MIN} characters`,
      },
    ]
  } catch (cause) {
    return [
      {
        keys: ['cluster.secretFile'],
        text: `cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`,
      },
    ]
  }
}
