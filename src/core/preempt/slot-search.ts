/**
 * Finds hosts where a pending task would fit if others made way: a slot is a host and the smallest set of tasks that
 * have to go. Hosts are looked at from a start drawn by the seed, and far apart, so that neighbours in one rack are not all
 * that a search sees. What the machine itself refuses, what has nobody who may be preempted, and what would be too small even then is
 * passed over in a few reads; of the others the search takes as many as it needs for a choice, and stops when it has
 * looked at so many tasks that its turn would become long. It then says so, and the next one looks elsewhere.
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
import { mayPreempt } from './eligibility.ts'
import { bestFirst, GivenSlots, HostTrial, isCounted } from './host-trial.ts'
import type { Victim, VictimIndex } from './victim-index.ts'
import type { PeerSums, Room } from './victim-sums.ts'

export interface Slot {
  readonly agentId: AgentId
  readonly host: string
  readonly needs: Needs
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
/** Tasks that are looked at one by one in a search: some 2 ms. Trying a host in vain costs as much as so many looks. */
const LOOKS_MAX = 50_000
const LOOKS_OF_TRIAL = 100

/** Steps of this share of a circle never come near where they have been before. */
const GOLDEN = 0.618_034

const NO_PLACE = -1
const NO_ROW = -1
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

export class SlotSearch {
  readonly #matcher: Matcher
  readonly #victims: VictimIndex
  readonly #view: LedgerView
  /** By slot of the book: the place of the agent in the victim index. */
  #places = new Int32Array(0)
  #placesVersion = ''
  /** By place: where the peers of the search in progress are summed. */
  #peerRows = new Int32Array(0)
  /** An upper bound of what a host could give: what is free, and what those take among whom there are victims. */
  readonly #room: Room = { cpusMilli: 0, ramMb: 0, diskMb: 0, ports: 0, gpus: 0 }

  constructor(matcher: Matcher, victims: VictimIndex, view: LedgerView) {
    this.#matcher = matcher
    this.#victims = victims
    this.#view = view
  }

  search({ configId, count, nowMs, seed, mustStay = () => false }: SlotRequest): SlotsFound {
    const found = { ...NOTHING_FOUND }
    const config = this.#view.config(configId)
    if (config === undefined || count <= 0) return { slots: [], ...found }
    this.#renewPlaces()
    const { book, filter } = this.#matcher
    const { columns } = book
    const prepared = filter.prepare(this.#matcher.askOf(configId), nowMs)
    const standing = this.#victims.standingOf(config)
    const { preemptible } = this.#victims
    const peers = this.#victims.peersOf(standing)
    this.#findPeers(peers)
    const room = this.#room
    const rules = { prepared, mustStay, nowMs, given: this.#given(prepared) }
    const choice = Math.max(CHOICE, CHOICE_PER_TASK * count)
    const trials: HostTrial[] = []
    let looks = LOOKS_MAX
    let roomFor = 0
    const { slotsMax } = book
    const walk = walkOver(slotsMax, prng(seed))
    for (let n = 0, slot = walk.start; n < slotsMax; n++, slot = (slot + walk.step) % slotsMax) {
      if (columns.connected[slot] === 0) continue
      if (trials.length >= choice || looks <= 0 || roomFor >= count) {
        found.isCutShort = trials.length < count && roomFor < count
        break
      }
      found.hosts++
      if (prepared.shape.verdict(slot) !== ALLOWED || filter.isAway(slot, nowMs)) {
        found.refused++
        continue
      }
      const times = this.#timesAsItIs(prepared, rules.given, slot, count)
      if (times > 0) {
        found.roomy++
        roomFor += times
        continue
      }
      const place = this.#places[slot]!
      const peersRow = place === NO_PLACE || peers === undefined ? NO_ROW : this.#peerRows[place]!
      const hasLower = peersRow !== NO_ROW && peers!.sums.priorityMin(peersRow) < standing.priority
      const hasPreemptible = place !== NO_PLACE && !standing.isPreemptible && preemptible.count(place) > 0
      if (!hasLower && !hasPreemptible) {
        found.withoutVictims++
        continue
      }
      this.#setRoom(slot, prepared.ask.isRevocable)
      if (hasLower) peers!.sums.addTo(room, peersRow, prepared.ask.isRevocable)
      if (hasPreemptible) preemptible.addTo(room, place, prepared.ask.isRevocable)
      if (!isEnough(room, prepared.ask.needs)) {
        found.tooSmall++
        continue
      }
      const on = this.#victims.on(place)
      looks -= on.length
      const eligible = on.filter(victim => mayPreempt(standing, victim))
      const host = book.at(slot)
      const trial = this.#couldFit(slot, eligible, prepared.ask)
        ? new HostTrial(host, eligible, this.#unclaimed(prepared.ask, host), rules)
        : null
      if (trial === null || trial.best === null) {
        if (trial !== null) looks -= LOOKS_OF_TRIAL
        found.tooSmall++
        continue
      }
      found.suitable++
      trials.push(trial)
    }
    const wanted = count - roomFor
    const slots = wanted <= 0 ? [] : slotsOf(trials, wanted, prepared.ask)
    const missing = this.#missingOfGang(prepared.ask)
    if (slots.length + roomFor < missing) return { slots: [], ...found, gangFound: slots.length + roomFor }
    return { slots, ...found }
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
    return this.#matcher.book.claims.freeFor(host.slot, free, () => false)
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
    return given.isWithinLimits(host, 0) ? 1 : 0
  }

  #setRoom(slot: number, isRevocable: boolean): void {
    const { columns } = this.#matcher.book
    const room = this.#room
    room.cpusMilli = (isRevocable ? columns.revocableMilli : columns.cpusMilli)[slot]!
    room.ramMb = columns.ramMb[slot]!
    room.diskMb = columns.diskMb[slot]!
    room.ports = columns.ports[slot]!
    room.gpus = columns.gpus[slot]!
  }

  /** Whether the room of these is enough, limits and claims aside. */
  #couldFit(slot: number, eligible: readonly Victim[], { needs, isRevocable }: Ask): boolean {
    const room = this.#room
    this.#setRoom(slot, isRevocable)
    for (const victim of eligible) {
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
    const { placesMax } = this.#victims
    if (this.#peerRows.length < placesMax) this.#peerRows = new Int32Array(2 * placesMax)
    this.#peerRows.fill(NO_ROW)
    peers.places.forEach((place, row) => {
      this.#peerRows[place] = row
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

  #renewPlaces(): void {
    const { book } = this.#matcher
    const version = `${book.slotChanges}/${this.#victims.version}`
    if (version === this.#placesVersion) return
    this.#placesVersion = version
    this.#places = new Int32Array(book.slotsMax).fill(NO_PLACE)
    for (const { slot, row } of book.hosts()) this.#places[slot] = this.#victims.placeOf(row.agentId)
  }
}

function slotsOf(trials: readonly HostTrial[], count: number, { needs }: Ask): readonly Slot[] {
  return Array.from(bestFirst(trials, count), ({ host, set: { victims, violations } }) => {
    return { agentId: host.row.agentId, host: host.row.host, needs, victims, violations }
  })
}

function isEnough(room: Room, needs: Needs): boolean {
  return (
    (needs.cpusMilli <= 0 || room.cpusMilli >= needs.cpusMilli) &&
    (needs.ramMb <= 0 || room.ramMb >= needs.ramMb) &&
    (needs.diskMb <= 0 || room.diskMb >= needs.diskMb) &&
    (needs.ports <= 0 || room.ports >= needs.ports) &&
    (needs.gpus <= 0 || room.gpus >= needs.gpus)
  )
}

/** From the start, step by step around all slots: each is met once, and those met in a row lie far apart. */
function walkOver(slotsMax: number, random: Prng): { readonly start: number; readonly step: number } {
  if (slotsMax === 0) return { start: 0, step: 0 }
  const start = random.int(0, slotsMax)
  let step = Math.max(1, Math.floor(slotsMax * GOLDEN))
  while (divisorOf(step, slotsMax) !== 1) step++
  return { start, step }
}

function divisorOf(a: number, b: number): number {
  return b === 0 ? a : divisorOf(b, a % b)
}
