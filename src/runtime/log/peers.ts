/**
 * The other members, as the log of this node deals with them: what this node says about itself, what they have said and
 * shown, who is there, and what is missing for a first start or a quorum.
 */
import { createHash } from 'node:crypto'
import type { LogTransport } from '../../actors/log-ports.ts'
import type { Logger, Metrics, PeerReport } from '../../actors/ports.ts'
import { NO_BALLOT } from '../../core/log/ballot.ts'
import { type ClusterDescriptor, descriptorText, quorumOf } from '../../core/log/descriptor.ts'
import { LOG_FORMAT, LOG_PROTOCOL_MAX, LOG_PROTOCOL_MIN, type PeerFacts } from '../../core/log/handshake.ts'
import { disksLost } from '../../core/log/lost-disks.ts'
import type { PeerMessage } from '../../core/log/messages.ts'
import type { LogMeta } from '../../core/log/meta.ts'
import type { SeenMember } from '../../core/log/start-up.ts'
import { genesisHashOf } from './log-folder.ts'
import type { LogNodeOptions, PeerOptions } from './log-options.ts'
import { PeerRecords } from './peer-records.ts'
import { type PeerState, PeerTransport } from './peer-transport.ts'

export interface PeersPorts {
  readonly log: Logger
  readonly metrics: Metrics
  /** What this member's disk holds for certain: nothing else may be told, for a crash could make it untrue. */
  readonly durable: () => LogMeta | null
  readonly commit: () => number
  readonly onChange: () => void
}

interface Ack {
  readonly matched: number
  readonly applied: number
  readonly atMs: number
}

export class Peers {
  readonly transport: LogTransport
  readonly #options: LogNodeOptions
  readonly #ports: PeersPorts
  readonly #wire: PeerTransport
  readonly #acks = new Map<number, Ack>()
  #records: PeerRecords | null = null
  #onMessage: (message: PeerMessage) => void = () => {}
  #hashed: { readonly descriptor: ClusterDescriptor; readonly hash: string } | null = null

  constructor(options: LogNodeOptions, peer: PeerOptions, ports: PeersPorts) {
    this.#options = options
    this.#ports = ports
    const { memberId, members } = options
    this.#wire = new PeerTransport({
      memberId,
      members,
      ...peer,
      log: ports.log,
      metrics: ports.metrics,
      random: Math.random,
      own: () => this.#own(),
      records: () => this.#records?.all() ?? new Map(),
      onPeers: () => {
        ports.metrics.gauge('log_ensemble_size', 1 + this.#states().filter(state => state.connected).length)
        ports.onChange()
      },
      onShown: ({ incarnation, bootCounter, promised }) => {
        if (incarnation !== null) this.#records?.note(incarnation, { bootCounter, promised, committed: 0 })
      },
      onTold: records => {
        for (const [incarnation, record] of Object.entries(records)) this.#records?.note(incarnation, record)
      },
    })
    this.#wire.onMessage = message => {
      this.#note(message)
      this.#onMessage(message)
    }
    const setOnMessage = (handler: (message: PeerMessage) => void): void => {
      this.#onMessage = handler
    }
    const getOnMessage = (): ((message: PeerMessage) => void) => this.#onMessage
    this.transport = {
      send: (to, message) => this.#wire.send(to, message),
      get onMessage() {
        return getOnMessage()
      },
      set onMessage(handler) {
        setOnMessage(handler)
      },
    }
  }

  /** Null when there is nobody to reach, or another way to. */
  static of(options: LogNodeOptions, transport: LogTransport | undefined, ports: PeersPorts): Peers | null {
    const { peer, members } = options
    return peer === undefined || transport !== undefined || members.length === 1
      ? null
      : new Peers(options, peer, ports)
  }

  start(): Promise<void> {
    return this.#wire.start()
  }

  async stop(): Promise<void> {
    await this.#wire.stop()
    await this.#records?.stop()
  }

  /** The folder of the log is there: what disks show is remembered in it from here on. */
  remember(folder: string): void {
    const tell = (): void => this.#wire.tellShown(this.#records?.all() ?? new Map())
    this.#records ??= new PeerRecords(folder, tell, cause => this.#ports.log.warn('log-peer-records', { cause }))
  }

  /** The store was formatted, or this member has begun to vote. */
  tellPresence(): void {
    this.#wire.tellPresence()
  }

  httpUrlOf(memberId: number): string {
    return this.#states().find(state => state.memberId === memberId)?.facts?.httpUrl ?? ''
  }

  /** Who is there right now, as far as a first start is concerned. */
  seen(): readonly SeenMember[] {
    return this.#states().flatMap(({ connected, facts }) => {
      if (!connected || facts === null) return []
      const { memberId, status, incarnation, end, descriptor, genesisMembers } = facts
      const genesisHash = facts.genesisHash ?? genesisHashOf('', genesisMembers)
      return [{ memberId, status, genesisHash, incarnation, end, descriptor }]
    })
  }

  trouble(): ReadonlyMap<number, string> {
    return new Map(this.#states().flatMap(({ memberId, trouble }) => (trouble === null ? [] : [[memberId, trouble]])))
  }

  /** Whether anybody who was reached has data of this cluster. */
  get hasData(): boolean {
    const id = this.#own().clusterId
    return this.#states().some(
      ({ facts }) => facts !== null && facts.end > 0 && (id === null || facts.clusterId === id),
    )
  }

  /** Why nothing can be decided any more, if too many disks are lost, by what their members have said themselves. */
  disksLost(): string | null {
    const own = this.#own()
    const states = this.#states()
    const known = states.flatMap(({ facts }) => facts ?? [])
    const keeper = [own, ...known].find(({ status, descriptor, end }) => status === 'VOTING' && descriptor && end > 0)
    if (keeper?.descriptor == null) return null
    const refusedAs = (by: 'us' | 'them', state: PeerState): boolean =>
      state.refusal?.by === by && state.refusal.code === 'ROLLED_BACK'
    const disks = states.flatMap(state => {
      if (state.facts === null) return []
      const { memberId, incarnation, configVersion } = state.facts
      return [{ memberId, incarnation, configVersion, isOlderCopy: refusedAs('us', state) }]
    })
    const { memberId, incarnation, configVersion } = own
    const isOlderCopy = states.some(state => refusedAs('them', state))
    return disksLost(keeper.descriptor, [...disks, { memberId, incarnation, configVersion, isOlderCopy }])
  }

  /** What is missing for a quorum and from whom; null when nothing is. */
  quorumFault(): string | null {
    const states = this.#states()
    const size = states.length + 1
    const there = 1 + states.filter(({ connected, facts }) => connected && facts?.status === 'VOTING').length
    if (there >= quorumOf(size)) return null
    const missing = states.flatMap(({ memberId, connected, facts, trouble }) => {
      if (!connected) return [`member ${memberId}: ${trouble ?? 'not connected'}`]
      return facts?.status === 'VOTING' ? [] : [`member ${memberId} is ${facts?.status ?? 'unknown'}`]
    })
    return `a quorum: ${quorumOf(size)} of ${size} members must be connected and VOTING, here ${there}; ${missing.join('; ')}`
  }

  /** `isLeader`: what members acknowledge is told to the leader only. */
  report(isLeader: boolean): readonly PeerReport[] {
    const records = this.#records?.all()
    return this.#states().map(({ memberId, connected, facts, rttMs, trouble }) => {
      const ack = isLeader ? this.#acks.get(memberId) : undefined
      return {
        memberId,
        connected,
        status: facts?.status ?? null,
        httpUrl: facts?.httpUrl ?? null,
        matched: ack?.matched ?? null,
        applied: ack?.applied ?? null,
        committed: records?.get(facts?.incarnation ?? '')?.committed ?? null,
        acknowledgedMsAgo: ack === undefined ? null : Math.round(performance.now() - ack.atMs),
        rttMs: rttMs === null ? null : Math.round(rttMs * 10) / 10,
        trouble,
      }
    })
  }

  #states(): readonly PeerState[] {
    return this.#wire.peers()
  }

  #own(): PeerFacts {
    const meta = this.#ports.durable()
    const { memberId, httpUrl, members, clusterId: configured } = this.#options
    const clusterId = meta?.clusterId ?? configured
    const descriptor = meta?.descriptor ?? null
    return {
      protocolMin: LOG_PROTOCOL_MIN,
      protocolMax: LOG_PROTOCOL_MAX,
      formatVersion: LOG_FORMAT,
      memberId,
      name: members.find(member => member.memberId === memberId)?.name ?? `node-${memberId}`,
      httpUrl,
      clusterId,
      genesisHash: meta?.genesisHash ?? (clusterId === null ? null : genesisHashOf(clusterId, members)),
      genesisMembers: meta?.genesisMembers ?? members,
      configVersion: descriptor?.configVersion ?? 0,
      configHash: descriptor === null ? null : this.#hashOf(descriptor),
      descriptor,
      incarnation: meta?.incarnation ?? null,
      bootCounter: meta?.bootCounter ?? 0,
      status: meta?.status ?? 'EMPTY',
      begin: meta?.begin ?? 0,
      commit: meta?.commit ?? 0,
      end: meta?.end ?? 0,
      promised: meta?.promised ?? NO_BALLOT,
    }
  }

  #hashOf(descriptor: ClusterDescriptor): string {
    if (this.#hashed?.descriptor !== descriptor) {
      this.#hashed = { descriptor, hash: createHash('sha256').update(descriptorText(descriptor)).digest('hex') }
    }
    return this.#hashed.hash
  }

  /** Whoever has acknowledged something has it on disk, for good. */
  #note(message: PeerMessage): void {
    if (message.type !== 'accepted' && message.type !== 'promise') return
    const { memberId, incarnation } = message.from
    const { ballot } = message
    const bootCounter = 0
    if (message.type === 'promise') {
      this.#records?.note(incarnation, { bootCounter, promised: ballot, committed: 0 })
      return
    }
    const { matched, applied } = message
    const committed = Math.min(matched, this.#ports.commit())
    this.#records?.note(incarnation, { bootCounter, promised: ballot, committed })
    this.#acks.set(memberId, { matched, applied, atMs: performance.now() })
  }
}
