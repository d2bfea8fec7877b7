/** What faults and checks know of the cluster under chaos: who lives, who is held, who leads. */
import type { LogStatusView } from '../../src/wire/rest.ts'
import type { RealCluster } from '../fixtures/real-cluster.ts'
import type { Network } from './network.ts'

const ANSWER_MS_MAX = 1_000

export interface World {
  readonly cluster: RealCluster
  readonly folder: string
  /** Null: no faults of the network. */
  readonly network: Network | null
  readonly leaseMs: number
  /** Members that a fault has in hand: no other fault may touch them. */
  readonly held: Set<number>
  readonly say: (line: string) => void
  readonly violation: (text: string) => void
  /** Rejects once the run is broken off, so that nothing waits for ever. */
  readonly stopped: AbortSignal
}

/** Null when there is no answer in a second. */
export async function statusOf(world: World, memberId: number): Promise<LogStatusView | null> {
  try {
    const signal = AbortSignal.timeout(ANSWER_MS_MAX)
    const response = await fetch(`${world.cluster.urls[memberId - 1]}/api/v1/log/status`, { signal })
    return response.ok ? ((await response.json()) as LogStatusView) : null
  } catch {
    return null
  }
}

export const memberIds = (world: World): readonly number[] => world.cluster.urls.map((_url, at) => at + 1)

/** The member that says of itself that it leads, under the highest ballot; null when nobody does. */
export async function leaderOf(world: World): Promise<number | null> {
  const reports = await Promise.all(memberIds(world).map(id => statusOf(world, id)))
  const leading = reports.filter(report => report?.view.role === 'LEADER')
  const latest = leading.sort((a, b) => (b?.promised[0] ?? 0) - (a?.promised[0] ?? 0))[0]
  return latest?.memberId ?? null
}

/** Answers when `ask` gives something; null after `msMax`. */
export async function within<T>(world: World, msMax: number, ask: () => Promise<T | null>): Promise<T | null> {
  const until = performance.now() + msMax
  for (;;) {
    world.stopped.throwIfAborted()
    const answer = await ask()
    if (answer !== null) return answer
    if (performance.now() > until) return null
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}
