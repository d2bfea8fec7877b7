/** What a log node says about itself, from its parts. */
import type { LogStatusReport } from '../../actors/ports.ts'
import { NO_BALLOT } from '../../core/log/ballot.ts'
import { quorumOf } from '../../core/log/descriptor.ts'
import type { LogMeta } from '../../core/log/meta.ts'
import { realClock } from '../clock.ts'
import type { LeaderViews } from './leader-views.ts'
import type { LogNodeOptions } from './log-options.ts'
import type { LogRoom } from './log-room.ts'
import type { LogWaiting } from './log-waiting.ts'
import type { OpenLog } from './open-log.ts'
import type { Peers } from './peers.ts'

export interface LogParts {
  readonly options: LogNodeOptions
  readonly views: LeaderViews
  readonly room: LogRoom
  readonly waiting: LogWaiting
  readonly peers: Peers | null
  readonly opened: OpenLog | null
  /** Of the log that is open, or was when it was closed. */
  readonly meta: LogMeta | null
}

export function reportOf({ options, views, room, waiting, peers, opened, meta }: LogParts): LogStatusReport {
  const members = meta?.descriptor?.members ?? meta?.genesisMembers ?? options.members
  return {
    status: meta?.status ?? 'EMPTY',
    view: views.last,
    leaderSinceMs: views.leaderSinceMs,
    leaseLeftMs: opened?.leaseLeftMs(realClock.read()) ?? null,
    clusterId: meta?.clusterId ?? options.clusterId,
    memberId: options.memberId,
    members: members.map(({ memberId, name, address }) => ({ memberId, name, address })),
    quorum: quorumOf(members.length),
    promised: meta?.promised ?? NO_BALLOT,
    begin: meta === null || meta.end === 0 ? 0 : meta.begin,
    end: meta?.end ?? 0,
    commit: meta?.commit ?? 0,
    applied: opened?.applied ?? 0,
    bootCounter: meta?.bootCounter ?? 0,
    path: options.path,
    diskFreeBytes: room.freeBytes,
    waitingFor: waiting.what(),
    notWritable: room.notWritable(),
    peers: peers?.report(views.isLeading) ?? [],
  }
}
