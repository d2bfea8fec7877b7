/**
 * Messages of Aurora's Thrift interface: a call is read, a reply or an exception written, in either protocol. A message
 * is the whole body of a request: nothing frames it, and what stands behind it is not looked at.
 *
 * Source: the outside interfaces, section 3.
 */
import { BinaryReader, ThriftFault } from './binary-reader.ts'
import { BinaryWriter } from './binary-writer.ts'
import { readJsonStruct } from './json-reader.ts'
import { JsonWriter } from './json-writer.ts'
import type { MethodName } from './methods.ts'
import { argumentsPlan, isMethod, structPlan, WIRE } from './plan.ts'
import type { Arguments, Response } from './types.ts'

export type Protocol = 'binary' | 'json'

export type Call = {
  [M in MethodName]: {
    readonly type: 'call'
    readonly method: M
    readonly seqid: number
    readonly args: Arguments<M>
  }
}[MethodName]

/** What the caller is told as an exception, when at least the head of its message could be read. */
export interface Refusal {
  readonly type: 'refusal'
  readonly name: string
  readonly seqid: number
  readonly kind: keyof typeof EXCEPTIONS
  readonly text: string
}
/** Not even that: there is nobody to answer. */
export interface Unreadable {
  readonly type: 'unreadable'
  readonly text: string
}

export const EXCEPTIONS = { UNKNOWN_METHOD: 1, INVALID_MESSAGE_TYPE: 2, PROTOCOL_ERROR: 7 } as const

const MESSAGE = { CALL: 1, REPLY: 2, EXCEPTION: 3 } as const
/** First two bytes of a binary message in its newer form. */
const VERSION = 0x8001

export function readCall(bytes: Buffer, protocol: Protocol): Call | Refusal | Unreadable {
  let head: Head
  try {
    head = protocol === 'binary' ? binaryHead(bytes) : jsonHead(bytes)
  } catch (cause) {
    if (cause instanceof ThriftFault) return { type: 'unreadable', text: cause.message }
    throw cause
  }
  const { name, seqid, type, args } = head
  const refused = (kind: Refusal['kind'], text: string): Refusal => ({ type: 'refusal', name, seqid, kind, text })
  if (type !== MESSAGE.CALL) return refused('INVALID_MESSAGE_TYPE', `Message type ${type} is not a call`)
  if (!isMethod(name)) return refused('UNKNOWN_METHOD', `Invalid method name: '${name}'`)
  try {
    return { type: 'call', method: name, seqid, args: args(name) } as Call
  } catch (cause) {
    if (cause instanceof ThriftFault)
      return refused('PROTOCOL_ERROR', `The arguments of ${name} cannot be read: ${cause.message}`)
    throw cause
  }
}

interface Head {
  readonly name: string
  readonly seqid: number
  readonly type: number
  readonly args: (method: MethodName) => Record<string, unknown>
}

function binaryHead(bytes: Buffer): Head {
  const reader = new BinaryReader(bytes)
  const first = reader.i32()
  const isNew = first >>> 16 === VERSION
  if (first < 0 && !isNew) throw new ThriftFault('byte 0: met an unknown version of the protocol')
  const name = isNew ? reader.string() : reader.string(first)
  const type = isNew ? first & 0xff : reader.byte()
  const seqid = reader.i32()
  return { name, seqid, type, args: method => reader.struct(argumentsPlan(method)) }
}

function jsonHead(bytes: Buffer): Head {
  let json: unknown
  try {
    json = JSON.parse(bytes.toString('utf8'))
  } catch (cause) {
    throw new ThriftFault(`no JSON: ${cause instanceof Error ? cause.message : String(cause)}`)
  }
  const [version, name, type, seqid, args] = Array.isArray(json) ? json : []
  if (version !== 1 || typeof name !== 'string' || !isI32(type) || !isI32(seqid))
    throw new ThriftFault('no message: expected [1, name, type, seqid, {…}]')
  return { name, seqid, type, args: method => readJsonStruct(argumentsPlan(method), args, 'arguments') }
}

const isI32 = (value: unknown): value is number => Number.isInteger(value) && Math.abs(value as number) <= 2 ** 31

/** A pause after every so many elements of a long list; the bytes at the end. Throws ReplyTooLarge. */
export function* writeReply(
  { method, seqid }: { readonly method: string; readonly seqid: number },
  response: Response,
  protocol: Protocol,
  bytesMax?: number,
): Generator<undefined, Buffer> {
  const plan = structPlan('Response')
  if (protocol === 'binary') {
    const writer = binaryMessage(method, MESSAGE.REPLY, seqid, bytesMax)
    // Field 0 of the reply is what the call returns.
    writer.byte(WIRE.struct)
    writer.byte(0)
    writer.byte(0)
    yield* writer.structInSteps(plan, response)
    writer.byte(0)
    return writer.take()
  }
  const writer = new JsonWriter(bytesMax)
  writer.raw(`[1,${JSON.stringify(method)},${MESSAGE.REPLY},${seqid},{"0":{"rec":`)
  yield* writer.structInSteps(plan, response)
  writer.raw('}}]')
  return writer.take()
}

export function writeException({ name, seqid, kind, text }: Refusal, protocol: Protocol): Buffer {
  if (protocol === 'json') {
    const body = `{"1":{"str":${JSON.stringify(text)}},"2":{"i32":${EXCEPTIONS[kind]}}}`
    return Buffer.from(`[1,${JSON.stringify(name)},${MESSAGE.EXCEPTION},${seqid},${body}]`)
  }
  const writer = binaryMessage(name, MESSAGE.EXCEPTION, seqid)
  for (const byte of [WIRE.string, 0, 1]) writer.byte(byte)
  writer.string(text)
  for (const byte of [WIRE.i32, 0, 2]) writer.byte(byte)
  writer.i32(EXCEPTIONS[kind])
  writer.byte(0)
  return writer.take()
}

function binaryMessage(name: string, type: number, seqid: number, bytesMax?: number): BinaryWriter {
  const writer = new BinaryWriter(bytesMax)
  writer.i32((VERSION << 16) | type)
  writer.string(name)
  writer.i32(seqid)
  return writer
}
