/** What an actor's spec says is to follow its failures. */
import { assert } from '../../core/base/assert.ts'
import type { Supervision } from '../actor.ts'
import type { Cell } from './cell.ts'

const DEFAULT: Supervision = {
  type: 'restart',
  backoffMs: 100,
  backoffMsMax: 10_000,
  limit: 10,
  withinMs: 60_000,
}

export function supervisionOf(cell: Cell): Supervision {
  return cell.spec?.supervision ?? DEFAULT
}

export function restartPolicyOf(cell: Cell): Extract<Supervision, { type: 'restart' }> {
  const supervision = supervisionOf(cell)
  assert(supervision.type === 'restart', 'only an actor under the restart policy is restarted', { path: cell.path })
  return supervision
}
