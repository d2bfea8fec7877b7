/**
 * The row of an agent as its own words make it: attributes and port ranges in the one form in which rows keep them, and
 * whatever it does not say this time as it was before. An agent that says nothing new changes nothing.
 */
import type { AgentId } from '../base/ids.ts'
import type { Instant } from '../base/time.ts'
import type { AgentRow } from '../ledger/rows.ts'
import type { Transaction } from '../ledger/transaction.ts'
import { portRangesOf } from '../offers/port-space.ts'

export interface AgentFacts {
  readonly attributes: AgentRow['attributes']
  readonly resources: AgentRow['total']
  /** Closed ranges, in any order; they may overlap. */
  readonly portRanges: AgentRow['portRanges']
  /** What an agent says only when it comes. */
  readonly host?: string
  readonly agentVersion?: string
  /** Null: it has none. */
  readonly logUrl?: string | null
  readonly place?: string | undefined
  readonly workDir?: string | undefined
  /** Absent: none. */
  readonly revocableCpusMilli?: number | undefined
}

/** What of a row an operator would want to hear about when it changes. */
const TOLD = ['host', 'attributes', 'total', 'revocable', 'portRanges', 'agentVersion'] as const

/** Which parts of the row of an agent differ. */
export function changedFacts(before: AgentRow, after: AgentRow): readonly string[] {
  return TOLD.filter(name => JSON.stringify(before[name]) !== JSON.stringify(after[name]))
}

/** Without changes when the row is as the facts say already; it is to be staged all the same, for its `then`. */
export function registration(
  id: AgentId,
  facts: AgentFacts,
  before: AgentRow | undefined,
  nowWallMs: Instant,
): Transaction {
  const row = rowOf(id, facts, before, nowWallMs)
  const isSame = before !== undefined && JSON.stringify(before) === JSON.stringify(row)
  const why =
    before === undefined ? 'agent registered' : before.awaySinceMs === undefined ? 'agent changed' : 'agent back'
  return {
    cause: { who: `agent ${id}`, why, wallMs: nowWallMs },
    changes: isSame ? [] : [{ type: 'put', table: 'agent', key: id, row }],
  }
}

function rowOf(id: AgentId, facts: AgentFacts, before: AgentRow | undefined, nowWallMs: Instant): AgentRow {
  const place = facts.place ?? before?.place
  const workDir = facts.workDir ?? before?.workDir
  const logUrl = facts.logUrl === undefined ? before?.logUrl : (facts.logUrl ?? undefined)
  return {
    v: 1,
    agentId: id,
    host: facts.host ?? before?.host ?? '?',
    attributes: facts.attributes
      .map(({ name, values }) => ({ name, values: [...new Set(values)].sort() }))
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
    total: facts.resources,
    portRanges: portRangesOf(facts.portRanges),
    mode: before?.mode ?? 'NONE',
    agentVersion: facts.agentVersion ?? before?.agentVersion ?? '?',
    ...(logUrl === undefined ? {} : { logUrl }),
    firstSeenMs: before?.firstSeenMs ?? nowWallMs,
    ...(place === undefined ? {} : { place }),
    ...(facts.revocableCpusMilli === undefined || facts.revocableCpusMilli === 0
      ? {}
      : { revocable: { cpusMilli: facts.revocableCpusMilli } }),
    ...(before?.unavailability === undefined ? {} : { unavailability: before.unavailability }),
    ...(workDir === undefined ? {} : { workDir }),
  }
}
