/**
 * Several members' cores in one process, over a network and disks that a test holds in its hand: nothing is delivered,
 * flushed or timed unless the test says so. Everything is deterministic.
 */
import { assert } from '../../../src/core/base/assert.ts'
import { prng } from '../../../src/core/base/prng.ts'
import type { Ballot } from '../../../src/core/log/ballot.ts'
import { BallotRuns } from '../../../src/core/log/ballot-runs.ts'
import {
  type AppendOutcome,
  CoordinatorCore,
  type CoordinatorEffect,
  type CoordinatorMessage,
} from '../../../src/core/log/coordinator-core.ts'
import { type ClusterDescriptor, quorumOf } from '../../../src/core/log/descriptor.ts'
import { ElectionCore, type ElectionEffect, type ElectionMessage } from '../../../src/core/log/election-core.ts'
import type { Entry } from '../../../src/core/log/entry.ts'
import type { LeaseDoubt } from '../../../src/core/log/lease.ts'
import { LOG_LIMITS, type LogLimits } from '../../../src/core/log/limits.ts'
import { type PeerMessage, recipientOf } from '../../../src/core/log/messages.ts'
import { type LogMeta, NO_BASE } from '../../../src/core/log/meta.ts'
import {
  type LogWrite,
  ReplicaCore,
  type ReplicaEffect,
  type ReplicaMessage,
} from '../../../src/core/log/replica-core.ts'
import type { TransferAnswer } from '../../../src/core/log/succession.ts'
import { LOG_TIMING } from '../../../src/core/log/timing.ts'

export const text = (value: string): Uint8Array => new TextEncoder().encode(value)
export const shown = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

export function descriptorOf(count: number): ClusterDescriptor {
  const members = Array.from({ length: count }, (_, at) => ({
    memberId: at + 1,
    name: `node-${at + 1}`,
    address: `10.0.0.${at + 1}:8083`,
    incarnation: `disk-${at + 1}`,
    role: 'VOTER' as const,
  }))
  return {
    formatVersion: 1,
    clusterId: 'c',
    genesisHash: 'g',
    configVersion: 0,
    members,
    quorum: quorumOf(count),
    autoReplace: true,
  }
}

export function metaOf(memberId: number, count: number, change: Partial<LogMeta> = {}): LogMeta {
  const descriptor = descriptorOf(count)
  return {
    formatVersion: 1,
    generation: 1,
    clusterId: 'c',
    genesisHash: 'g',
    memberId,
    incarnation: `disk-${memberId}`,
    genesisMembers: descriptor.members.map(({ memberId, name, address }) => ({ memberId, name, address })),
    descriptor,
    status: 'VOTING',
    bootCounter: 1,
    promised: [0, 0],
    begin: 1,
    base: NO_BASE,
    end: 0,
    commit: 0,
    digest: 0,
    ...change,
  }
}

/** A disk: what is flushed, and what is written but not yet flushed. */
export class Disk {
  meta: LogMeta
  entries = new Map<number, Entry>()
  pending: LogWrite[] = []
  flushes = 0
  /** Finishes no flush as long as this is so. */
  hangs = false

  constructor(meta: LogMeta) {
    this.meta = meta
  }

  /** Makes the oldest `count` pending writes durable; answers their tickets. One flush for all of them. */
  flush(count = this.pending.length): number[] {
    const writes = this.pending.splice(0, this.hangs ? 0 : count)
    for (const write of writes) {
      if (write.cutFrom !== null) {
        for (const position of [...this.entries.keys()]) if (position >= write.cutFrom) this.entries.delete(position)
      }
      if (write.dropBefore !== null) {
        for (const position of [...this.entries.keys()]) if (position < write.dropBefore) this.entries.delete(position)
      }
      for (const entry of write.entries) this.entries.set(entry.position, entry)
      this.meta = write.meta
    }
    if (writes.length > 0) this.flushes++
    return writes.map(write => write.ticket)
  }

  restored() {
    const runs = new BallotRuns(this.meta.begin, this.meta.base.ballot)
    const crcs = new Map<number, number>()
    for (let at = this.meta.begin; at <= this.meta.end; at++) {
      const entry = this.entries.get(at)
      assert(entry !== undefined, 'a disk holds what its meta says', { position: at })
      runs.push(at, entry.ballot)
      if (at > this.meta.commit) crcs.set(at, entry.crc)
    }
    return { meta: this.meta, runs, crcs }
  }
}

export class Member {
  readonly id: number
  readonly disk: Disk
  replica: ReplicaCore
  coordinator: CoordinatorCore
  election: ElectionCore
  readonly results = new Map<number, AppendOutcome>()
  readonly resultOrder: number[] = []
  readonly lost: string[] = []
  readonly doubts: LeaseDoubt[] = []
  readonly transfers: TransferAnswer[] = []
  readonly handOversFailed: string[] = []
  serving: Ballot | null = null
  failStop: string | null = null
  committed = 0
  electionTimer: { atMs: number; attempt: number } | null = null
  ticking = false
  /** When waiting appends are looked at again. */
  cutAtMs: number | null = null
  readonly #cluster: LogCluster

  constructor(cluster: LogCluster, id: number, disk: Disk, openedAtMs = -10_000) {
    this.#cluster = cluster
    this.id = id
    this.disk = disk
    this.replica = new ReplicaCore(disk.restored(), { timing: LOG_TIMING, openedAt: { wallMs: 0, monoMs: openedAtMs } })
    this.coordinator = new CoordinatorCore({ self: id, timing: LOG_TIMING, limits: cluster.limits, software: 'test' })
    this.election = new ElectionCore({ self: id, timing: LOG_TIMING, random: prng(id) })
  }

  toReplica(message: ReplicaMessage): void {
    const effects = this.replica.handle(message, this.#cluster.now())
    this.replica.invariants()
    for (const effect of effects) this.#onReplica(effect)
  }

  toCoordinator(message: CoordinatorMessage): void {
    const effects = this.coordinator.handle(message, this.#cluster.now())
    this.coordinator.invariants()
    for (const effect of effects) this.#onCoordinator(effect)
  }

  toElection(message: ElectionMessage): void {
    for (const effect of this.election.handle(message, this.#cluster.now())) this.#onElection(effect)
  }

  receive(message: PeerMessage): void {
    const recipient = recipientOf(message)
    if (recipient === 'replica') this.toReplica(message as ReplicaMessage)
    else if (recipient === 'election') this.toElection(message as ElectionMessage)
    else if (recipient === 'coordinator') this.toCoordinator(message as CoordinatorMessage)
  }

  flush(count?: number): void {
    for (const ticket of this.disk.flush(count)) this.toReplica({ type: 'flushed', ticket })
  }

  append(id: number, payload: string): void {
    this.toCoordinator({ type: 'append', requests: [{ id, payload: text(payload) }] })
  }

  /** What a reader of this disk would see: `position:ballot:payload`. */
  log(): string[] {
    return [...this.disk.entries.values()]
      .sort((a, b) => a.position - b.position)
      .map(
        ({ position, ballot, type, payload }) =>
          `${position}:${ballot.join('.')}:${type === 'DATA' ? shown(payload) : type}`,
      )
  }

  #onReplica(effect: ReplicaEffect): void {
    switch (effect.type) {
      case 'persist':
        this.disk.pending.push(effect.write)
        return
      case 'send':
        return this.#cluster.send(this.id, effect.to, effect.message)
      case 'committed':
        this.committed = Math.max(this.committed, effect.upTo)
        // Applying is at once here.
        this.replica.handle({ type: 'applied', position: effect.upTo, snapshot: effect.upTo }, this.#cluster.now())
        return this.toCoordinator({ type: 'applied', position: effect.upTo, snapshot: effect.upTo })
      case 'candidacy':
        return this.toCoordinator(effect)
      case 'canvass':
      case 'favoured':
      case 'surpassed':
      case 'promised':
      case 'heardLeader':
        return this.toElection(effect)
      case 'failStop':
        this.failStop = effect.reason
        return
      case 'voting':
      case 'behind':
      case 'learned':
        return
      case 'dropped':
        return this.toCoordinator(effect)
    }
  }

  #onCoordinator(effect: CoordinatorEffect): void {
    switch (effect.type) {
      case 'send':
        return this.#cluster.send(this.id, effect.to, effect.message)
      case 'results':
        for (const { id, outcome } of effect.results) {
          this.results.set(id, outcome)
          this.resultOrder.push(id)
        }
        return
      case 'commit':
        return this.toReplica(effect)
      case 'load': {
        const entries: Entry[] = []
        for (let at = effect.from; entries.length < effect.countMax; at++) {
          const entry = this.disk.entries.get(at)
          if (entry === undefined) break
          entries.push(entry)
        }
        return this.toCoordinator({ type: 'loaded', peer: effect.peer, from: effect.from, entries })
      }
      case 'elected':
        return this.toElection(effect)
      case 'serving':
        this.serving = effect.ballot
        return this.toElection(effect)
      case 'lost':
        this.serving = null
        this.lost.push(effect.reason)
        this.toReplica({ type: 'reignOver' })
        return this.toElection(effect)
      case 'transfer':
        this.transfers.push(effect.answer)
        return
      case 'handOverFailed':
        this.handOversFailed.push(`${effect.to}: ${effect.reason}`)
        return
      case 'cutLater':
        this.cutAtMs = this.#cluster.monoMs + effect.afterMs
        return
      case 'ticking':
        this.ticking = effect.on
        return
      case 'leaseDoubted':
        this.doubts.push(effect.doubt)
        return
    }
  }

  #onElection(effect: ElectionEffect): void {
    switch (effect.type) {
      case 'startTimer':
        this.electionTimer = { atMs: this.#cluster.monoMs + effect.afterMs, attempt: effect.attempt }
        return
      case 'cancelTimer':
        this.electionTimer = null
        return
      case 'canvass':
      case 'stand':
        return this.toReplica(effect)
      case 'send':
        return this.#cluster.send(this.id, effect.to, effect.message)
      case 'giveUp':
        return this.toCoordinator({ type: 'stepDown', reason: effect.reason })
      case 'view':
        return
    }
  }
}

export interface Parcel {
  readonly from: number
  readonly to: number
  readonly message: PeerMessage
}

export class LogCluster {
  readonly members = new Map<number, Member>()
  wire: Parcel[] = []
  /** False drops the parcel when it would be delivered. */
  passes: (parcel: Parcel) => boolean = () => true
  monoMs = 0
  /** How far the wall clocks have gone ahead of the monotonic ones. */
  wallAheadMs = 0

  readonly limits: LogLimits

  constructor(count: number, limits: LogLimits = LOG_LIMITS) {
    this.limits = limits
    for (let id = 1; id <= count; id++) this.members.set(id, new Member(this, id, new Disk(metaOf(id, count))))
  }

  now() {
    return { wallMs: 1_000_000 + this.monoMs + this.wallAheadMs, monoMs: this.monoMs }
  }

  member(id: number): Member {
    return this.members.get(id)!
  }

  /** Messages to oneself travel too, but are never lost. */
  send(from: number, to: number, message: PeerMessage): void {
    this.wire.push({ from, to, message })
  }

  deliver(count = this.wire.length): void {
    for (const parcel of this.wire.splice(0, count)) {
      if (parcel.from !== parcel.to && !this.passes(parcel)) continue
      this.members.get(parcel.to)?.receive(parcel.message)
    }
  }

  /** Delivers and flushes until nothing moves. */
  settle(): void {
    for (let turn = 0; turn < 10_000; turn++) {
      const isQuiet =
        this.wire.length === 0 &&
        [...this.members.values()].every(({ disk }) => disk.hangs || disk.pending.length === 0)
      if (isQuiet) return
      this.deliver()
      for (const member of this.members.values()) member.flush()
    }
    throw new Error('the cluster does not come to rest')
  }

  /** Lets time pass in steps, with timers, deliveries and flushes. */
  advance(ms: number, stepMs = 50): void {
    for (const end = this.monoMs + ms; this.monoMs < end; ) {
      this.monoMs += stepMs
      for (const member of this.members.values()) {
        const timer = member.electionTimer
        if (timer !== null && timer.atMs <= this.monoMs) {
          member.electionTimer = null
          member.toElection({ type: 'timeout', attempt: timer.attempt })
        }
        if (member.cutAtMs !== null && member.cutAtMs <= this.monoMs) {
          member.cutAtMs = null
          member.toCoordinator({ type: 'cut' })
        }
        if (member.ticking && this.monoMs % LOG_TIMING.heartbeatMs < stepMs) member.toCoordinator({ type: 'tick' })
      }
      this.settle()
    }
  }

  /** A leader by decree, past any lease. */
  lead(id: number): Member {
    this.monoMs += 5_000
    this.member(id).toReplica({ type: 'stand', roundSeen: 0 })
    this.settle()
    return this.member(id)
  }

  /** Power goes: what was not flushed is gone, what is on the wire from this member too. */
  crash(id: number): void {
    this.members.delete(id)
    this.wire = this.wire.filter(parcel => parcel.from !== id && parcel.to !== id)
  }

  /** Long ago, as far as forgotten leases are concerned, unless it is said when. */
  restart(id: number, disk: Disk, openedAtMs?: number): Member {
    disk.pending = []
    disk.meta = { ...disk.meta, bootCounter: disk.meta.bootCounter + 1 }
    const member = new Member(this, id, disk, openedAtMs)
    this.members.set(id, member)
    return member
  }

  leaders(): number[] {
    return [...this.members.values()].filter(member => member.serving !== null).map(member => member.id)
  }
}
