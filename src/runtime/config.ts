/**
 * The config of a node: one YAML file and flags over it, read whole, with every fault told at once and where it is.
 * `config-schema.ts` has the keys; here is what composition and the commands use.
 */
import { hostname } from 'node:os'
import type { Member, NodeConfig } from './config-schema.ts'

export type { KeyFacts } from './config-forms.ts'
export { faultLines, type LoadedConfig, loadConfig, readConfig, type Source } from './config-read.ts'
export { type ConfigKey, configKeys, type Member, type NodeConfig } from './config-schema.ts'

/** The name of this machine for constraints and for people. */
export const machineName = ({ agent }: NodeConfig): string => agent.host ?? hostname()

/** A process that is an agent alone is no member of the log, so no number stands for it. */
export function nodeName(config: NodeConfig): string {
  const isMember = config.roles.includes('scheduler')
  return config.node.name ?? (isMember ? `node-${config.node.id}` : machineName(config))
}

/** The scheduler nodes of the cluster: those listed, or this node alone. */
export function memberList(config: NodeConfig): readonly Member[] {
  if (config.members !== null) return config.members
  const { advertise, host, port } = config.peer
  return [{ id: config.node.id, host: advertise?.host ?? host, port: advertise?.port ?? port, name: nodeName(config) }]
}

/**
 * The URL at which others reach this node's HTTP. `boundPort` is the real port, which matters when the config says 0.
 * A node bound to every address is advertised under `hostName`.
 */
export function advertisedHttpUrl({ http }: NodeConfig, boundPort: number, hostName: string): string {
  const bound = http.host === '0.0.0.0' || http.host === '::' ? hostName : http.host
  const host = http.advertise?.host ?? bound
  const bracketed = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host
  return `${http.tls.certFile === null ? 'http' : 'https'}://${bracketed}:${http.advertise?.port ?? boundPort}`
}

/** Where the agent of this process keeps its sandboxes. */
export const agentWorkDir = ({ agent, data }: NodeConfig): string => agent.workDir ?? `${data.dir}/agent`

/** Where this node writes backups while it leads. */
export const backupPath = ({ backup, data }: NodeConfig): string => backup.folder ?? `${data.dir}/backups`
