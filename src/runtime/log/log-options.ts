/** What the log of one node is told at its start. Plain data: it crosses to the log thread. */
import type { ListedMember } from '../../core/log/descriptor.ts'
import { type LogLimits, limitsFor } from '../../core/log/limits.ts'
import type { LogTiming } from '../../core/log/timing.ts'
import type { NodeConfig } from '../config.ts'
import type { PeerTls } from '../peer-certificates.ts'

/** For the commands that look at a log. */
export type { LogStatusReport } from '../../actors/ports.ts'

export interface LogNodeOptions {
  /** Folder of this node's log: holds `store/`, `state/`, the lock and the ballast. Made if it is missing. */
  readonly path: string
  readonly memberId: number
  /** `cluster.id` of the config, or null: then a formatted store says which cluster it is. */
  readonly clusterId: string | null
  /** All members, this one included. */
  readonly members: readonly ListedMember[]
  /** Where clients reach this node; told to others for redirects. */
  readonly httpUrl: string
  /** For the advice that an uninitialized node logs. */
  readonly configFile: string
  /** Format an empty store without being told, once every listed member is empty with the same genesis. */
  readonly autoBootstrap: boolean
  /** Where this member listens for the others. Without it a member of several reaches nobody. */
  readonly peer?: PeerOptions
  readonly space?: Partial<SpaceLimits>
  readonly timing?: Partial<LogTiming>
  readonly limits?: LogLimits
  /** A flush that takes longer ends the process. Default 30 s. */
  readonly flushMsMax?: number
}

export interface PeerOptions {
  readonly host: string
  readonly port: number
  /** Of the cluster; empty: none, and then only loopback is used. */
  readonly secret: string
  /** Certificates, and then nodes speak TLS only; absent: in clear. */
  readonly tls?: PeerTls
}

/** What proves and hides what is said between nodes. */
export interface PeerSecrets {
  readonly secret: string
  readonly tls: PeerTls | null
}

/** From the config of a node; `httpUrl` is where clients reach it, once that is known. */
export function logOptionsOf(
  config: NodeConfig,
  configFile: string,
  httpUrl: string,
  { secret, tls }: PeerSecrets = { secret: '', tls: null },
): LogNodeOptions {
  const { id } = config.node
  // A node alone may change its name and ports as it likes: nobody else has them written down.
  const alone: ListedMember = { memberId: id, name: `node-${id}`, address: 'alone' }
  const members = config.members?.map(member => ({
    memberId: member.id,
    name: member.name ?? `node-${member.id}`,
    address: `${member.host}:${member.port}`,
  }))
  return {
    path: logFolderOf(config),
    memberId: id,
    clusterId: config.cluster.id,
    members: members ?? [alone],
    httpUrl,
    configFile,
    autoBootstrap: config.log.autoBootstrap,
    timing: { heartbeatMs: config.log.heartbeat, leaseMs: config.log.lease },
    limits: limitsFor(config.log.keepEntries),
    peer: { host: config.peer.host, port: config.peer.port, secret, ...(tls === null ? {} : { tls }) },
    space: {
      alarmBytes: config.log.space.alarm,
      reserveBytes: config.log.space.reserve,
      ballastBytes: config.log.space.ballast,
    },
  }
}

export const logFolderOf = (config: NodeConfig): string => `${config.data.dir}/log`

export interface SpaceLimits {
  /** Appends are refused while less than this is free. Default 256 MiB. */
  readonly reserveBytes: number
  /** Warned about below this. Default 1 GiB. */
  readonly alarmBytes: number
  /** A file kept only to be deleted when the disk is full, because even deleting needs free pages. Default 64 MiB. */
  readonly ballastBytes: number
  /** How often free space is looked at; a fifth of it while appends are refused. Default 1 s. */
  readonly checkEveryMs: number
}

export const SPACE_LIMITS: SpaceLimits = {
  reserveBytes: 256 * 1024 * 1024,
  alarmBytes: 1024 * 1024 * 1024,
  ballastBytes: 64 * 1024 * 1024,
  checkEveryMs: 1_000,
}
