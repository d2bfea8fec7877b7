/** What a member that does not vote yet should do next, from what it is and whom it has seen (`start-up.ts` decides). */
import type { LogMeta } from '../../core/log/meta.ts'
import { type SeenMember, type StartUpStep, stepEmpty, stepStarting } from '../../core/log/start-up.ts'
import { genesisHashOf } from './log-folder.ts'
import type { LogNodeOptions } from './log-options.ts'
import type { Peers } from './peers.ts'

/** EMPTY: formats when the config allows it and all members have shown that nothing exists yet. */
export function nextWithoutLog(options: LogNodeOptions, peers: Peers | null): StartUpStep {
  const { clusterId, members, memberId } = options
  const genesisHash = genesisHashOf(clusterId ?? '', members)
  const self: SeenMember = { memberId, status: 'EMPTY', genesisHash, incarnation: null, end: 0 }
  return stepEmpty({ ...factsOf(options, peers, genesisHash, clusterId ?? ''), seen: [self, ...seenBy(peers)] })
}

/** STARTING: all listed members must have shown the same genesis, or one that votes must know this disk. */
export function nextWhenFormatted(meta: LogMeta, options: LogNodeOptions, peers: Peers | null): StartUpStep {
  const { memberId, genesisHash, clusterId, incarnation, end } = meta
  const self: SeenMember = { memberId, status: 'STARTING', genesisHash, incarnation, end }
  return stepStarting({
    ...factsOf(options, peers, genesisHash, clusterId),
    seen: [self, ...seenBy(peers)],
    incarnation,
  })
}

export function seenBy(peers: Peers | null): readonly SeenMember[] {
  return peers?.seen() ?? []
}

function factsOf(options: LogNodeOptions, peers: Peers | null, genesisHash: string, clusterId: string) {
  const { members, autoBootstrap, configFile } = options
  return {
    clusterId,
    genesisHash,
    members,
    autoBootstrap,
    hasData: peers?.hasData ?? false,
    disksLost: peers?.disksLost() ?? null,
    initializeCommand: `daybreak log initialize ${configFile}`,
    trouble: peers?.trouble() ?? new Map<number, string>(),
  }
}
