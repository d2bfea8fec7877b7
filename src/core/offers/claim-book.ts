/**
 * The claims that are open, by host and by whom they are for. What a claim keeps from others is looked up only on hosts
 * that have one.
 */
import { assert } from '../base/assert.ts'
import type { ConfigId, InstanceId } from '../base/ids.ts'
import type { Instant } from '../base/time.ts'
import type { ClaimOwner, RoomClaim } from './claims.ts'
import { NEED_KINDS, type Needs } from './needs.ts'

/** Who asks for room: a task is served by the claims of its instance and by those of its group. */
export interface Asker {
  readonly configId: ConfigId
  readonly job: string
}

export class ClaimBook {
  readonly #byId = new Map<string, RoomClaim & { readonly slot: number }>()
  readonly #bySlot = new Map<number, RoomClaim[]>()
  readonly #byInstance = new Map<string, RoomClaim>()
  readonly #byGroup = new Map<ConfigId, Set<RoomClaim>>()
  /** None expires before it. */
  #earliestMs = Number.POSITIVE_INFINITY

  get size(): number {
    return this.#byId.size
  }

  all(): Iterable<RoomClaim> {
    return this.#byId.values()
  }

  get(id: string): RoomClaim | undefined {
    return this.#byId.get(id)
  }

  /** An instance has one claim at most: a newer one takes its place, and the slot of the old one is answered. */
  add(claim: RoomClaim, slot: number): number | null {
    assert(!this.#byId.has(claim.id), 'a claim is made once', { id: claim.id })
    const { owner } = claim
    let replaced: number | null = null
    if (owner.type === 'instance') {
      const key = instanceKey(owner.job, owner.instance)
      const older = this.#byInstance.get(key)
      if (older !== undefined) replaced = this.remove(older.id)
      this.#byInstance.set(key, claim)
    } else {
      const ofGroup = this.#byGroup.get(owner.configId) ?? new Set()
      this.#byGroup.set(owner.configId, ofGroup.add(claim))
    }
    this.#byId.set(claim.id, Object.assign({ slot }, claim))
    this.#earliestMs = Math.min(this.#earliestMs, claim.expiresMs)
    this.#bySlot.set(slot, [...(this.#bySlot.get(slot) ?? []), claim])
    return replaced
  }

  /** The slot it was on; null when there is no such claim. */
  remove(id: string): number | null {
    const found = this.#byId.get(id)
    if (found === undefined) return null
    const { slot, owner } = found
    this.#byId.delete(id)
    const left = this.#bySlot.get(slot)!.filter(claim => claim.id !== id)
    if (left.length > 0) this.#bySlot.set(slot, left)
    else this.#bySlot.delete(slot)
    if (owner.type === 'instance') {
      this.#byInstance.delete(instanceKey(owner.job, owner.instance))
    } else {
      const ofGroup = this.#byGroup.get(owner.configId)!
      for (const claim of ofGroup) if (claim.id === id) ofGroup.delete(claim)
      if (ofGroup.size === 0) this.#byGroup.delete(owner.configId)
    }
    return slot
  }

  onSlot(slot: number): readonly RoomClaim[] {
    return this.#bySlot.get(slot) ?? NONE
  }

  ofGroup(configId: ConfigId): Iterable<RoomClaim> {
    return this.#byGroup.get(configId) ?? NONE
  }

  ofInstance(job: string, instance: InstanceId): RoomClaim | undefined {
    return this.#byInstance.get(instanceKey(job, instance))
  }

  /** True when any instance of any job has one; else nobody needs to look. */
  get hasInstances(): boolean {
    return this.#byInstance.size > 0
  }

  /** What is left of `free` for somebody, when what others have claimed on the host stays untouched. */
  freeFor(slot: number, free: Needs, isRevocable: boolean, isMine: (owner: ClaimOwner) => boolean): Needs {
    const claims = this.onSlot(slot)
    const left = { cpusMilli: 0, ramMb: 0, diskMb: 0, ports: 0, gpus: 0 }
    for (const { type } of NEED_KINDS) {
      left[type] = free[type]
      for (const { owner, needs, isRevocable: isLent = false } of claims) {
        if (!isMine(owner) && (type !== 'cpusMilli' || isLent === isRevocable)) left[type] -= needs[type]
      }
    }
    return left
  }

  /** Costs nothing until a time comes. */
  expired(nowMs: Instant): readonly RoomClaim[] {
    if (nowMs < this.#earliestMs) return NONE
    const expired: RoomClaim[] = []
    this.#earliestMs = Number.POSITIVE_INFINITY
    for (const claim of this.#byId.values()) {
      if (claim.expiresMs <= nowMs) expired.push(claim)
      this.#earliestMs = Math.min(this.#earliestMs, claim.expiresMs)
    }
    return expired
  }

  /** None expires before; at that time one may, or the next is known better. Null without any. */
  nextExpiryMs(): Instant | null {
    return this.size === 0 ? null : this.#earliestMs
  }
}

const NONE: readonly RoomClaim[] = []
const instanceKey = (job: string, instance: InstanceId): string => `${job}/${instance}`
