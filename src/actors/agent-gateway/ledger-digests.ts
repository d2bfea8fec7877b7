/** The digest of each agent's tasks as the ledger has them, worked out anew only after one of its rows has changed. */
import { rowsText } from '../../core/agents/task-digest.ts'
import type { AgentId } from '../../core/base/ids.ts'
import type { TaskRow } from '../../core/ledger/rows.ts'
import type { GatewayWorld } from '../agent-gateway.ts'

export interface LedgerDigests {
  of(id: AgentId): string
  stop(): void
}

export function ledgerDigests({ ledger, crypto }: Pick<GatewayWorld, 'ledger' | 'crypto'>): LedgerDigests {
  const known = new Map<AgentId, string>()
  const touched = (row: TaskRow | undefined): void => {
    if (row?.agentId !== undefined) known.delete(row.agentId)
  }
  const stop = ledger.subscribe('staged', ({ changes }) => {
    for (const { change, before } of changes) {
      if (change.table !== 'task') continue
      touched(before as TaskRow | undefined)
      if (change.type === 'put') touched(change.row)
    }
  })
  return {
    of(id) {
      let digest = known.get(id)
      if (digest === undefined) {
        digest = crypto.sha256(rowsText(ledger.view.tasksOnAgent(id)))
        known.set(id, digest)
      }
      return digest
    },
    stop,
  }
}
