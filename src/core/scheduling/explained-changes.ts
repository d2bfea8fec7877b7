/**
 * The single changes that would let a task in. Each comes from hosts on which one thing alone stands in the way; of each
 * kind the smallest change is named that opens a host, with all hosts that it opens.
 */
import { compareIds } from '../base/ids.ts'
import { type NeedType, shown } from '../offers/needs.ts'
import type { Ask } from './ask.ts'
import type { Obstacle } from './explanation.ts'

/** A host where only this stands in the way. */
export interface Opening {
  readonly host: string
  readonly obstacle: Obstacle
}

export interface Change {
  readonly text: string
  /** That would take a task then. */
  readonly hosts: number
}

const NAMED_MAX = 3

/** Most hosts first; of those that open equally many what is under the job's own control comes first. */
export function changesOf(openings: readonly Opening[], ask: Ask): readonly Change[] {
  const groups = new Map<string, Opening[]>()
  for (const opening of openings) {
    const key = groupOf(opening.obstacle)
    const known = groups.get(key)
    if (known === undefined) groups.set(key, [opening])
    else known.push(opening)
  }
  return [...groups.values()]
    .flatMap(group => changesBy(group, ask))
    .sort((a, b) => b.hosts - a.hosts || a.effort - b.effort || compareIds(a.text, b.text))
    .map(({ text, hosts }) => ({ text, hosts }))
}

function groupOf(obstacle: Obstacle): string {
  switch (obstacle.type) {
    case 'constraint':
    case 'limit':
      return `${obstacle.type} ${obstacle.name}`
    case 'short':
      return `short ${obstacle.kind.type}`
    case 'dedicated':
      return `dedicated ${obstacle.values.join(',')}`
    default:
      return obstacle.type
  }
}

type Ranked = Change & { readonly effort: number }

function changesBy(group: readonly Opening[], ask: Ask): readonly Ranked[] {
  const { obstacle } = group[0]!
  const names = namesOf(group)
  const hosts = group.length
  const change = (text: string, effort: number, opened = hosts): Ranked => ({ text, hosts: opened, effort })
  switch (obstacle.type) {
    case 'limit':
      return [limitChange(group, obstacle.name)]
    case 'short':
      return [shortChange(group, ask, obstacle.kind.type)]
    case 'constraint':
      return constraintChanges(group, obstacle.name, ask)
    case 'dedicated': {
      const [value] = obstacle.values
      if (value === undefined) return []
      return [change(`${fitting(hosts)} with the constraint dedicated=${value}: ${names}`, 4)]
    }
    case 'reserved':
      return [change(`${fitting(hosts)} when nobody claims the room that is kept there for other jobs: ${names}`, 3)]
    case 'away':
      return [change(`${fitting(hosts)} when the planned time away is over: ${names}`, 5)]
    case 'maintenance':
      return [change(`${fitting(hosts)} when the maintenance of these ends: ${names}`, 5)]
    case 'disconnected':
      return [change(`${fitting(hosts)} when the agents of these are back: ${names}`, 6)]
  }
}

/** The smallest limit that opens a host. */
function limitChange(group: readonly Opening[], name: string): Ranked {
  const needed = group.map(({ obstacle }) => (obstacle.type === 'limit' ? obstacle.needed : Number.POSITIVE_INFINITY))
  const least = Math.min(...needed)
  const opened = group.filter((_, n) => needed[n] === least)
  const text = `${fitting(opened.length)} with limit:${name}=${least}: ${namesOf(opened)}`
  return { text, hosts: opened.length, effort: 0 }
}

/** The smallest cut of one amount that opens a host. */
function shortChange(group: readonly Opening[], { needs }: Ask, type: NeedType): Ranked {
  let free = Number.NEGATIVE_INFINITY
  for (const { obstacle } of group) if (obstacle.type === 'short') free = Math.max(free, obstacle.free)
  const opened = group.filter(({ obstacle }) => obstacle.type === 'short' && obstacle.free === free)
  const { obstacle } = opened[0]!
  if (obstacle.type !== 'short') return { text: '', hosts: 0, effort: 9 }
  const { kind } = obstacle
  const asked = shown(kind, needs[type])
  const left =
    free > 0
      ? `with ${shown(kind, free)} of ${kind.label} per task instead of ${asked} (executor included)`
      : `if tasks on them end: all ${kind.label} there is taken`
  return { text: `${fitting(opened.length)} ${left}: ${namesOf(opened)}`, hosts: opened.length, effort: 1 }
}

function constraintChanges(group: readonly Opening[], name: string, { constraints }: Ask): readonly Ranked[] {
  const rule = constraints.find(constraint => constraint.name === name)?.rule
  if (rule === undefined) return []
  if (rule.type === 'limit') {
    const text = `${fitting(group.length)} without the limit on ${name}, or with that attribute on their agents: ${namesOf(group)}`
    return [{ text, hosts: group.length, effort: 2 }]
  }
  const said = `${name}=${rule.negated ? '!' : ''}${rule.values.join(',')}`
  const whole: Ranked = {
    text: `${fitting(group.length)} without the constraint ${said}: ${namesOf(group)}`,
    hosts: group.length,
    effort: 3,
  }
  if (rule.negated) return [whole]
  const byValue = new Map<string, Opening[]>()
  for (const opening of group) {
    const { obstacle } = opening
    for (const value of obstacle.type === 'constraint' ? (obstacle.values ?? []) : []) {
      byValue.set(value, [...(byValue.get(value) ?? []), opening])
    }
  }
  const [best] = [...byValue].sort(([a, x], [b, y]) => y.length - x.length || compareIds(a, b))
  if (best === undefined) return [whole]
  const [value, opened] = best
  const text = `${fitting(opened.length)} with ${name}=${[...rule.values, value].join(',')}: ${namesOf(opened)}`
  return [{ text, hosts: opened.length, effort: 2 }, ...(opened.length < group.length ? [whole] : [])]
}

const fitting = (hosts: number): string => (hosts === 1 ? '1 host fits' : `${hosts} hosts fit`)

function namesOf(openings: readonly Opening[]): string {
  const names = openings.slice(0, NAMED_MAX).map(({ host }) => host)
  const more = openings.length - names.length
  return more > 0 ? `${names.join(', ')} and ${more} more` : names.join(', ')
}
