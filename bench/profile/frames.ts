/** A CPU profile of V8 as a tree of functions with their times. */

/** What Node and Chrome write as `.cpuprofile`; times in microseconds, lines and columns from 0. */
export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: CallFrame
    readonly children?: readonly number[]
  }[]
  readonly startTime: number
  readonly endTime: number
  /** Ids of the nodes that were found running. */
  readonly samples?: readonly number[]
  /** From the sample before, or from the start, to each sample. */
  readonly timeDeltas?: readonly number[]
}

export interface CallFrame {
  readonly functionName: string
  readonly url: string
  readonly lineNumber: number
  readonly columnNumber: number
}

export interface Frame {
  readonly name: string
  /** `src/core/log/replica.ts:120`; empty for what is not JavaScript. */
  readonly place: string
  readonly selfMicros: number
  /** With all that it called. */
  readonly micros: number
  readonly children: readonly Frame[]
}

export interface FrameTree {
  /** Without the time that the thread was idle. */
  readonly root: Frame
  readonly idleMicros: number
}

/** Says where a call frame stands in the sources. */
export type PlaceOf = (frame: CallFrame) => string

/** Frames of one function under one caller are one, whichever of its lines was called. */
export function framesOf(profile: CpuProfile, placeOf: PlaceOf): FrameTree {
  const self = selfMicrosOf(profile)
  const nodes = new Map(profile.nodes.map(node => [node.id, node]))
  const [top] = profile.nodes
  if (top === undefined) return { root: frameOf('(root)', '', [], self, () => []), idleMicros: 0 }
  let idleMicros = 0
  const childrenOf = (ids: readonly number[]): readonly Frame[] => {
    const groups = new Map<string, { name: string; place: string; ids: number[] }>()
    for (const id of ids.flatMap(parent => nodes.get(parent)?.children ?? [])) {
      const node = nodes.get(id)
      if (node === undefined) continue
      const { functionName, url } = node.callFrame
      const name = functionName || (url === '' ? '(native)' : '(anonymous)')
      if (name === '(idle)') {
        idleMicros += self.get(id) ?? 0
        continue
      }
      const place = placeOf(node.callFrame)
      const group = groups.get(`${name} ${place}`)
      if (group === undefined) groups.set(`${name} ${place}`, { name, place, ids: [id] })
      else group.ids.push(id)
    }
    return [...groups.values()].map(group => frameOf(group.name, group.place, group.ids, self, childrenOf))
  }
  return { root: frameOf('(root)', '', [top.id], self, childrenOf), idleMicros }
}

function frameOf(
  name: string,
  place: string,
  ids: readonly number[],
  self: ReadonlyMap<number, number>,
  childrenOf: (ids: readonly number[]) => readonly Frame[],
): Frame {
  const children = childrenOf(ids)
  const selfMicros = ids.reduce((sum, id) => sum + (self.get(id) ?? 0), 0)
  return { name, place, selfMicros, micros: children.reduce((sum, { micros }) => sum + micros, selfMicros), children }
}

/** What was found running ran until the next sample. */
function selfMicrosOf({ samples = [], timeDeltas = [], startTime, endTime }: CpuProfile): ReadonlyMap<number, number> {
  const self = new Map<number, number>()
  let now = startTime
  for (const [at, id] of samples.entries()) {
    now += timeDeltas[at] ?? 0
    const micros = at + 1 < samples.length ? (timeDeltas[at + 1] ?? 0) : endTime - now
    self.set(id, (self.get(id) ?? 0) + Math.max(0, micros))
  }
  return self
}

export interface Hot {
  readonly name: string
  readonly place: string
  readonly selfMicros: number
}

/** The functions that used most time themselves, wherever they were called from; most first. */
export function hottest(root: Frame, count: number): readonly Hot[] {
  const found = new Map<string, { name: string; place: string; selfMicros: number }>()
  const visit = ({ name, place, selfMicros, children }: Frame): void => {
    const hot = found.get(`${name} ${place}`)
    if (hot === undefined) found.set(`${name} ${place}`, { name, place, selfMicros })
    else hot.selfMicros += selfMicros
    for (const child of children) visit(child)
  }
  visit(root)
  return [...found.values()]
    .filter(({ selfMicros }) => selfMicros > 0)
    .sort((a, b) => b.selfMicros - a.selfMicros)
    .slice(0, count)
}
