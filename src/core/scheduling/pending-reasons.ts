/**
 * Why a group of equal tasks is not placed. Every attempt that fails looks at all connected hosts, so the answer is
 * always about the cluster as it is: the nearest fit (the set of vetoes with the lowest score) in Aurora's words, and
 * for people the same with counts, and what the largest host has.
 *
 * Source: the scheduling spec, section 10 and item D12.
 */
import { NEED_KINDS, type NeedKind, type Needs, shown } from '../offers/needs.ts'
import type { Veto } from './veto.ts'

export const NO_AGENTS = 'No agents available'

export interface Reasons {
  /** Aurora's texts of the nearest fit, in the fixed order of types; empty when there was no host to look at. */
  readonly reasons: readonly string[]
  /** For people: every obstacle with the number of hosts, the nearest fit first, then what would help. */
  readonly details: readonly string[]
}

export const NO_AGENTS_REASONS: Reasons = { reasons: [], details: [NO_AGENTS] }

interface SeenHost {
  readonly row: { readonly host: string }
  readonly total: Needs
  readonly free: Needs
}

/** Lower is nearer. */
export function scoreOf(vetoes: readonly Veto[]): number {
  let sum = 0
  for (const { score } of vetoes) sum += score
  return sum
}

export class ReasonTally {
  #nearest: readonly Veto[] | null = null
  #nearestScore = Number.POSITIVE_INFINITY
  readonly #hostsByText = new Map<string, number>()
  /** By type: the host with the largest total among those where only room is missing. */
  readonly #largest = new Map<NeedKind, SeenHost>()
  #hosts = 0

  /** `vetoes` are those of one host, not empty. */
  note(host: SeenHost, vetoes: readonly Veto[]): void {
    this.add(vetoes, 1, scoreOf(vetoes))
    for (const { need } of vetoes) if (need !== undefined) this.noteSize(need, host)
  }

  /** So many hosts object in these words; `score` is that of the nearest of them. Replaces the nearest fit only when strictly nearer. */
  add(vetoes: readonly Veto[], hosts: number, score: number): void {
    this.#hosts += hosts
    if (score < this.#nearestScore) {
      this.#nearest = vetoes
      this.#nearestScore = score
    }
    for (const { text } of vetoes) this.#hostsByText.set(text, (this.#hostsByText.get(text) ?? 0) + hosts)
  }

  /** The host lacks room of this kind. */
  noteSize(kind: NeedKind, host: SeenHost): void {
    const known = this.#largest.get(kind)
    const larger =
      known === undefined ||
      host.total[kind.type] > known.total[kind.type] ||
      (host.total[kind.type] === known.total[kind.type] && host.free[kind.type] > known.free[kind.type])
    if (larger) this.#largest.set(kind, host)
  }

  get nearest(): readonly string[] {
    return this.#nearest?.map(veto => veto.text) ?? []
  }

  finish(asked: Needs): Reasons {
    if (this.#hosts === 0) return NO_AGENTS_REASONS
    const reasons = this.nearest
    const others = [...this.#hostsByText.keys()].filter(text => !reasons.includes(text))
    const counted = [...reasons, ...others].map(text => {
      const hosts = this.#hostsByText.get(text)!
      return `${text} (${hosts} ${hosts === 1 ? 'host' : 'hosts'})`
    })
    const sizes = NEED_KINDS.flatMap(kind => {
      const host = this.#largest.get(kind)
      return host === undefined ? [] : [sizeText(kind, asked[kind.type], host)]
    })
    return { reasons, details: [...counted, ...sizes] }
  }
}

/** `largest host h1 has 4 core(s), 1.5 core(s) free; 2.01 core(s) of CPU asked`. */
function sizeText(kind: NeedKind, asked: number, host: SeenHost): string {
  const total = host.total[kind.type]
  const verdict = asked > total ? 'can never fit: ' : ''
  const free = shown(kind, Math.max(0, host.free[kind.type]))
  return `${verdict}largest host ${host.row.host} has ${shown(kind, total)}, ${free} free; ${shown(kind, asked)} of ${kind.label} asked`
}
