/**
 * Appends on their way to the coordinator. One that builds on an append which never reached it must not reach it either, so
 * whatever is computed on the same reading of the rows as a refused one is refused.
 */
import type { AppendResult } from '../../actors/ports.ts'
import type { AppendRequest } from '../../core/log/coordinator-core.ts'

export interface AppendGatePorts {
  /** To the coordinator; null: there is none, false: it has more than it can take. */
  readonly tell: (requests: readonly AppendRequest[]) => boolean | null
  readonly onResults: (results: readonly { readonly id: number; readonly outcome: AppendResult }[]) => void
}

export class AppendGate {
  readonly #ports: AppendGatePorts
  /** The latest reading on which an append was refused here. */
  #openingRefused = 0

  constructor(ports: AppendGatePorts) {
    this.#ports = ports
  }

  append(requests: readonly AppendRequest[]): void {
    const isLate = ({ basis }: AppendRequest): boolean => basis !== undefined && basis.opening <= this.#openingRefused
    this.#refuse(requests.filter(isLate), { type: 'notLeader' })
    const fresh = requests.filter(request => !isLate(request))
    const told = this.#ports.tell(fresh)
    if (told === true) return
    for (const { basis } of fresh) this.#openingRefused = Math.max(this.#openingRefused, basis?.opening ?? 0)
    this.#refuse(fresh, { type: told === null ? 'notLeader' : 'busy' })
  }

  #refuse(requests: readonly AppendRequest[], outcome: AppendResult): void {
    if (requests.length > 0) this.#ports.onResults(requests.map(({ id }) => ({ id, outcome })))
  }
}
