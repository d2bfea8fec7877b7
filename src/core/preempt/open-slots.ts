/**
 * Slots in the making: room is claimed for a group, and victims have been asked to go. A slot is over when its claim is
 * (used, out of time, or gone with its group), and is given up when a victim stays after all, or when everybody has gone
 * and the group still does not come: then the room is too small, or the host will not take it any more.
 */
import type { AgentId, ConfigId, TaskId } from '../base/ids.ts'
import type { RoomClaim } from '../offers/claims.ts'

export interface OpenSlot {
  readonly claim: RoomClaim
  readonly configId: ConfigId
  /** For this task, in the words of the victims' history; any other of its group may come instead. */
  readonly taskId: TaskId
  readonly host: string
  /** None, when those of another slot on the host make room for this one too. */
  readonly victims: readonly TaskId[]
}

export class OpenSlots {
  readonly #byClaim = new Map<string, OpenSlot>()
  /** Since when all that the slot waits for have gone, wall ms; by claim. */
  readonly #vacatedMs = new Map<string, number>()

  get size(): number {
    return this.#byClaim.size
  }

  add(slot: OpenSlot): void {
    this.#byClaim.set(slot.claim.id, slot)
  }

  has(claimId: string): boolean {
    return this.#byClaim.has(claimId)
  }

  ofGroup(configId: ConfigId): readonly OpenSlot[] {
    return [...this.#byClaim.values()].filter(slot => slot.configId === configId)
  }

  /** Slots on the host share their room: none of them is sure without the others. Answers their claims. */
  giveUp(configId: ConfigId, agentId: AgentId): readonly string[] {
    const claims: string[] = []
    for (const { claim, configId: of } of this.#byClaim.values()) {
      if (of === configId && claim.agentId === agentId) claims.push(claim.id)
    }
    for (const id of claims) this.#drop(id)
    return claims
  }

  /**
   * Forgets slots whose claim is over. Answers the claims of those that are of no use, as their room has been there for
   * `unusedMs` and nobody has come. `isThere`: whether a victim still takes room on the host.
   */
  review(
    claimed: ReadonlySet<string>,
    isThere: (victim: TaskId, agentId: AgentId) => boolean,
    { nowMs, unusedMs }: { readonly nowMs: number; readonly unusedMs: number },
  ): readonly string[] {
    for (const id of [...this.#byClaim.keys()]) if (!claimed.has(id)) this.#drop(id)
    const occupied = new Set<AgentId>()
    for (const { claim, victims } of this.#byClaim.values()) {
      if (victims.some(victim => isThere(victim, claim.agentId))) occupied.add(claim.agentId)
    }
    const useless: string[] = []
    for (const [id, { claim }] of this.#byClaim) {
      if (occupied.has(claim.agentId)) continue
      const sinceMs = this.#vacatedMs.get(id) ?? nowMs
      this.#vacatedMs.set(id, sinceMs)
      if (nowMs - sinceMs >= unusedMs) useless.push(id)
    }
    for (const id of useless) this.#drop(id)
    return useless
  }

  #drop(claimId: string): void {
    this.#byClaim.delete(claimId)
    this.#vacatedMs.delete(claimId)
  }
}
