/**
 * Two machines with one agent id, as after a work folder was cloned, would take the place from each other for ever.
 * This counts who took it from whom: three times within a minute, by more than one machine, is no reconnect. A machine
 * whose own connections break often is never taken for two, as its boot id stays the same.
 */
import type { AgentId } from '../base/ids.ts'

export interface Claimant {
  /** Of the machine: the same as long as it runs. */
  readonly bootId: string
  readonly host: string
}

export const TAKE_OVERS_MAX = 3
export const TAKE_OVERS_WITHIN_MS = 60_000

interface Claim extends Claimant {
  readonly atMonoMs: number
}

export class TakeOvers {
  readonly #claims = new Map<AgentId, Claim[]>()

  /**
   * Notes that a machine asks for the place of `id`; `isTakeOver`: another connection holds it. Null: let it have the
   * place; else what to tell both.
   */
  claimed(id: AgentId, by: Claimant, isTakeOver: boolean, nowMonoMs: number): string | null {
    const claims = (this.#claims.get(id) ?? []).filter(claim => isFresh(claim, nowMonoMs))
    if (isTakeOver || claims.length >= TAKE_OVERS_MAX) {
      claims.push({ bootId: by.bootId, host: by.host, atMonoMs: nowMonoMs })
    }
    if (claims.length === 0) this.#claims.delete(id)
    else this.#claims.set(id, claims)
    const machines = new Map(claims.map(claim => [claim.bootId, claim.host]))
    if (claims.length < TAKE_OVERS_MAX || machines.size < 2) return null
    const hosts = [...machines.values()].sort().join(' and ')
    return `duplicate agent id ${id}, used on ${hosts}: stop one of them and give it an empty work folder`
  }

  forgetOld(nowMonoMs: number): void {
    for (const [id, claims] of this.#claims)
      if (!claims.some(claim => isFresh(claim, nowMonoMs))) this.#claims.delete(id)
  }
}

function isFresh(claim: Claim, nowMonoMs: number): boolean {
  return nowMonoMs - claim.atMonoMs < TAKE_OVERS_WITHIN_MS
}
