/**
 * Finds hosts where a pending task would fit if others made way: a slot is a host and the smallest set of tasks that
 * have to go. Hosts are looked at a few at a time, from a start drawn by the seed and in wide steps, so that neighbours
 * in one rack are not all that a search sees. What the machine itself refuses, what has nobody who may be preempted, and
 * what would be too small even then is passed over in a few reads; of the others the search takes as many as it needs
 * for a choice, and stops when it has looked at so many tasks that its turn would become long. It then says so, and the
 * next one looks elsewhere.
 *
 * Several tasks of a group are served by one search. No room and no victim is counted on twice, room that the group has
 * claimed already included. Where the group finds room without anybody going, so many tasks are not searched for.
 * Source: the scheduling spec, sections 9 and 17, item D9.
 */
import type { AgentId, ConfigId } from '../base/ids.ts'
import { type Prng, prng } from '../base/prng.ts'
import type { Instant } from '../base/time.ts'
import type { LedgerView } from '../ledger/view.ts'
import { type Needs, timesFitting } from '../offers/needs.ts'
import type { Host } from '../offers/offer-book.ts'
import type { Ask } from '../scheduling/ask.ts'
import type { PreparedAsk } from '../scheduling/host-filter.ts'
import type { Matcher } from '../scheduling/matcher.ts'
import { ALLOWED } from '../scheduling/shape.ts'
import { HOST_ASSIGNED } from '../task/status.ts'
import { mayPreempt, type Standing } from './eligibility.ts'
import { bestFirst, GivenSlots, HostTrial, isCounted, type TrialRules } from './host-trial.ts'
import type { Victim, VictimIndex } from './victim-index.ts'
import type { Amounts, PeerSums } from './victim-sums.ts'

export interface Slot {
  readonly agentId: AgentId
  readonly host: string
  readonly needs: Needs
  /** Its cores are lent ones. */
  readonly isRevocable: boolean
  /** Empty: the victims of another slot on the same host leave room for this one too. */
  readonly victims: readonly Victim[]
  readonly violations: number
}

export interface SlotRequest {
  readonly configId: ConfigId
  /** For so many tasks of the group; those with an open claim are not among them. */
  readonly count: number
  readonly nowMs: Instant
  readonly seed: number
  /** Tasks that are not to be touched unless nothing else works. Default: none. */
  readonly mustStay?: (victim: Victim) => boolean
}

export interface SlotsFound {
  readonly slots: readonly Slot[]
  /** Connected hosts that were looked at, each in one of the five below it. */
  readonly hosts: number
  /** Not all were looked at, and too little was found: another seed may find more. */
  readonly isCutShort: boolean
  /** The machine refuses the task, whoever runs there. */
  readonly refused: number
  /** Has room as it is: the group need only be tried again. */
  readonly roomy: number
  /** Nobody there may be preempted for it. */
  readonly withoutVictims: number
  /** Too small even when all who may be preempted had gone; or a limit stands in the way. */
  readonly tooSmall: number
  readonly suitable: number
  /** Slots that were found for too few tasks of a gang, and so for none. */
  readonly gangFound: number
}

/** Hosts that one task has a choice of, and for each further task. */
const CHOICE = 32
const CHOICE_PER_TASK = 2
/** Tasks that are looked at one by one in a search: about a millisecond. */
const LOOKS_MAX = 30_000
/** What trying one host in vain costs. */
const LOOKS_OF_TRIAL = 100

/** Hosts that are looked at in a row: what is read of them lies side by side, and a rack is mostly larger. */
const BLOCK = 8
/** Steps of this share of a circle never come near where they have been before. */
const GOLDEN = 0.618_034

const NO_NUMBER = -1
const NO_LINE = -1
const NOTHING_FOUND = {
  hosts: 0,
  isCutShort: false,
  refused: 0,
  roomy: 0,
  withoutVictims: 0,
  tooSmall: 0,
  suitable: 0,
  gangFound: 0,
}

/** What a search reads of the ledger. */
export type SearchView = Pick<LedgerView, 'config' | 'activeTasksOfJob'>

/** One walk over the hosts. */
interface Pass {
  readonly prepared: PreparedAsk
  readonly standing: Standing
  readonly peers: PeerSums | undefined
  readonly rules: TrialRules
  readonly count: number
  /** Tasks that may still be looked at. */
  looks: number
  /** For so many tasks there is room with nobody going. */
  roomFor: number
}

export class SlotSearch {
  readonly #matcher: Matcher
  readonly #victims: VictimIndex
  readonly #view: SearchView
  /** By slot of the book: the number that the agent has in the victim index. */
  #numbers = new Int32Array(0)
  #numbersVersion = ''
  /** By number of the agent: where the peers of the search in progress are summed. */
  #peerLines = new Int32Array(0)
  /** An upper bound of what a host could give: what is free, and what those take among whom there are victims. */
  readonly #room: Amounts = { cpusMilli: 0, ramMb: 0, diskMb: 0, ports: 0, gpus: 0 }

  constructor(matcher: Matcher, victims: VictimIndex, view: SearchView) {
    this.#matcher = matcher
    this.#victims = victims
    this.#view = view
  }

  search({ configId, count, nowMs, seed, mustStay = () => false }: SlotRequest): SlotsFound {
    const found = { ...NOTHING_FOUND }
    const config = this.#view.config(configId)
    if (config === undefined || count <= 0) return { slots: [], ...found }
    this.#renewNumbers()
    const { book, filter } = this.#matcher
    const prepared = filter.prepare(this.#matcher.askOf(configId), nowMs)
    const standing = this.#victims.standingOf(config)
    const peers = this.#victims.peersOf(standing)
    this.#findPeers(peers)
    const rules = { prepared, mustStay, nowMs, given: this.#given(prepared) }
    const pass: Pass = { prepared, standing, peers, rules, count, looks: LOOKS_MAX, roomFor: 0 }
    const trials: HostTrial[] = []
    const choice = Math.max(CHOICE, CHOICE_PER_TASK * count)
    const { slotsMax, columns } = book
    const blocks = Math.ceil(slotsMax / BLOCK)
    const { start, step } = walkOver(blocks, prng(seed))
    for (let n = 0, block = start; n < blocks * BLOCK; n++) {
      const slot = block * BLOCK + (n % BLOCK)
      if (n % BLOCK === BLOCK - 1) block = (block + step) % blocks
      if (slot >= slotsMax || columns.connected[slot] === 0) continue
      if (trials.length >= choice || pass.looks <= 0 || pass.roomFor >= count) {
        found.isCutShort = trials.length < count && pass.roomFor < count
        break
      }
      found.hosts++
      const seen = this.#look(slot, pass)
      if (typeof seen === 'string') {
        found[seen]++
        continue
      }
      found.suitable++
      trials.push(seen)
    }
    const { roomFor } = pass
    const slots = roomFor >= count ? [] : slotsOf(trials, count - roomFor, prepared.ask)
    const foundFor = slots.length + roomFor
    if (foundFor < this.#missingOfGang(prepared.ask)) return { slots: [], ...found, gangFound: foundFor }
    return { slots, ...found }
  }

  /** The cheap questions first: most hosts are done with after a few reads. */
  #look(slot: number, pass: Pass): HostTrial | 'refused' | 'roomy' | 'withoutVictims' | 'tooSmall' {
    const { prepared, standing, peers, rules } = pass
    const { ask, nowMs } = prepared
    const { book, filter } = this.#matcher
    if (prepared.shape.verdict(slot) !== ALLOWED || filter.isAway(slot, nowMs)) return 'refused'
    const times = this.#timesAsItIs(prepared, rules.given, slot, pass.count)
    if (times > 0) {
      pass.roomFor += times
      return 'roomy'
    }
    const number = this.#numbers[slot]!
    if (number === NO_NUMBER) return 'withoutVictims'
    const { preemptible } = this.#victims
    const line = peers === undefined ? NO_LINE : this.#peerLines[number]!
    const hasLower = line !== NO_LINE && peers!.sums.priorityMin(line) < standing.priority
    const hasPreemptible = !standing.isPreemptible && preemptible.count(number) > 0
    if (!hasLower && !hasPreemptible) return 'withoutVictims'
    const room = this.#room
    this.#setRoom(slot, ask.isRevocable)
    if (hasLower) peers!.sums.addTo(room, line, ask.isRevocable)
    if (hasPreemptible) preemptible.addTo(room, number, ask.isRevocable)
    if (!isEnough(room, ask.needs)) return 'tooSmall'

    const on = this.#victims.on(number)
    pass.looks -= on.length
    if (!this.#couldFit(slot, on, standing, ask)) return 'tooSmall'
    const eligible = on.filter(victim => mayPreempt(standing, victim))
    const host = book.at(slot)
    const trial = new HostTrial(host, eligible, this.#unclaimed(ask, host), rules)
    if (trial.best !== null) return trial
    pass.looks -= LOOKS_OF_TRIAL
    return 'tooSmall'
  }

  /** Claims that the group has already are for tasks that are not searched for: they count as taken, by limits too. */
  #given(prepared: PreparedAsk): GivenSlots {
    const given = new GivenSlots(prepared)
    if (!isCounted(prepared)) return given
    const { book } = this.#matcher
    for (const { agentId } of book.claims.ofGroup(prepared.ask.configId)) {
      const host = book.host(agentId)
      if (host !== undefined) given.add(host.slot, 1)
    }
    return given
  }

  #unclaimed(ask: Ask, host: Host): Needs {
    const free = ask.isRevocable ? host.freeRevocable : host.free
    return this.#matcher.book.claims.freeFor(host.slot, free, ask.isRevocable, () => false)
  }

  /** For how many tasks, at most `most`, there is room with nobody going. */
  #timesAsItIs(prepared: PreparedAsk, given: GivenSlots, slot: number, most: number): number {
    const { ask } = prepared
    const { book } = this.#matcher
    let times = book.columns.times(slot, ask.needs, ask.isRevocable, most)
    if (times === 0) return 0
    const host = book.at(slot)
    if (book.columns.claimed[slot] === 1) times = timesFitting(this.#unclaimed(ask, host), ask.needs, most)
    if (times === 0 || !isCounted(prepared)) return times
    // They will be there: what is found after them is to hold together with them.
    let within = 0
    for (; within < times && given.isWithinLimits(host, 0); within++) given.add(slot, 1)
    return within
  }

  #setRoom(slot: number, isRevocable: boolean): void {
    const { columns } = this.#matcher.book
    const room = this.#room
    room.cpusMilli = columns.free(slot, 'cpusMilli', isRevocable)
    room.ramMb = columns.free(slot, 'ramMb')
    room.diskMb = columns.free(slot, 'diskMb')
    room.ports = columns.free(slot, 'ports')
    room.gpus = columns.free(slot, 'gpus')
  }

  /** Whether the room of those that may be preempted is enough, limits and claims aside. */
  #couldFit(slot: number, on: readonly Victim[], standing: Standing, { needs, isRevocable }: Ask): boolean {
    const room = this.#room
    this.#setRoom(slot, isRevocable)
    for (const victim of on) {
      if (!mayPreempt(standing, victim)) continue
      if (victim.isRevocable === isRevocable) room.cpusMilli += victim.needs.cpusMilli
      room.ramMb += victim.needs.ramMb
      room.diskMb += victim.needs.diskMb
      room.ports += victim.needs.ports
      room.gpus += victim.needs.gpus
    }
    return isEnough(room, needs)
  }

  #findPeers(peers: PeerSums | undefined): void {
    if (peers === undefined) return
    const { numbersMax } = this.#victims
    if (this.#peerLines.length < numbersMax) this.#peerLines = new Int32Array(2 * numbersMax)
    this.#peerLines.fill(NO_LINE)
    peers.numbers.forEach((number, line) => {
      this.#peerLines[number] = line
    })
  }

  /** So many have to find room together, or none is placed; 0: each is placed alone. */
  #missingOfGang({ gang, jobKey, configId }: Ask): number {
    if (gang <= 1) return 0
    let there = 0
    for (const { status } of this.#view.activeTasksOfJob(jobKey)) if (HOST_ASSIGNED.has(status)) there++
    for (const _claim of this.#matcher.book.claims.ofGroup(configId)) there++
    return gang - there
  }

  #renewNumbers(): void {
    const { book } = this.#matcher
    const version = `${book.slotChanges}/${this.#victims.version}`
    if (version === this.#numbersVersion) return
    this.#numbersVersion = version
    this.#numbers = new Int32Array(book.slotsMax).fill(NO_NUMBER)
    for (const { slot, row } of book.hosts()) this.#numbers[slot] = this.#victims.numberOf(row.agentId)
  }
}

function slotsOf(trials: readonly HostTrial[], count: number, { needs, isRevocable }: Ask): readonly Slot[] {
  return Array.from(bestFirst(trials, count), ({ host, set: { victims, violations } }) => {
    return { agentId: host.row.agentId, host: host.row.host, needs, isRevocable, victims, violations }
  })
}

function isEnough(room: Amounts, needs: Needs): boolean {
  return (
    (needs.cpusMilli <= 0 || room.cpusMilli >= needs.cpusMilli) &&
    (needs.ramMb <= 0 || room.ramMb >= needs.ramMb) &&
    (needs.diskMb <= 0 || room.diskMb >= needs.diskMb) &&
    (needs.ports <= 0 || room.ports >= needs.ports) &&
    (needs.gpus <= 0 || room.gpus >= needs.gpus)
  )
}

/** From the start, step by step around a circle of blocks: each is met once, and those met in a row lie far apart. */
function walkOver(blocks: number, random: Prng): { readonly start: number; readonly step: number } {
  if (blocks === 0) return { start: 0, step: 0 }
  const start = random.int(0, blocks)
  let step = Math.max(1, Math.floor(blocks * GOLDEN))
  while (divisorOf(step, blocks) !== 1) step++
  return { start, step }
}

function divisorOf(a: number, b: number): number {
  return b === 0 ? a : divisorOf(b, a % b)
}
