/** Our codec against the reference library: what either writes the other reads, for values of every type. */
import thrift from 'thrift'
import { describe, expect, test } from 'vitest'
import { prng } from '../../../src/core/base/prng.ts'
import { type Protocol, readCall, writeReply } from '../../../src/wire/thrift/message.ts'
import { METHODS, type MethodName } from '../../../src/wire/thrift/methods.ts'
import { argumentsPlan, type StructPlan, structPlan, type TypePlan, WIRE } from '../../../src/wire/thrift/plan.ts'
import type { Response } from '../../../src/wire/thrift/types.ts'
import { structOf } from '../../fuzz/inputs.ts'

// biome-ignore lint/suspicious/noExplicitAny: the library's protocols, whose types say less than we use
type Any = any
const { TBinaryProtocol, TBufferedTransport, TJSONProtocol, Thrift } = thrift as Any
const PROTOCOLS = { binary: TBinaryProtocol, json: TJSONProtocol } as const
const RUNS = 300

describe.each(['binary', 'json'] as const)('in %s', protocol => {
  test('calls that the library writes are read as what they say', () => {
    const random = prng(7)
    const names = Object.keys(METHODS) as MethodName[]
    for (let n = 0; n < RUNS; n++) {
      const method = names[n % names.length]!
      const plan = argumentsPlan(method)
      const args = plainStruct(plan, structOf(plan, random))
      expect(readCall(theirCall(protocol, method, n, plan, args), protocol)).toEqual({
        type: 'call',
        method,
        seqid: n,
        args,
      })
    }
  })

  test('replies that we write are read by the library as what they say', () => {
    const random = prng(8)
    const plan = structPlan('Response')
    for (let n = 0; n < RUNS; n++) {
      const response = plainStruct(plan, structOf(plan, random))
      const bytes = ours(protocol, n, response as Response)
      const read = theirReply(protocol, bytes, plan)
      expect(read).toEqual({
        name: 'getJobs',
        kind: Thrift.MessageType.REPLY,
        seqid: n,
        value: withZeros(plan, response),
      })
    }
  })
})

function ours(protocol: Protocol, seqid: number, response: Response): Buffer {
  const steps = writeReply({ method: 'getJobs', seqid }, response, protocol)
  for (;;) {
    const step = steps.next()
    if (step.done === true) return Buffer.from(step.value)
  }
}

// ---- values that all of JSON, JavaScript and the library can hold --------------------------------------------------

function plainStruct(plan: StructPlan, value: Record<string, unknown>): Record<string, unknown> {
  const made: Record<string, unknown> = {}
  for (const { name, type } of plan.fields) if (value[name] !== undefined) made[name] = plain(type, value[name])
  return made
}

function plain(type: TypePlan, value: unknown): unknown {
  switch (type.kind) {
    case 'double':
      return Number.isFinite(value) && value !== 0 ? value : 1.5
    case 'string':
      // The library writes control characters into JSON as they are, which is none then.
      return (value as string).replaceAll('\0', '?')
    case 'struct':
      return plainStruct(type.struct, value as Record<string, unknown>)
    case 'list':
    case 'set':
      return (value as unknown[]).map(element => plain(type.element, element))
    case 'map':
      return Object.fromEntries(Object.entries(value as object).map(([key, inner]) => [key, plain(type.value, inner)]))
    default:
      return value
  }
}

/** Numbers and booleans that are not optional are written as zero where they are absent. */
function withZeros(plan: StructPlan, value: Record<string, unknown>): Record<string, unknown> {
  const made: Record<string, unknown> = {}
  for (const { name, type, zero } of plan.fields) {
    const inner = value[name] ?? zero
    if (inner !== undefined) made[name] = zeros(type, inner)
  }
  return made
}

function zeros(type: TypePlan, value: unknown): unknown {
  if (type.kind === 'struct') return withZeros(type.struct, value as Record<string, unknown>)
  if (type.kind === 'list' || type.kind === 'set') return (value as unknown[]).map(each => zeros(type.element, each))
  if (type.kind === 'map')
    return Object.fromEntries(Object.entries(value as object).map(([key, inner]) => [key, zeros(type.value, inner)]))
  return value
}

// ---- the library, driven by our plans ------------------------------------------------------------------------------

function theirCall(
  protocol: Protocol,
  method: string,
  seqid: number,
  plan: StructPlan,
  args: Record<string, unknown>,
): Buffer {
  let bytes = Buffer.alloc(0)
  const transport = new TBufferedTransport(undefined, (written: Buffer) => {
    bytes = Buffer.from(written)
  })
  const to = new PROTOCOLS[protocol](transport)
  to.writeMessageBegin(method, Thrift.MessageType.CALL, seqid)
  theyWriteStruct(to, plan, args)
  to.writeMessageEnd()
  transport.flush()
  return bytes
}

function theyWriteStruct(to: Any, plan: StructPlan, value: Record<string, unknown>): void {
  to.writeStructBegin(plan.name)
  for (const { id, name, type } of plan.fields) {
    if (value[name] === undefined) continue
    to.writeFieldBegin(name, type.wire, id)
    theyWrite(to, type, value[name])
    to.writeFieldEnd()
  }
  to.writeFieldStop()
  to.writeStructEnd()
}

function theyWrite(to: Any, type: TypePlan, value: Any): void {
  switch (type.kind) {
    case 'bool':
      return to.writeBool(value)
    case 'double':
      return to.writeDouble(value)
    case 'i32':
      return to.writeI32(value)
    case 'i64':
      return to.writeI64(value)
    case 'string':
      return to.writeString(value)
    case 'enum':
      return to.writeI32(type.numbers.get(value))
    case 'struct':
      return theyWriteStruct(to, type.struct, value)
    case 'map': {
      const entries = Object.entries(value)
      to.writeMapBegin(type.key.wire, type.value.wire, entries.length)
      for (const [key, inner] of entries) {
        theyWrite(to, type.key, key)
        theyWrite(to, type.value, inner)
      }
      return to.writeMapEnd()
    }
    default: {
      const [begin, end] = type.kind === 'set' ? ['writeSetBegin', 'writeSetEnd'] : ['writeListBegin', 'writeListEnd']
      to[begin](type.element.wire, value.length)
      for (const element of value) theyWrite(to, type.element, element)
      to[end]()
    }
  }
}

function theirReply(protocol: Protocol, bytes: Buffer, plan: StructPlan): unknown {
  let from: Any = null
  TBufferedTransport.receiver((transport: Any) => {
    from = new PROTOCOLS[protocol](transport)
  })(bytes)
  const { fname, mtype, rseqid } = from.readMessageBegin()
  from.readStructBegin()
  const { fid, ftype } = from.readFieldBegin()
  expect([fid, ftype]).toEqual([0, WIRE.struct])
  const value = theyReadStruct(from, plan)
  from.readFieldEnd()
  expect(from.readFieldBegin().ftype).toBe(0)
  from.readStructEnd()
  from.readMessageEnd()
  return { name: fname, kind: mtype, seqid: rseqid, value }
}

function theyReadStruct(from: Any, plan: StructPlan): Record<string, unknown> {
  const value: Record<string, unknown> = {}
  from.readStructBegin()
  for (;;) {
    const { ftype, fid } = from.readFieldBegin()
    if (ftype === 0) break
    const field = plan.byId.get(fid)!
    expect(ftype, `${plan.name}.${field.name}`).toBe(field.type.wire)
    value[field.name] = theyRead(from, field.type)
    from.readFieldEnd()
  }
  from.readStructEnd()
  return value
}

function theyRead(from: Any, type: TypePlan): unknown {
  switch (type.kind) {
    case 'bool':
      return Boolean(from.readBool())
    case 'double':
      return from.readDouble()
    case 'i32':
      return from.readI32()
    case 'i64':
      return Number(from.readI64())
    case 'string':
      return from.readString()
    case 'enum':
      return type.names.get(from.readI32())
    case 'struct':
      return theyReadStruct(from, type.struct)
    case 'map': {
      const { size } = from.readMapBegin()
      const entries: [string, unknown][] = []
      for (let n = 0; n < size; n++) {
        // The library's JSON keeps a stack of what it reads of a map.
        const key = theyRead(from, type.key) as string
        entries.push([key, theyRead(from, type.value)])
      }
      from.readMapEnd()
      return Object.fromEntries(entries)
    }
    default: {
      const [begin, end] = type.kind === 'set' ? ['readSetBegin', 'readSetEnd'] : ['readListBegin', 'readListEnd']
      const { size } = from[begin]()
      const elements = Array.from({ length: size }, () => theyRead(from, type.element))
      from[end]()
      return elements
    }
  }
}
