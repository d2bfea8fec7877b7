/**
 * Why a task may not run on a host. Classes are asked in a fixed order and the first that objects ends the matter, so
 * that what people read is the strongest obstacle: dedicated, maintenance, constraints, resources. A static veto holds
 * until the host itself changes; a dynamic one may be gone with the next task. Scores make shortages comparable: the
 * lower the sum, the nearer the fit. Integers only.
 *
 * Limits on an attribute that the host lacks come before limits that are used up, whatever the order they were written
 * in: the former is about the machine alone and can be remembered.
 *
 * Source: the scheduling spec, section 5; texts are Aurora's, word for word.
 */
import type { Constraint } from '../job/task-config.ts'
import type { HostMode } from '../ledger/rows.ts'
import { NEED_KINDS, type NeedKind, type Needs, type NeedType } from '../offers/needs.ts'
import { type AttributeSet, type CountOf, isLimitable, isLimitReached, isValueSatisfied } from './constraints.ts'
import { DEDICATED, dedicatedVeto, HOST_IS_DEDICATED } from './dedicated.ts'

export interface Veto {
  readonly kind: 'dedicated' | 'maintenance' | 'constraint' | 'limit' | 'resources' | 'reserved' | 'gang'
  readonly text: string
  readonly isStatic: boolean
  readonly score: number
  /** Of kind `resources`: what is short. */
  readonly need?: NeedKind
}

/** What a verdict looks at. */
export interface HostFacts {
  readonly mode: HostMode
  readonly attributes: AttributeSet
  readonly free: Needs
}

const SHORTAGE_TEXTS = Object.fromEntries(
  NEED_KINDS.map(kind => [kind.type, `Insufficient: ${kind.label}`]),
) as Readonly<Record<NeedType, string>>
const DEDICATED_VETO: Veto = { kind: 'dedicated', text: HOST_IS_DEDICATED, isStatic: true, score: 1_000_000 }
const maintenance = (text: string): Veto => ({ kind: 'maintenance', text, isStatic: true, score: 100_000 })
const MAINTENANCE_VETOES: Readonly<Partial<Record<HostMode, Veto>>> = {
  DRAINING: maintenance('Host draining for maintenance'),
  DRAINED: maintenance('Host drained for maintenance'),
}
/** Room is there, and kept for somebody else. */
export const RESERVED_VETO: Veto = { kind: 'reserved', text: 'Agents reserved', isStatic: false, score: 0 }
const mismatch = (name: string): Veto => ({
  kind: 'constraint',
  text: `Constraint not satisfied: ${name}`,
  isStatic: true,
  score: 10_000,
})

/** All vetoes of the first class that has any; empty when the task may run there. */
export function vetoes(
  host: HostFacts,
  ask: { readonly needs: Needs; readonly constraints: readonly Constraint[]; readonly countOf: CountOf },
): readonly Veto[] {
  const first = staticVeto(host, ask.constraints) ?? limitVeto(host.attributes, ask.constraints, ask.countOf)
  return first === null ? shortages(host.free, ask.needs) : [first]
}

/** The veto that follows from the machine alone, resources aside. */
export function staticVeto(
  host: Pick<HostFacts, 'mode' | 'attributes'>,
  constraints: readonly Constraint[],
): Veto | null {
  const dedicated = dedicatedVeto(host.attributes.get(DEDICATED), constraints)
  if (dedicated === HOST_IS_DEDICATED) return DEDICATED_VETO
  const inMaintenance = MAINTENANCE_VETOES[host.mode]
  if (inMaintenance !== undefined) return inMaintenance
  for (const { name, rule } of constraints) {
    if (rule.type === 'value' && !isValueSatisfied(rule, host.attributes.get(name))) return mismatch(name)
  }
  for (const { name, rule } of constraints) {
    if (rule.type === 'limit' && !isLimitable(host.attributes.get(name))) return mismatch(name)
  }
  // The value rule above is wider than the dedicated one (it would let a negation pass).
  return dedicated === null ? null : mismatch(DEDICATED)
}

/** The first limit that is used up on this host. */
export function limitVeto(attributes: AttributeSet, constraints: readonly Constraint[], countOf: CountOf): Veto | null {
  for (const { name, rule } of constraints) {
    if (rule.type !== 'limit') continue
    const values = attributes.get(name)
    if (isLimitable(values) && isLimitReached(rule.limit, name, values, countOf)) {
      return limitReachedVeto(name)
    }
  }
  return null
}

export function limitReachedVeto(name: string): Veto {
  return { kind: 'limit', text: `Limit not satisfied: ${name}`, isStatic: false, score: 10_000 }
}

/** The machine is planned to be away soon, or is by now. It may be put off, and it ends by itself: not static (D18). */
export function unavailabilityVeto(fromMs: number): Veto {
  const text = `Host unavailable from ${new Date(fromMs).toISOString()}`
  return { kind: 'maintenance', text, isStatic: false, score: 100_000 }
}

/** Hosts have room, but not for as many tasks as are to start together. */
export function gangVeto(gang: number, found: number): Veto {
  return {
    kind: 'gang',
    text: `Gang of ${gang} not satisfied: ${found} ${found === 1 ? 'finds' : 'find'} a host`,
    isStatic: false,
    score: 0,
  }
}

/** One veto per type that is short, in the fixed order of types. */
export function shortages(free: Needs, needs: Needs): readonly Veto[] {
  const short: Veto[] = []
  for (const kind of NEED_KINDS) {
    const missing = needs[kind.type] - free[kind.type]
    if (needs[kind.type] <= 0 || missing <= 0) continue
    short.push({
      kind: 'resources',
      text: SHORTAGE_TEXTS[kind.type],
      // What is free grows when a task ends; Aurora calls this static because its offers never grow.
      isStatic: false,
      score: shortageScore(kind, missing),
      need: kind,
    })
  }
  return short
}

/** min(1000, ⌊1000 · shortage in shown units⌋ div range). */
export function shortageScore(kind: NeedKind, missing: number): number {
  const thousandths = Math.floor(missing * Math.round(kind.scale * 1000))
  return Math.min(1000, Math.floor(thousandths / kind.vetoRange))
}
