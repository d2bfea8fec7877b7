/** Why nothing can be staged, in words that say where to turn or what to wait for. */
import { type Rejection, rejected } from '../../core/base/rejection.ts'
import type { LeaderView, LogStatusReport } from '../ports.ts'

/** The newest view of leadership and report of the log. */
export interface Leadership {
  readonly view: LeaderView
  readonly report: LogStatusReport
}

export function notReady(why: string): Rejection {
  return rejected('STORAGE_NOT_READY', `Storage is not READY: ${why}`)
}

/** `known` null: nothing was heard of the log yet. `code`: the log itself has said that this node does not lead. */
export function whyClosed(known: Leadership | null, code?: 'NOT_LEADER'): Rejection {
  if (known === null) return notReady('the log has not started yet')
  if (code === undefined && known.view.role === 'LEADER') return notReady('the rows are being read')
  const { leader } = known.view
  const isHere = leader?.memberId === known.report.memberId
  if (leader !== null && !isHere && leader.httpUrl !== '') {
    return rejected('NOT_LEADER', undefined, { remedy: `Send the request to the leader at ${leader.httpUrl}` })
  }
  if (known.report.waitingFor !== null && code === undefined)
    return notReady(`the log waits for ${known.report.waitingFor}`)
  return rejected('NOT_LEADER', undefined, { remedy: 'Try again: no leader is known yet' })
}
