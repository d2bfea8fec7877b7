/**
 * Why a group waits, in full: every host once, by its first objection; the hosts that come nearest and exactly what they
 * lack; and the single changes that would let a task in, with the hosts that each would open. A change is named only for
 * hosts where nothing else stands in the way, so whoever makes it will see a task placed.
 *
 * The pass over the hosts is cut into steps: whoever runs it gives way to others between them, and what changes meanwhile
 * is seen as it is when its host comes up.
 *
 * Source: the scheduling spec, section 10 and item D12.
 */
import { type AgentId, compareIds } from '../base/ids.ts'
import type { Instant } from '../base/time.ts'
import { NEED_KINDS, type NeedKind, type Needs, shown, timesFitting } from '../offers/needs.ts'
import type { Host } from '../offers/offer-book.ts'
import type { Ask } from './ask.ts'
import { isLimitable, isValueSatisfied } from './constraints.ts'
import { DEDICATED, dedicatedVeto, HOST_IS_DEDICATED } from './dedicated.ts'
import { changesOf, type Opening } from './explained-changes.ts'
import { GangRoom } from './gang-room.ts'
import type { HostFilter, PreparedAsk } from './host-filter.ts'
import type { Matcher } from './matcher.ts'
import { ALLOWED } from './shape.ts'
import { shortages, unavailabilityVeto } from './veto.ts'

export interface Explanation {
  /** All that are known, away or not; the verdicts add up to it. */
  readonly hosts: number
  /** Most hosts first. */
  readonly verdicts: readonly { readonly text: string; readonly hosts: number }[]
  /** Nearest first. */
  readonly nearest: readonly { readonly host: string; readonly lacks: readonly string[] }[]
  /** What would let a task in, best first. */
  readonly changes: readonly { readonly text: string; readonly hosts: number }[]
  /** Set when no machine could take such a task even if it were empty: in one sentence, with the largest. */
  readonly never: string | null
}

/** One thing that stands in the way on one host. */
export type Obstacle =
  | { readonly type: 'disconnected' }
  | { readonly type: 'dedicated'; readonly values: readonly string[] }
  | { readonly type: 'maintenance'; readonly mode: string }
  | { readonly type: 'away'; readonly fromMs: number; readonly untilMs: number }
  | { readonly type: 'constraint'; readonly name: string; readonly values: readonly string[] | undefined }
  | {
      readonly type: 'limit'
      readonly name: string
      readonly limit: number
      readonly needed: number
      readonly on: string
    }
  | { readonly type: 'short'; readonly kind: NeedKind; readonly missing: number; readonly free: number }
  | { readonly type: 'reserved' }

const FITS = 'Fits now'
/** Of a gang that is not placed before all its members fit. */
const FITS_ONE = 'Has room for members of the gang, not for the whole'
const NEAREST_MAX = 5
const HOSTS_PER_STEP = 250

/** Yields between steps of a few milliseconds. */
export function* explain(matcher: Matcher, ask: Ask, nowMs: Instant): Generator<undefined, Explanation> {
  const { book, filter } = matcher
  const counted = new Map<string, number>()
  const openings: Opening[] = []
  const nearest = new Nearest()
  const sizes = new Sizes(ask)
  const gang = new GangRoom(ask.gang > 1 ? ask.gang - matcher.countRunning(ask) : 0)
  let hosts = 0
  let prepared = filter.prepare(ask, nowMs)
  const agents: AgentId[] = Array.from(book.hosts(), host => host.row.agentId)
  for (let n = 0; n < agents.length; n++) {
    if (n > 0 && n % HOSTS_PER_STEP === 0) {
      yield undefined
      prepared = filter.prepare(ask, nowMs)
    }
    const host = book.host(agents[n]!)
    if (host === undefined) continue
    hosts++
    const obstacles = obstaclesOn(host, prepared, filter, matcher)
    const verdict = obstacles.length === 0 ? FITS : verdictText(obstacles)
    counted.set(verdict, (counted.get(verdict) ?? 0) + 1)
    if (obstacles.length > 0) nearest.note(host, obstacles)
    else gang.note(prepared, filter, host.slot)
    if (obstacles.length === 1) openings.push({ host: host.row.host, obstacle: obstacles[0]! })
    if (!sizes.isPossible && obstacles.every(({ type }) => type === 'short' || type === 'limit' || type === 'reserved'))
      sizes.note(host)
  }
  const changes = changesOf(openings, ask)
  const never = sizes.never()
  return {
    hosts,
    verdicts: [...counted]
      .map(([text, count]) => ({ text: text === FITS && gang.isShort ? FITS_ONE : text, hosts: count }))
      .sort((a, b) => b.hosts - a.hosts || compareIds(a.text, b.text)),
    nearest: nearest.shown(),
    changes:
      gang.isShort && never === null ? [{ text: gang.help(), hosts: counted.get(FITS) ?? 0 }, ...changes] : changes,
    never,
  }
}

/** Everything that stands in the way, in the order in which the filter asks. */
export function obstaclesOn(
  host: Host,
  prepared: PreparedAsk,
  filter: HostFilter,
  matcher: Matcher,
): readonly Obstacle[] {
  const { ask, nowMs, limits, byAgent } = prepared
  const found: Obstacle[] = []
  if (!host.connected) found.push({ type: 'disconnected' })
  const owners = host.attributes.get(DEDICATED)
  if (owners !== undefined && dedicatedVeto(owners, ask.constraints) === HOST_IS_DEDICATED) {
    found.push({ type: 'dedicated', values: owners })
  }
  if (host.mode === 'DRAINING' || host.mode === 'DRAINED') found.push({ type: 'maintenance', mode: host.mode })
  if (filter.isAway(host.slot, nowMs)) {
    const untilMs = host.row.unavailability?.untilMs ?? Number.POSITIVE_INFINITY
    found.push({ type: 'away', fromMs: host.awayFromMs, untilMs })
  }
  // The machine's verdict is remembered; only what it refuses is looked at rule by rule.
  if (prepared.shape.verdict(host.slot) !== ALLOWED) failingRules(host, ask, found)
  for (const { name, limit, column, counts } of limits) {
    let needed = 0
    let on = ''
    for (const value of column.valuesOf(host.slot) ?? []) {
      const there = (counts.get(value) ?? 0) + 1
      if (there > needed) [needed, on] = [there, value]
    }
    if (needed > limit) found.push({ type: 'limit', name, limit, needed, on })
  }
  if (byAgent?.has(host.row.agentId)) {
    found.push({ type: 'limit', name: 'host', limit: 1, needed: 2, on: host.row.host })
  }
  const free = ask.isRevocable ? host.freeRevocable : host.free
  const short = shortages(free, ask.needs)
  for (const { need } of short) {
    if (need !== undefined) {
      found.push({ type: 'short', kind: need, missing: ask.needs[need.type] - free[need.type], free: free[need.type] })
    }
  }
  if (short.length === 0 && matcher.book.columns.claimed[host.slot] === 1) {
    const isMine = (owner: { type: string; configId?: unknown }): boolean => owner.configId === ask.configId
    const unclaimed = matcher.book.claims.freeFor(host.slot, free, ask.isRevocable, isMine)
    if (timesFitting(unclaimed, ask.needs, 1) === 0) found.push({ type: 'reserved' })
  }
  return found
}

/** Value rules before those that only want the attribute to be there. */
function failingRules(host: Host, { constraints }: Ask, found: Obstacle[]): void {
  for (const { name, rule } of constraints) {
    const values = host.attributes.get(name)
    if (rule.type === 'value' && !isValueSatisfied(rule, values)) found.push({ type: 'constraint', name, values })
  }
  for (const { name, rule } of constraints) {
    const values = host.attributes.get(name)
    if (rule.type === 'limit' && !isLimitable(values)) found.push({ type: 'constraint', name, values })
  }
}

/** In the filter's words; all shortages of a host are one verdict. */
function verdictText(obstacles: readonly Obstacle[]): string {
  const [first] = obstacles
  switch (first?.type) {
    case undefined:
      return FITS
    case 'disconnected':
      return 'Agent is not connected'
    case 'dedicated':
      return HOST_IS_DEDICATED
    case 'maintenance':
      return first.mode === 'DRAINING' ? 'Host draining for maintenance' : 'Host drained for maintenance'
    case 'away':
      return unavailabilityVeto(first.fromMs).text
    case 'constraint':
      return `Constraint not satisfied: ${first.name}`
    case 'limit':
      return `Limit not satisfied: ${first.name}`
    case 'reserved':
      return 'Room is kept for another job'
    case 'short':
      return shortText(obstacles)
  }
}

const SHORT_TEXTS = new Map<number, string>()

/** Kept by the types that are short: there are few combinations and many hosts. */
function shortText(obstacles: readonly Obstacle[]): string {
  let mask = 0
  for (const one of obstacles) if (one.type === 'short') mask |= 1 << NEED_KINDS.indexOf(one.kind)
  let text = SHORT_TEXTS.get(mask)
  if (text === undefined) {
    const labels = NEED_KINDS.filter((_, n) => (mask & (1 << n)) !== 0).map(({ label }) => label)
    text = `Insufficient: ${labels.join(', ')}`
    SHORT_TEXTS.set(mask, text)
  }
  return text
}

/** One obstacle on one host, for people. */
export function obstacleText(obstacle: Obstacle): string {
  switch (obstacle.type) {
    case 'disconnected':
      return 'its agent is not connected'
    case 'dedicated':
      return `is dedicated to ${obstacle.values.join(', ')}`
    case 'maintenance':
      return `is ${obstacle.mode} for maintenance`
    case 'away':
      return `is planned to be away from ${new Date(obstacle.fromMs).toISOString()}`
    case 'constraint':
      return obstacle.values === undefined
        ? `has no attribute ${obstacle.name}`
        : `has ${obstacle.name}=${obstacle.values.join(',')}`
    case 'limit':
      return `${obstacle.name} ${obstacle.on} has ${obstacle.needed - 1} of ${obstacle.limit}`
    case 'short':
      return `is short ${shown(obstacle.kind, obstacle.missing)} of ${obstacle.kind.label}`
    case 'reserved':
      return 'has room that is kept for another job'
  }
}

/** The hosts with the fewest obstacles; of those the ones that lack least. */
class Nearest {
  readonly #best: { readonly host: string; readonly obstacles: readonly Obstacle[]; readonly distance: number }[] = []

  note(host: Host, obstacles: readonly Obstacle[]): void {
    const distance = distanceOf(obstacles)
    const worst = this.#best.at(-1)
    if (this.#best.length === NEAREST_MAX && worst !== undefined && worst.distance <= distance) return
    this.#best.push({ host: host.row.host, obstacles, distance })
    this.#best.sort((a, b) => a.distance - b.distance)
    this.#best.length = Math.min(this.#best.length, NEAREST_MAX)
  }

  shown(): Explanation['nearest'] {
    return this.#best.map(({ host, obstacles }) => ({ host, lacks: obstacles.map(obstacleText) }))
  }
}

/** Any other obstacle is worse than any shortage; a shortage counts by the share of what the type is measured in. */
function distanceOf(obstacles: readonly Obstacle[]): number {
  let distance = 0
  for (const obstacle of obstacles) {
    if (obstacle.type === 'short') distance += (obstacle.missing * obstacle.kind.scale) / obstacle.kind.vetoRange
    else distance += obstacle.type === 'limit' || obstacle.type === 'reserved' ? 10 : 100
  }
  return distance
}

/** Whether any host could hold such a task if it were empty, and the largest that could not. */
class Sizes {
  readonly #ask: Ask
  isPossible = false
  #largest: Host | null = null

  constructor(ask: Ask) {
    this.#ask = ask
  }

  note(host: Host): void {
    const { needs, isRevocable } = this.#ask
    const total: Needs = isRevocable ? { ...host.total, cpusMilli: host.row.revocable?.cpusMilli ?? 0 } : host.total
    if (NEED_KINDS.every(({ type }) => total[type] >= needs[type])) this.isPossible = true
    const largest = this.#largest
    if (largest === null || isLarger(host.total, largest.total)) this.#largest = host
  }

  never(): string | null {
    const largest = this.#largest
    if (this.isPossible || largest === null) return null
    const lacking = NEED_KINDS.filter(({ type }) => largest.total[type] < this.#ask.needs[type])
    const has = lacking.map(kind => `${shown(kind, largest.total[kind.type])} of ${kind.label}`).join(' and ')
    const asked = lacking.map(kind => shown(kind, this.#ask.needs[kind.type])).join(' and ')
    return `It can never fit: the largest host that would take it, ${largest.row.host}, has ${has} in all, and a task asks for ${asked} (its executor included).`
  }
}

function isLarger(a: Needs, b: Needs): boolean {
  for (const { type } of NEED_KINDS) if (a[type] !== b[type]) return a[type] > b[type]
  return false
}
