/**
 * What the rows of agents that are away come to. That one is away is written down once it is unreachable, so that the
 * time counts on over changes of the leader. A row goes when its agent has been away for so long that nobody expects it
 * back, or when its work folder belongs to another agent now. A row with tasks that have not ended never goes, nor one
 * that an operator has put aside. An agent that comes back after all is registered anew.
 */
import { type AgentId, compareIds } from '../base/ids.ts'
import type { Instant } from '../base/time.ts'
import type { AgentRow } from '../ledger/rows.ts'
import type { RowChange } from '../ledger/transaction.ts'

/** Rows that one transaction changes. */
export const AWAY_CHANGES_MAX = 100

export interface AwayAgent {
  readonly row: AgentRow
  /** Not heard of in this reign. */
  readonly awayMs: number
  /** Something that has not ended is bound to it. */
  readonly isBound: boolean
  /** The agent that has its work folder now. */
  readonly successor: AgentId | null
}

export interface AwaySettings {
  readonly unreachableMsMax: number
  readonly forgetMs: number
}

export interface AwayVerdict {
  readonly changes: readonly RowChange[]
  readonly forgotten: readonly AwayAgent[]
}

export function awayRows(away: Iterable<AwayAgent>, nowWallMs: Instant, settings: AwaySettings): AwayVerdict {
  const changes: RowChange[] = []
  const forgotten: AwayAgent[] = []
  for (const agent of [...away].sort((a, b) => compareIds(a.row.agentId, b.row.agentId))) {
    if (changes.length === AWAY_CHANGES_MAX) break
    const { row, awayMs } = agent
    if (isForgettable(agent, nowWallMs, settings)) {
      forgotten.push(agent)
      changes.push({ type: 'delete', table: 'agent', key: row.agentId })
    } else if (row.awaySinceMs === undefined && awayMs >= settings.unreachableMsMax) {
      // Put together in the one order that rows have, as `registration` does.
      const { place, ...rest } = row
      const next = { ...rest, awaySinceMs: nowWallMs - Math.round(awayMs), ...(place === undefined ? {} : { place }) }
      changes.push({ type: 'put', table: 'agent', key: row.agentId, row: next })
    }
  }
  return { changes, forgotten }
}

function isForgettable(
  { row, isBound, successor }: AwayAgent,
  nowWallMs: Instant,
  { forgetMs }: AwaySettings,
): boolean {
  if (isBound || row.mode !== 'NONE') return false
  return successor !== null || (row.awaySinceMs !== undefined && nowWallMs - row.awaySinceMs >= forgetMs)
}

/** Who of `here` has the work folder that the rows of others name as theirs; by their key. */
export class Places {
  readonly #agents = new Map<string, AgentRow>()

  constructor(here: Iterable<AgentRow>) {
    for (const row of here) {
      const key = placeKey(row)
      if (key !== null) this.#agents.set(key, row)
    }
  }

  /**
   * `lastHeardMs`: of the agent of that row. One that was known before then ran beside it and took nothing over, whatever
   * the two tell of their places; where that is not known, nothing is concluded.
   */
  successorOf(row: AgentRow, lastHeardMs: Instant): AgentId | null {
    const key = placeKey(row)
    const found = key === null ? undefined : this.#agents.get(key)
    return found !== undefined && found.firstSeenMs >= lastHeardMs ? found.agentId : null
  }
}

/** The host name too: machines that were cloned may tell the same place, but not for long under the same name. */
const placeKey = ({ host, place }: AgentRow): string | null => (place === undefined ? null : `${host} ${place}`)
