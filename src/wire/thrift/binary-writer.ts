/**
 * Thrift's binary protocol, written. A value that many refer to, such as the configuration of ten thousand tasks, is
 * written once and copied. Long lists are written in steps, so that nobody else waits for them.
 */
import { assert } from '../../core/base/assert.ts'
import type { FieldPlan, StructPlan, TypePlan } from './plan.ts'
import type { Many } from './types.ts'
import { clamped, isShared, REPLY_BYTES_MAX, ReplyTooLarge, STEP_ELEMENTS, type Writer } from './writer.ts'

export class BinaryWriter implements Writer {
  #bytes = Buffer.allocUnsafe(4096)
  #at = 0
  readonly #shared = new Map<object, Buffer>()
  readonly #bytesMax: number

  constructor(bytesMax = REPLY_BYTES_MAX) {
    this.#bytesMax = bytesMax
  }

  byte(value: number): void {
    this.#room(1)
    this.#bytes[this.#at++] = value
  }

  i32(value: number): void {
    this.#room(4)
    this.#at = this.#bytes.writeInt32BE(value | 0, this.#at)
  }

  string(text: string): void {
    // A character takes three bytes at most, a pair of surrogates four.
    this.#room(4 + text.length * 3)
    const length = this.#bytes.write(text, this.#at + 4, 'utf8')
    this.#bytes.writeInt32BE(length, this.#at)
    this.#at += 4 + length
  }

  struct(plan: StructPlan, value: object): void {
    if (!isShared(plan)) return this.#fields(plan, value)
    const known = this.#shared.get(value)
    if (known !== undefined) {
      this.#room(known.length)
      known.copy(this.#bytes, this.#at)
      this.#at += known.length
      return
    }
    const from = this.#at
    this.#fields(plan, value)
    this.#shared.set(value, Buffer.from(this.#bytes.subarray(from, this.#at)))
  }

  *structInSteps(plan: StructPlan, value: object): Generator<undefined, void> {
    for (const field of plan.fields) {
      const inner = (value as Record<string, unknown>)[field.name] ?? field.zero
      if (inner === undefined) continue
      this.#begin(field)
      yield* this.#inSteps(field.type, inner)
    }
    this.byte(0)
  }

  take(): Buffer {
    return this.#bytes.subarray(0, this.#at)
  }

  *#inSteps(type: TypePlan, value: unknown): Generator<undefined, void> {
    if (type.kind === 'struct' && !isShared(type.struct)) yield* this.structInSteps(type.struct, value as object)
    else if (type.kind === 'list' || type.kind === 'set') {
      const elements = value as Many<unknown>
      this.#beginList(type.element, elements)
      let written = 0
      for (const element of elements) {
        this.#value(type.element, element)
        if (++written % STEP_ELEMENTS === 0) yield
      }
      assert(written === elements.length, 'a list has as many elements as it says', { written })
    } else this.#value(type, value)
  }

  #fields(plan: StructPlan, value: object): void {
    for (const field of plan.fields) {
      const inner = (value as Record<string, unknown>)[field.name] ?? field.zero
      if (inner === undefined) continue
      this.#begin(field)
      this.#value(field.type, inner)
    }
    this.byte(0)
  }

  #begin({ type, id }: FieldPlan): void {
    this.#room(3)
    this.#bytes[this.#at] = type.wire
    this.#bytes.writeInt16BE(id, this.#at + 1)
    this.#at += 3
  }

  #value(type: TypePlan, value: unknown): void {
    switch (type.kind) {
      case 'bool':
        return this.byte(value === true ? 1 : 0)
      case 'double':
        this.#room(8)
        this.#at = this.#bytes.writeDoubleBE(value as number, this.#at)
        return
      case 'i32':
        return this.i32(clamped(value as number))
      case 'i64':
        this.#room(8)
        this.#at = this.#bytes.writeBigInt64BE(BigInt(value as number), this.#at)
        return
      case 'string':
        return this.string(value as string)
      case 'enum':
        return this.i32(type.numbers.get(value as string) ?? 0)
      case 'struct':
        return this.struct(type.struct, value as object)
      case 'list':
      case 'set': {
        const elements = value as Many<unknown>
        this.#beginList(type.element, elements)
        for (const element of elements) this.#value(type.element, element)
        return
      }
      case 'map': {
        const entries = Object.entries(value as object)
        this.byte(type.key.wire)
        this.byte(type.value.wire)
        this.i32(entries.length)
        for (const [key, inner] of entries) {
          this.#value(type.key, key)
          this.#value(type.value, inner)
        }
      }
    }
  }

  #beginList(element: TypePlan, { length }: Many<unknown>): void {
    this.byte(element.wire)
    this.i32(length)
  }

  #room(bytes: number): void {
    if (this.#at + bytes > this.#bytesMax) throw new ReplyTooLarge()
    if (this.#at + bytes <= this.#bytes.length) return
    const larger = Buffer.allocUnsafe(Math.min(this.#bytesMax, Math.max(this.#bytes.length * 2, this.#at + bytes)))
    this.#bytes.copy(larger, 0, 0, this.#at)
    this.#bytes = larger
  }
}
