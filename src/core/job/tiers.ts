/**
 * Tiers: what a job is worth when room is short. They come from a file of the operator, or are the three that Aurora
 * ships; what a file must fulfil stands here, with Aurora's texts and all faults at once, each with its place.
 *
 * Source: the scheduling spec, section 2 (tier file).
 */
import { compareIds, isIdentifier } from '../base/ids.ts'

export interface Tier {
  /** Its tasks may be ended so that those of a better tier find room. */
  readonly preemptible: boolean
  /** Its tasks run on cores that are lent, and taken back when their owner wants them. */
  readonly revocable: boolean
}

export interface Tiers {
  /** Taken by jobs that name none. Always one of `tiers`. */
  readonly defaultTier: string
  /** By name, which has its case. Never empty. */
  readonly tiers: Readonly<Record<string, Tier>>
}

export const SHIPPED_TIERS: Tiers = {
  defaultTier: 'preemptible',
  tiers: {
    preferred: { preemptible: false, revocable: false },
    preemptible: { preemptible: true, revocable: false },
    revocable: { preemptible: true, revocable: true },
  },
}

/** Whatever a client says: this alone makes a job production. */
export const isProduction = ({ preemptible, revocable }: Tier): boolean => !preemptible && !revocable

export interface TierFault {
  /** Keys from the root of the file; the place of a missing key is that of its parent. */
  readonly path: readonly string[]
  readonly text: string
}

export type ReadTiers =
  | { readonly ok: true; readonly tiers: Tiers }
  | { readonly ok: false; readonly faults: readonly TierFault[] }

/** What a tier file holds, once its text has become plain values: `{default, tiers: {name: {preemptible, revocable}}}`. */
export function readTiers(value: unknown): ReadTiers {
  if (value === null || value === undefined) {
    return refused(
      [],
      'configuration cannot be empty: write `default: NAME` and `tiers: {NAME: {preemptible: …, revocable: …}}`',
    )
  }
  if (!isMap(value)) return refused([], `must be a map with the keys default and tiers, found ${shown(value)}`)
  const faults: TierFault[] = unknownKeys(value, ['default', 'tiers'], [])
  const tiers = readAll(value.tiers, faults)
  const name = value.default
  if (name === undefined || name === null || name === '') {
    faults.push({
      path: ['default'],
      text: 'Default tier name cannot be empty. Name the tier of jobs that ask for none.',
    })
  } else if (typeof name !== 'string') {
    faults.push({ path: ['default'], text: `must be the name of a tier, found ${shown(name)}` })
  } else if (tiers.size > 0 && !tiers.has(name)) {
    const supplied = [...tiers.keys()].sort(compareIds).join(', ')
    faults.push({
      path: ['default'],
      text: `Default tier name should match supplied tiers. Found ${name}; supplied: ${supplied}`,
    })
  } else if (faults.length === 0) {
    return { ok: true, tiers: { defaultTier: name, tiers: Object.fromEntries(tiers) } }
  }
  return { ok: false, faults }
}

function readAll(value: unknown, faults: TierFault[]): ReadonlyMap<string, Tier> {
  const tiers = new Map<string, Tier>()
  const path = ['tiers']
  if (value === undefined || value === null || (isMap(value) && Object.keys(value).length === 0)) {
    faults.push({ path, text: 'Tiers cannot be empty. Write at least the tier that default names.' })
    return tiers
  }
  if (!isMap(value)) {
    faults.push({ path, text: `must be a map of tier names, found ${shown(value)}` })
    return tiers
  }
  for (const [name, settings] of Object.entries(value)) {
    const here = [...path, name]
    if (!isIdentifier(name)) {
      faults.push({ path: here, text: `Tier contains illegal characters: ${name}; only letters, digits, _, - and .` })
    }
    tiers.set(name, readTier(settings, here, faults))
  }
  return tiers
}

function readTier(value: unknown, path: readonly string[], faults: TierFault[]): Tier {
  if (!isMap(value)) {
    faults.push({ path, text: `must say {preemptible: …, revocable: …}, found ${shown(value)}` })
    return { preemptible: true, revocable: false }
  }
  faults.push(...unknownKeys(value, ['preemptible', 'revocable'], path))
  const flag = (key: 'preemptible' | 'revocable'): boolean => {
    const found = value[key]
    // An absent one is refused too: whoever forgot `preemptible` would have made production of it.
    if (typeof found === 'boolean') return found
    const text =
      found === undefined ? 'is missing: write true or false' : `must be true or false, found ${shown(found)}`
    faults.push({ path: [...path, key], text })
    return false
  }
  const tier = { preemptible: flag('preemptible'), revocable: flag('revocable') }
  if (tier.revocable && value.preemptible === false) {
    const text = 'is revocable and not preemptible: lent cores are taken back at any time, so write preemptible: true'
    faults.push({ path, text })
  }
  return tier
}

function unknownKeys(value: Readonly<Record<string, unknown>>, known: string[], path: readonly string[]): TierFault[] {
  return Object.keys(value)
    .filter(key => !known.includes(key))
    .map(key => ({ path: [...path, key], text: `unknown key; known here: ${known.join(', ')}` }))
}

const refused = (path: readonly string[], text: string): ReadTiers => ({ ok: false, faults: [{ path, text }] })

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

const shown = (value: unknown): string => JSON.stringify(value) ?? String(value)
