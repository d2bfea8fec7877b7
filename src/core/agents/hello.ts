/**
 * Whether an agent is let in, by what it says of itself: checked in a fixed order, and the first that fails is the
 * refusal. Nothing else of a HELLO is believed before its proof, so a wrong proof is told nothing more.
 * Source: the agent spec, sections 14 and 16.
 */
import { attributeFault } from './attribute-faults.ts'

/** What of a HELLO is judged. */
export interface Introduction {
  readonly proof: string
  readonly protoMin: number
  readonly protoMax: number
  /** Null: it has never belonged to a cluster. */
  readonly clusterId: string | null
}

/** What it describes itself with; looked at last. */
export interface Description {
  readonly attributes: readonly { readonly name: string; readonly values: readonly string[] }[]
}

/** The same things as this scheduler has them; `proof` is what an agent of this cluster would have said. */
export interface Expectation extends Introduction {
  readonly clusterId: string
}

export interface HelloRefusal {
  readonly code: 'auth' | 'version' | 'deactivated' | 'attributes'
  /** What the agent is told. */
  readonly text: string
  /** What our own log says; for a wrong proof more than a stranger may know. */
  readonly because: string
}

/** Null: it may come in. */
export function refusalOf(hello: Introduction & Description, ours: Expectation): HelloRefusal | null {
  if (!isSameText(ours.proof, hello.proof)) {
    return { code: 'auth', text: 'authentication failed', because: 'its proof is wrong' }
  }
  if (hello.protoMin > ours.protoMax || hello.protoMax < ours.protoMin) {
    const range = `${ours.protoMin}-${ours.protoMax}`
    return refused('version', `agent speaks ${hello.protoMin}-${hello.protoMax}, this scheduler ${range}`)
  }
  if (hello.clusterId !== null && hello.clusterId !== ours.clusterId) {
    const remedy = 'to move it, stop it and give it an empty work folder'
    return refused('deactivated', `agent belongs to cluster ${hello.clusterId}, not ${ours.clusterId}; ${remedy}`)
  }
  const fault = attributeFault(hello.attributes)
  return fault === null ? null : refused('attributes', fault)
}

const refused = (code: HelloRefusal['code'], text: string): HelloRefusal => ({ code, text, because: text })

/** Compares without telling by its time how much was right. */
function isSameText(expected: string, given: string): boolean {
  let difference = expected.length ^ given.length
  for (let n = 0; n < expected.length; n++) difference |= expected.charCodeAt(n) ^ (given.charCodeAt(n) || 0)
  return difference === 0
}
