/**
 * Remembers what follows from a host alone. The verdict for a set of constraints is worked out once per host and kept
 * with the version of the host's facts, so it can never go stale: a host that leaves maintenance or changes attributes
 * is judged anew, and no other (D6). Many groups share one shape; the least used shapes are dropped.
 */
import type { Constraint } from '../job/task-config.ts'
import { staticVeto, type Veto } from '../scheduling/veto.ts'
import type { Host } from './offer-book.ts'

const SHAPES_MAX = 4096

/** Struct of arrays by host slot. `codes` are 0 for no veto, else 1 + index into `vetoes`. */
export interface Shape {
  readonly constraints: readonly Constraint[]
  versions: Float64Array
  codes: Uint16Array
  readonly vetoes: Veto[]
}

export class StaticVerdicts {
  readonly #shapes = new Map<string, Shape>()
  /** How often a host was really judged; for tests and metrics. */
  judged = 0

  shape(constraints: readonly Constraint[], slots: number): Shape {
    const key = JSON.stringify(constraints)
    let shape = this.#shapes.get(key)
    if (shape === undefined) {
      shape = { constraints, versions: new Float64Array(slots), codes: new Uint16Array(slots), vetoes: [] }
      if (this.#shapes.size >= SHAPES_MAX) this.#shapes.delete(this.#shapes.keys().next().value!)
    } else {
      this.#shapes.delete(key)
    }
    this.#shapes.set(key, shape)
    if (shape.versions.length < slots) {
      const versions = new Float64Array(slots * 2)
      const codes = new Uint16Array(slots * 2)
      versions.set(shape.versions)
      codes.set(shape.codes)
      shape.versions = versions
      shape.codes = codes
    }
    return shape
  }

  /** The host's slot must be below the `slots` that the shape was asked for with. */
  verdict(shape: Shape, host: Host): Veto | null {
    if (shape.versions[host.slot] !== host.factsVersion) {
      this.judged++
      const veto = staticVeto(host, shape.constraints)
      let code = 0
      if (veto !== null) {
        code = shape.vetoes.findIndex(known => known.text === veto.text) + 1
        if (code === 0) code = shape.vetoes.push(veto)
      }
      shape.versions[host.slot] = host.factsVersion
      shape.codes[host.slot] = code
    }
    const code = shape.codes[host.slot]!
    return code === 0 ? null : shape.vetoes[code - 1]!
  }
}
