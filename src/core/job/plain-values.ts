import type { FieldFault, Path } from './field-schema.ts'
import type { Tree } from './template.ts'

/**
 * What a program has made, as the plain values of a job file: what JSON can say and no more. Fields without a value are
 * left out. Anything else is a fault with its path, never dropped without a word.
 */
export function plainValues(value: unknown): { readonly tree: Tree; readonly faults: readonly FieldFault[] } {
  const faults: FieldFault[] = []
  const refuse = (path: Path, text: string): null => {
    faults.push({ path, text })
    return null
  }
  const walk = (found: unknown, path: Path, around: readonly object[]): Tree => {
    if (found === undefined || found === null || typeof found === 'string' || typeof found === 'boolean') return found
    if (typeof found === 'number') return Number.isFinite(found) ? found : refuse(path, `${found} is no number`)
    if (typeof found === 'function') return refuse(path, 'A function is no value of a job: call it')
    if (typeof found !== 'object') return refuse(path, `A ${typeof found} is no value of a job: write it as a text`)
    if (around.includes(found)) return refuse(path, 'It contains itself')
    if (around.length >= DEPTH_MAX) return refuse(path, `It lies more than ${DEPTH_MAX} values deep`)
    const inside = [...around, found]
    if (Array.isArray(found)) return Array.from(found, (each, index) => walk(each ?? null, [...path, index], inside))
    if (found instanceof Promise) return refuse(path, 'A promise is no value of a job: wait for what it gives')
    const kind = kindOf(found)
    if (kind !== null)
      return refuse(path, `A ${kind} is no value of a job: write it as a text, a list or a plain object`)
    const entries = Object.entries(found).map(([name, each]) => [name, walk(each, [...path, name], inside)] as const)
    return Object.fromEntries(entries.filter(([, each]) => each !== undefined))
  }
  const tree = walk(value, [], [])
  return { tree, faults }
}

const DEPTH_MAX = 100

/** The class of an object that is not a plain one. */
function kindOf(found: object): string | null {
  const prototype: object | null = Object.getPrototypeOf(found)
  if (prototype === null || prototype === Object.prototype) return null
  const { name } = prototype.constructor
  return name === '' ? 'object of a class' : name
}
