/**
 * What lies in the log folder of a node, and how one is made: `store/` the log itself, `state/` the row tables, `lock`,
 * `ballast`, and `needs-verify` while what is here may not be believed. Source: the replicated log, C2 and C10.
 */
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { genesisText, type ListedMember, memberFaults } from '../../core/log/descriptor.ts'
import { type Doubt, doubtOf, doubtText } from '../../core/log/doubt.ts'
import type { LogMeta } from '../../core/log/meta.ts'
import { writeDurableFile } from './durable-file.ts'
import { formatLogStore, logStoreExists } from './lmdb-log-store.ts'
import type { LogNodeOptions } from './log-options.ts'
import { LogRefused } from './log-refused.ts'

export const storeFolder = (path: string): string => join(path, 'store')
export const stateFolder = (path: string): string => join(path, 'state')

export function isFormatted(path: string): boolean {
  return logStoreExists(storeFolder(path))
}

export function genesisHashOf(clusterId: string, members: readonly ListedMember[]): string {
  return createHash('sha256').update(genesisText(clusterId, members)).digest('hex')
}

export function drawClusterId(): string {
  return randomBytes(16).toString('hex')
}

/** Formats the store of this member as STARTING. The caller holds the lock. */
export function formatLog(options: LogNodeOptions, clusterId: string): Promise<LogMeta> {
  refuseMemberFaults(options)
  mkdirSync(options.path, { recursive: true })
  const members = options.members.toSorted((a, b) => a.memberId - b.memberId)
  return formatLogStore(storeFolder(options.path), {
    clusterId,
    genesisHash: genesisHashOf(clusterId, members),
    memberId: options.memberId,
    incarnation: randomBytes(16).toString('hex'),
    genesisMembers: members,
  })
}

export function refuseMemberFaults(options: LogNodeOptions): void {
  const faults = memberFaults({ members: options.members, nodeId: options.memberId })
  if (faults.length > 0) throw new LogRefused(faults.join('; '))
}

const marker = (path: string): string => join(path, 'needs-verify')

/**
 * Left behind when what can be read proves nothing: after a flush that failed, because the kernel may have dropped pages,
 * and when log or rows turn out not to be those of the others.
 */
export function markNeedsVerify(path: string, doubt: Doubt): void {
  const text = doubtText(doubt)
  try {
    writeDurableFile(marker(path), text)
  } catch {
    // It is on the disk that fails. Without a flush it still stands until the machine is booted again, and only so long
    // does the kernel show pages that were never written.
    writeFileSync(marker(path), text)
  }
}

export function needsVerify(path: string): Doubt | null {
  return existsSync(marker(path)) ? doubtOf(readFileSync(marker(path), 'utf8')) : null
}

export function acceptVerified(path: string): void {
  rmSync(marker(path), { force: true })
}
