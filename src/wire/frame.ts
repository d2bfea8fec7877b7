/**
 * Frames: what one WebSocket message carries. A frame is a msgpack array of envelopes `{v, t, id, re?, b}`: version of
 * the envelope, type, number of the message on this connection, the number it answers, body. Batching is what makes
 * many small messages cheap; the record structures of msgpackr are shared along a connection, so keys travel once.
 *
 * Bytes become values once, here, or they do not enter: every body is checked against its schema. An unknown type is
 * skipped (and reported, so that its sender can be told); a bad frame costs the connection, never the process. A body
 * that fails its schema makes the frame bad, unless the receiver can put something in its place: what its sender would
 * repeat for ever must not take its neighbours along each time.
 */
import { Packr, Unpackr } from 'msgpackr'
import { z } from 'zod'

export const ENVELOPE_VERSION = 1
export const FRAME_MESSAGES_MAX = 10_000

export type Decoded<In> =
  | {
      readonly ok: true
      readonly messages: readonly In[]
      readonly unsupported: readonly { type: string; id: number }[]
    }
  | { readonly ok: false; readonly reason: string }

/**
 * Both directions of one connection. Keeps the shared record structures: what is packed must be sent, in the order of
 * packing, and every frame received must be decoded.
 */
export interface FrameCodec<In, Out> {
  /** One message as a part of a frame: the sender knows its size before it decides which frame it travels in. */
  pack(message: Out): Uint8Array
  /** The answer to a message of a type this side does not know. */
  packUnsupported(answer: { readonly id: number }): Uint8Array
  decode(bytes: Uint8Array): Decoded<In>
}

/** Bytes that a frame has beside its parts. */
export const FRAME_HEADER_BYTES = 3

/** A frame of at most FRAME_MESSAGES_MAX parts: the header of a msgpack array, then its elements. */
export function frameOf(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, FRAME_HEADER_BYTES))
  bytes.set([0xdc, parts.length >> 8, parts.length & 0xff])
  let at = FRAME_HEADER_BYTES
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

const UNSUPPORTED = 'UNSUPPORTED'

const envelope = z.object({
  v: z.literal(ENVELOPE_VERSION),
  t: z.string().min(1).max(64),
  id: z.number().int().nonnegative().max(0xffff_ffff),
  re: z.number().int().nonnegative().max(0xffff_ffff).optional(),
  b: z.record(z.string(), z.unknown()),
})
const frame = z.array(envelope).max(FRAME_MESSAGES_MAX)

type Message = { readonly type: string }

/**
 * `incoming` is a discriminated union on `type`; its members are the types this side knows. `inPlaceOf`: what to hand on
 * for a known type whose body failed its schema; null refuses the frame.
 */
export function frameCodec<In extends Message, Out extends Message>(
  incoming: z.ZodDiscriminatedUnion<readonly z.core.$ZodTypeDiscriminable[]>,
  bytesMax: number,
  inPlaceOf: (type: string, body: Readonly<Record<string, unknown>>, because: string) => In | null = () => null,
): FrameCodec<In, Out> {
  const packr = new Packr({ useRecords: true, sequential: true })
  const unpackr = new Unpackr({ useRecords: true, sequential: true, int64AsType: 'number' })
  const known = knownTypes(incoming)
  let nextId = 1

  const envelopeOf = ({ type, ...body }: Message, re?: number) => {
    const id = nextId
    nextId = (nextId + 1) >>> 0
    return re === undefined
      ? { v: ENVELOPE_VERSION, t: type, id, b: body }
      : { v: ENVELOPE_VERSION, t: type, id, re, b: body }
  }
  const pack = (message: Message, re?: number): Uint8Array => {
    const packed = packr.pack(envelopeOf(message, re))
    return Buffer.from(packed)
  }

  return {
    pack: message => pack(message),
    packUnsupported: answer => pack({ type: UNSUPPORTED }, answer.id),
    decode(bytes) {
      if (bytes.length > bytesMax) {
        return { ok: false, reason: `a frame of ${bytes.length} bytes is over the limit of ${bytesMax}` }
      }
      let value: unknown
      try {
        value = unpackr.unpack(bytes)
      } catch (cause) {
        return { ok: false, reason: `not msgpack: ${cause instanceof Error ? cause.message : String(cause)}` }
      }
      const checked = envelopesOf(value)
      if (!checked.ok) return checked
      const messages: In[] = []
      const unsupported: { type: string; id: number }[] = []
      for (const one of checked.envelopes) {
        if (one.t === UNSUPPORTED) continue
        if (!known.has(one.t)) {
          unsupported.push({ type: one.t, id: one.id })
          continue
        }
        // Nobody else has the body, and its schema makes a copy: the type may be put where it lies.
        one.b.type = one.t
        const body = incoming.safeParse(one.b)
        if (body.success) {
          messages.push(body.data as In)
          continue
        }
        const because = firstFault(body.error)
        const stand = inPlaceOf(one.t, one.b, because)
        if (stand === null) return { ok: false, reason: `${one.t}: ${because}` }
        messages.push(stand)
      }
      return { ok: true, messages, unsupported }
    },
  }
}

type Envelope = z.infer<typeof envelope>

/** By hand, as this is done for every message; what is wrong is told by the schema. */
function envelopesOf(
  value: unknown,
): { readonly ok: true; readonly envelopes: readonly Envelope[] } | { readonly ok: false; readonly reason: string } {
  if (Array.isArray(value) && value.length <= FRAME_MESSAGES_MAX && value.every(isEnvelope))
    return { ok: true, envelopes: value }
  const checked = frame.safeParse(value)
  if (checked.success) return { ok: true, envelopes: checked.data }
  return { ok: false, reason: `not a frame: ${firstFault(checked.error)}` }
}

function isEnvelope(value: unknown): value is Envelope {
  if (typeof value !== 'object' || value === null) return false
  const { v, t, id, re, b } = value as Partial<Record<keyof Envelope, unknown>>
  return (
    v === ENVELOPE_VERSION &&
    typeof t === 'string' &&
    t.length >= 1 &&
    t.length <= 64 &&
    isId(id) &&
    (re === undefined || isId(re)) &&
    typeof b === 'object' &&
    b !== null &&
    Object.getPrototypeOf(b) === Object.prototype
  )
}

const isId = (value: unknown): boolean =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff

function knownTypes(union: z.ZodDiscriminatedUnion<readonly z.core.$ZodTypeDiscriminable[]>): ReadonlySet<string> {
  const types = new Set<string>()
  for (const option of union.options) {
    for (const value of option._zod.propValues?.type ?? []) types.add(String(value))
  }
  return types
}

function firstFault(error: z.ZodError): string {
  const issue = error.issues[0]
  if (issue === undefined) return 'unknown fault'
  const path = issue.path.map(String).join('.')
  return path === '' ? issue.message : `${path}: ${issue.message}`
}
