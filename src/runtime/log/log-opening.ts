/**
 * From the folder of a log to its two stores, open and belonging together: first a snapshot that has arrived is put in
 * place, then the log is checked and opened, then the row tables. Whatever must not be opened is refused, and then
 * nothing is open. The caller holds the lock.
 */
import type { LogStore } from '../../actors/log-ports.ts'
import type { Logger, Metrics } from '../../actors/ports.ts'
import { descriptorConflict } from '../../core/log/descriptor.ts'
import type { LogMeta } from '../../core/log/meta.ts'
import { hasArrivals, installArrived } from './lmdb-incoming.ts'
import { installInLog, metaOfLog, type OpenLogOptions, openLogStore } from './lmdb-log-store.ts'
import { type LmdbStateStore, openStateStore } from './lmdb-state-store.ts'
import { stateFolder, storeFolder } from './log-folder.ts'
import type { LogNodeOptions } from './log-options.ts'
import { LogLacks, LogRefused } from './log-refused.ts'

export interface OpeningPorts {
  readonly log: Logger
  readonly metrics: Metrics
  /** Default: the LMDB store. Tests hand in disks that fail. */
  readonly openStore?: (folder: string, options: OpenLogOptions) => Promise<LogStore>
}

export interface OpenedStores {
  readonly store: LogStore
  readonly state: LmdbStateStore
}

/** Throws LogLacks when other members have what is missing here, LogRefused with the reason otherwise. */
export async function openStores(options: LogNodeOptions, ports: OpeningPorts): Promise<OpenedStores> {
  const { path, flushMsMax } = options
  const { openStore = openLogStore, log } = ports
  await putInPlace(path, ports)
  const store = await openStore(storeFolder(path), { flushMsMax, refuseForeign: meta => refuseForeign(meta, options) })
  const { meta } = store.restored
  try {
    const state = await openStateStore(stateFolder(path), meta, meta, because =>
      log.warn('log-rows-remade', { path: stateFolder(path), because }),
    )
    return { store, state }
  } catch (cause) {
    await store.close()
    throw cause instanceof LogLacks ? new LogLacks(cause.message, meta, cause.positions) : cause
  }
}

/** A snapshot that has arrived whole takes the place of what this member has, before anything is opened. */
async function putInPlace(path: string, { log, metrics }: OpeningPorts): Promise<void> {
  const meta = hasArrivals(stateFolder(path)) ? await metaOfLog(storeFolder(path)) : null
  if (meta === null) return
  const position = await installArrived(stateFolder(path), meta, header => installInLog(storeFolder(path), header))
  if (position === null) return
  metrics.count('log_snapshots_installed')
  log.info('log-snapshot-installed', { position })
}

function refuseForeign(meta: LogMeta, { path, memberId, clusterId, members }: LogNodeOptions): void {
  if (meta.memberId !== memberId) {
    throw new LogRefused(`The log at ${path} is that of member ${meta.memberId}, the config is that of ${memberId}`)
  }
  const stored = {
    clusterId: meta.clusterId,
    configVersion: meta.descriptor?.configVersion ?? 0,
    members: meta.descriptor?.members ?? meta.genesisMembers,
  }
  const conflict = descriptorConflict(stored, { clusterId, members })
  if (conflict !== null) throw new LogRefused(`The log at ${path} is not the one of this config: ${conflict}`)
}
