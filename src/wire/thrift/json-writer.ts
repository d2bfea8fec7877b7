/** Thrift's JSON protocol (TJSON), written; shared values and steps as in the binary protocol. */
import { assert } from '../../core/base/assert.ts'
import type { StructPlan, TypePlan } from './plan.ts'
import type { Many } from './types.ts'
import { clamped, isShared, REPLY_BYTES_MAX, ReplyTooLarge, STEP_ELEMENTS, type Writer } from './writer.ts'

export class JsonWriter implements Writer {
  readonly #parts: string[] = []
  readonly #shared = new Map<object, string>()
  #left: number

  constructor(charactersMax = REPLY_BYTES_MAX) {
    this.#left = charactersMax
  }

  /** As it is. */
  raw(text: string): void {
    this.#push(text)
  }

  struct(plan: StructPlan, value: object): void {
    this.#push(this.#structText(plan, value))
  }

  *structInSteps(plan: StructPlan, value: object): Generator<undefined, void> {
    let separator = '{'
    for (const field of plan.fields) {
      const inner = (value as Record<string, unknown>)[field.name] ?? field.zero
      if (inner === undefined) continue
      this.#push(`${separator}"${field.id}":{"${field.type.tag}":`)
      yield* this.#inSteps(field.type, inner)
      this.#push('}')
      separator = ','
    }
    this.#push(separator === '{' ? '{}' : '}')
  }

  take(): Buffer {
    return Buffer.from(this.#parts.join(''))
  }

  *#inSteps(type: TypePlan, value: unknown): Generator<undefined, void> {
    if (type.kind === 'struct' && !isShared(type.struct)) yield* this.structInSteps(type.struct, value as object)
    else if (type.kind === 'list' || type.kind === 'set') {
      const elements = value as Many<unknown>
      this.#push(`["${type.element.tag}",${elements.length}`)
      let written = 0
      for (const element of elements) {
        this.#push(`,${this.#text(type.element, element)}`)
        if (++written % STEP_ELEMENTS === 0) yield
      }
      assert(written === elements.length, 'a list has as many elements as it says', { written })
      this.#push(']')
    } else this.#push(this.#text(type, value))
  }

  #push(text: string): void {
    this.#left -= text.length
    if (this.#left < 0) throw new ReplyTooLarge()
    this.#parts.push(text)
  }

  #structText(plan: StructPlan, value: object): string {
    const known = isShared(plan) ? this.#shared.get(value) : undefined
    if (known !== undefined) return known
    let text = ''
    for (const field of plan.fields) {
      const inner = (value as Record<string, unknown>)[field.name] ?? field.zero
      if (inner === undefined) continue
      text += `${text === '' ? '' : ','}"${field.id}":{"${field.type.tag}":${this.#text(field.type, inner)}}`
    }
    text = `{${text}}`
    if (isShared(plan)) this.#shared.set(value, text)
    return text
  }

  #text(type: TypePlan, value: unknown): string {
    switch (type.kind) {
      case 'bool':
        return value === true ? '1' : '0'
      case 'double':
        return Number.isFinite(value) ? String(value) : `"${String(value)}"`
      case 'i32':
        return String(clamped(value as number))
      case 'i64':
        return String(value)
      case 'string':
        return JSON.stringify(value)
      case 'enum':
        return String(type.numbers.get(value as string) ?? 0)
      case 'struct':
        return this.#structText(type.struct, value as object)
      case 'list':
      case 'set': {
        const elements = value as Many<unknown>
        let text = `["${type.element.tag}",${elements.length}`
        for (const element of elements) text += `,${this.#text(type.element, element)}`
        return `${text}]`
      }
      case 'map': {
        const entries = Object.entries(value as object)
        const inside = entries.map(([key, inner]) => `${JSON.stringify(key)}:${this.#text(type.value, inner)}`)
        return `["${type.key.tag}","${type.value.tag}",${entries.length},{${inside.join(',')}}]`
      }
    }
  }
}
