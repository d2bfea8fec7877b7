import { compareIds } from '../base/ids.ts'
import { parseRef, refsIn, type Tree, textsIn } from './template.ts'

/**
 * Which ports a task asks for and what numbers its names get. An announcing job has a portmap: name → another name
 * (an alias) or a number (a static port). Aliases are followed to their end; a name that ends in a number needs no
 * port from the host, every other one is requested and assigned at placement.
 *
 * Source: jobs and executor, section 4. Better than the original: every templated text is looked at, not the
 * processes' alone, so a port used only by a health command is requested too.
 */
export type Portmap = Readonly<Record<string, string | number>>

export const CYCLE_TEXT = 'Found cycle in portmap!'

/** Where each name of the map ends: a port number, or the name that has to be requested. Null when aliases go in a circle. */
export function resolvePortmap(portmap: Portmap): ReadonlyMap<string, number | string> | null {
  const ends = new Map<string, number | string>()
  for (const name of Object.keys(portmap).sort(compareIds)) {
    const seen = new Set<string>()
    let at: string | number = name
    while (typeof at === 'string' && Object.hasOwn(portmap, at)) {
      if (seen.has(at)) return null
      seen.add(at)
      at = toPort(portmap[at] as string | number)
    }
    ends.set(name, at)
  }
  return ends
}

/** The names in `{{thermos.ports[name]}}` anywhere in a value; sorted, none twice. */
export function portNamesIn(tree: Tree): string[] {
  const names = new Set<string>()
  for (const text of textsIn(tree)) {
    for (const ref of refsIn(text)) {
      const steps = parseRef(ref)?.steps ?? []
      if (steps.length === 3 && steps[0]?.value === 'thermos' && steps[1]?.value === 'ports') names.add(steps[2]!.value)
    }
  }
  return [...names].sort(compareIds)
}

/**
 * The ports to request from the scheduler: names that texts refer to, followed through the map, and every end of the
 * map that is no number; sorted, none twice. Null when the map has a circle.
 */
export function requestedPorts(tree: Tree, portmap: Portmap = {}): string[] | null {
  const ends = resolvePortmap(portmap)
  if (ends === null) return null
  const wanted = portNamesIn(tree).map(name => ends.get(name) ?? name)
  const names = [...wanted, ...ends.values()].filter(end => typeof end === 'string')
  return [...new Set(names)].sort(compareIds)
}

/**
 * The numbers a task's names stand for on its machine: the map overlaid with what was assigned, aliases followed.
 * `dropped` are names that end nowhere; whoever launches warns about them.
 */
export function assignedPortmap(
  portmap: Portmap,
  assigned: Readonly<Record<string, number>>,
): { readonly ports: Readonly<Record<string, number>>; readonly dropped: readonly string[] } | null {
  const ends = resolvePortmap({ ...portmap, ...assigned })
  if (ends === null) return null
  const numbers = [...ends].filter((entry): entry is [string, number] => typeof entry[1] === 'number')
  const dropped = [...ends].filter(([, end]) => typeof end !== 'number').map(([name]) => name)
  return { ports: Object.fromEntries(numbers), dropped }
}

/** Static ports of the map: allowed to dedicated jobs only, since nobody keeps two tasks apart on them. */
export function staticPorts(portmap: Portmap): string[] {
  const ends = resolvePortmap(portmap) ?? new Map<string, number | string>()
  return [...ends].filter(([, end]) => typeof end === 'number').map(([name]) => name)
}

function toPort(value: string | number): string | number {
  return typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value
}
