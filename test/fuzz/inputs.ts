/** Messages for the Thrift interface: calls with arguments of every shape, and what they become when bytes go wrong. */
import type { Prng } from '../../src/core/base/prng.ts'
import { BinaryWriter } from '../../src/wire/thrift/binary-writer.ts'
import { JsonWriter } from '../../src/wire/thrift/json-writer.ts'
import type { Protocol } from '../../src/wire/thrift/message.ts'
import { METHODS, type MethodName } from '../../src/wire/thrift/methods.ts'
import { argumentsPlan, type StructPlan, type TypePlan } from '../../src/wire/thrift/plan.ts'

export interface Input {
  readonly protocol: Protocol
  readonly bytes: Buffer
  /** How it came about, to be printed with a failure. */
  readonly made: string
}

const NAMES = Object.keys(METHODS) as MethodName[]
/** Texts that the handlers look at, odd ones, and ones that mean something to JSON or to objects. */
const TEXTS = [
  'www-data',
  'devel',
  'hello',
  '',
  ' ',
  'a'.repeat(300),
  'ü€😀',
  '__proto__',
  'constructor',
  '\0',
  '"\\',
  'no/such',
]
const NUMBERS = [0, 1, 2, 3, 7, -1, 100, 4000, 2 ** 31 - 1, -(2 ** 31)]
const LONG_NUMBERS = [...NUMBERS, 2 ** 53 - 1, -(2 ** 53 - 1)]
const DOUBLES = [0, 0.1, 1, -1, 1e300, -0, Number.NaN, Number.POSITIVE_INFINITY]

/** A call with arguments by its plan; mostly small, so that many of them mean something. */
export function wellFormed(random: Prng): Input {
  const method = NAMES[random.int(0, NAMES.length)]!
  const protocol: Protocol = random.next() < 0.5 ? 'binary' : 'json'
  const args = structOf(argumentsPlan(method), random)
  const seqid = random.int(0, 100)
  const plan = argumentsPlan(method)
  let bytes: Buffer
  if (protocol === 'binary') {
    const writer = new BinaryWriter()
    writer.i32(0x80010001 | 0)
    writer.string(method)
    writer.i32(seqid)
    writer.struct(plan, args)
    bytes = writer.take()
  } else {
    const writer = new JsonWriter()
    writer.raw(`[1,${JSON.stringify(method)},1,${seqid},`)
    writer.struct(plan, args)
    writer.raw(']')
    bytes = writer.take()
  }
  return { protocol, bytes: Buffer.from(bytes), made: method }
}

/** A value of a struct or a union; some fields of a struct are left out. */
export function structOf(plan: StructPlan, random: Prng, depth = 0): Record<string, unknown> {
  const value: Record<string, unknown> = {}
  const { fields } = plan
  const chosen = plan.isUnion ? [fields[random.int(0, fields.length)]!] : fields
  for (const { name, type } of chosen) {
    if (!plan.isUnion && random.next() < 0.2) continue
    value[name] = randomValue(type, random, depth + 1)
  }
  return value
}

function randomValue(type: TypePlan, random: Prng, depth: number): unknown {
  const one = <T>(from: readonly T[]): T => from[random.int(0, from.length)]!
  switch (type.kind) {
    case 'bool':
      return random.next() < 0.5
    case 'i32':
      return one(NUMBERS)
    case 'i64':
      return one(LONG_NUMBERS)
    case 'double':
      return one(DOUBLES)
    case 'string':
      return random.next() < 0.7 ? one(TEXTS.slice(0, 3)) : one(TEXTS)
    case 'enum':
      return one([...type.numbers.keys()])
    case 'struct':
      return structOf(type.struct, random, depth)
    case 'map':
      return Object.fromEntries(
        Array.from({ length: random.int(0, 3) }, (_, n) => [`k${n}`, randomValue(type.value, random, depth + 1)]),
      )
    default:
      return Array.from({ length: random.int(0, depth > 4 ? 2 : 4) }, () =>
        randomValue(type.element, random, depth + 1),
      )
  }
}

/** One to four changes; an input like `other` may be spliced in. */
export function mutated(input: Input, other: Input, random: Prng): Input {
  let { bytes } = input
  const made = [input.made]
  for (let left = random.int(1, 5); left > 0; left--) {
    const name = MUTATION_NAMES[random.int(0, MUTATION_NAMES.length)]!
    bytes = MUTATIONS[name](bytes, other.bytes, random)
    made.push(name)
  }
  return { protocol: input.protocol, bytes, made: made.join(', ') }
}

type Mutation = (bytes: Buffer, other: Buffer, random: Prng) => Buffer

const at = (bytes: Buffer, random: Prng): number => random.int(0, bytes.length + 1)

const MUTATIONS = {
  flip: (bytes, _other, random) => changed(bytes, random, byte => byte ^ (1 << random.int(0, 8))),
  set: (bytes, _other, random) => changed(bytes, random, () => [0, 1, 0x7f, 0x80, 0xff, 0x22, 0x7d][random.int(0, 7)]!),
  cut: (bytes, _other, random) => bytes.subarray(0, at(bytes, random)),
  drop: (bytes, _other, random) => {
    const from = at(bytes, random)
    return Buffer.concat([bytes.subarray(0, from), bytes.subarray(from + random.int(1, 9))])
  },
  repeat: (bytes, _other, random) => {
    const from = at(bytes, random)
    const part = bytes.subarray(from, from + random.int(1, 65))
    return Buffer.concat([bytes.subarray(0, from), part, part, bytes.subarray(from)])
  },
  insert: (bytes, _other, random) => {
    const from = at(bytes, random)
    const noise = Buffer.from(Array.from({ length: random.int(1, 9) }, () => random.int(0, 256)))
    return Buffer.concat([bytes.subarray(0, from), noise, bytes.subarray(from)])
  },
  splice: (bytes, other, random) =>
    Buffer.concat([bytes.subarray(0, at(bytes, random)), other.subarray(at(other, random))]),
  /** Where binary has a length or a number, a large one. */
  enlarge: (bytes, _other, random) => {
    if (bytes.length < 4) return bytes
    const copy = Buffer.from(bytes)
    copy.writeInt32BE([2 ** 31 - 1, -1, 2 ** 24, 65_536][random.int(0, 4)]!, random.int(0, copy.length - 3))
    return copy
  },
  /** Where JSON has a number, another. */
  renumber: (bytes, _other, random) => {
    const texts = ['1e999', '-0', '9007199254740993', '1.5', 'null', '"7"', '[]', '{}', '2147483648']
    const put = texts[random.int(0, texts.length)]!
    let left = random.int(0, 12)
    return Buffer.from(
      bytes.toString('latin1').replace(/\d+/g, found => (left-- === 0 ? put : found)),
      'latin1',
    )
  },
  /** Far deeper than any type of the interface. */
  nest: (bytes, _other, random) => {
    const from = at(bytes, random)
    const [open, close] = random.next() < 0.5 ? ['[', ']'] : ['{"1":{"rec":', '}}']
    const depth = random.int(10, 2000)
    const deep = Buffer.from(open.repeat(depth) + close.repeat(depth))
    return Buffer.concat([bytes.subarray(0, from), deep, bytes.subarray(from)])
  },
} satisfies Record<string, Mutation>

const MUTATION_NAMES = Object.keys(MUTATIONS) as (keyof typeof MUTATIONS)[]

function changed(bytes: Buffer, random: Prng, to: (byte: number) => number): Buffer {
  if (bytes.length === 0) return bytes
  const copy = Buffer.from(bytes)
  const index = random.int(0, copy.length)
  copy[index] = to(copy[index]!)
  return copy
}
