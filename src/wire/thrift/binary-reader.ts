/**
 * Thrift's binary protocol, read as the interface says: fields that are not known, or are of another type than they
 * should be, are skipped. Nothing that a message declares is trusted before the bytes for it are there.
 */
import { type StructPlan, type TypePlan, WIRE } from './plan.ts'

/** What cannot be read, with its place. */
export class ThriftFault extends Error {}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const STOP = 0
const DEPTH_MAX = 32
/** Elements of all lists, sets and maps of one message. */
const ELEMENTS_MAX = 250_000

export class BinaryReader {
  readonly #bytes: Buffer
  #at = 0
  #elements = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  /** Where it stands, in bytes from the beginning. */
  get at(): number {
    return this.#at
  }

  i32(): number {
    this.#need(4)
    const value = this.#bytes.readInt32BE(this.#at)
    this.#at += 4
    return value
  }

  byte(): number {
    this.#need(1)
    return this.#bytes[this.#at++] as number
  }

  string(length = this.i32()): string {
    if (length < 0) throw this.#fault(`a text of ${length} bytes`)
    this.#need(length)
    const bytes = this.#bytes.subarray(this.#at, this.#at + length)
    try {
      const text = UTF8.decode(bytes)
      this.#at += length
      return text
    } catch {
      throw this.#fault('a text that is not UTF-8')
    }
  }

  struct(plan: StructPlan, depth = 0): Record<string, unknown> {
    if (depth > DEPTH_MAX) throw this.#fault(`more than ${DEPTH_MAX} levels`)
    const value: Record<string, unknown> = {}
    for (;;) {
      const wire = this.byte()
      if (wire === STOP) return value
      const id = this.#i16()
      const field = plan.byId.get(id)
      if (field === undefined) this.#skip(wire, depth + 1)
      else {
        // Passed over, `instances` of a wrong type would be all instances.
        if (field.type.wire !== wire) throw this.#fault(`${field.name} of another type`)
        const read = this.#value(field.type, depth + 1)
        if (read !== undefined) value[field.name] = read
      }
    }
  }

  /** Undefined where an enum has no such number. */
  #value(type: TypePlan, depth: number): unknown {
    switch (type.kind) {
      case 'bool':
        return this.byte() !== 0
      case 'double': {
        this.#need(8)
        const value = this.#bytes.readDoubleBE(this.#at)
        this.#at += 8
        return value
      }
      case 'i32':
        return this.i32()
      case 'i64':
        return this.#i64()
      case 'string':
        return this.string()
      case 'enum':
        return type.names.get(this.i32())
      case 'struct':
        return this.struct(type.struct, depth)
      case 'list':
      case 'set': {
        const wire = this.byte()
        const count = this.#count(wire)
        if (count > 0 && wire !== type.element.wire) throw this.#fault('elements of another type')
        const values: unknown[] = []
        for (let n = 0; n < count; n++) {
          const read = this.#value(type.element, depth + 1)
          if (read !== undefined) values.push(read)
        }
        return values
      }
      case 'map': {
        const [keyWire, valueWire] = [this.byte(), this.byte()]
        const count = this.#count(keyWire, valueWire)
        if (count > 0 && (keyWire !== type.key.wire || valueWire !== type.value.wire))
          throw this.#fault('entries of another type')
        const entries: [string, unknown][] = []
        for (let n = 0; n < count; n++) {
          const key = String(this.#value(type.key, depth + 1))
          entries.push([key, this.#value(type.value, depth + 1)])
        }
        return Object.fromEntries(entries)
      }
    }
  }

  #skip(wire: number, depth: number): void {
    if (depth > DEPTH_MAX) throw this.#fault(`more than ${DEPTH_MAX} levels`)
    switch (wire) {
      case WIRE.bool:
      case WIRE.byte:
        return this.#advance(1)
      case WIRE.i16:
        return this.#advance(2)
      case WIRE.i32:
        return this.#advance(4)
      case WIRE.i64:
      case WIRE.double:
        return this.#advance(8)
      case WIRE.string: {
        const length = this.i32()
        if (length < 0) throw this.#fault(`a text of ${length} bytes`)
        return this.#advance(length)
      }
      case WIRE.struct:
        for (;;) {
          const inner = this.byte()
          if (inner === STOP) return
          this.#advance(2)
          this.#skip(inner, depth + 1)
        }
      case WIRE.list:
      case WIRE.set: {
        const element = this.byte()
        return this.#skipMany(this.#count(element), [element], depth)
      }
      case WIRE.map: {
        const kinds = [this.byte(), this.byte()]
        return this.#skipMany(this.#count(...kinds), kinds, depth)
      }
      default:
        throw this.#fault(`a value of the unknown type ${wire}`)
    }
  }

  #skipMany(count: number, wires: readonly number[], depth: number): void {
    for (let n = 0; n < count; n++) for (const wire of wires) this.#skip(wire, depth + 1)
  }

  /** How many elements follow; there must be at least a byte for each. */
  #count(...wires: number[]): number {
    const count = this.i32()
    if (count < 0 || count * wires.length > this.#bytes.length - this.#at) throw this.#fault(`${count} elements`)
    this.#elements += count
    if (this.#elements > ELEMENTS_MAX) throw this.#fault(`more than ${ELEMENTS_MAX} elements in one message`)
    return count
  }

  #i16(): number {
    this.#need(2)
    const value = this.#bytes.readInt16BE(this.#at)
    this.#at += 2
    return value
  }

  #i64(): number {
    this.#need(8)
    const value = Number(this.#bytes.readBigInt64BE(this.#at))
    if (!Number.isSafeInteger(value)) throw this.#fault('a number beyond 2^53')
    this.#at += 8
    return value
  }

  #advance(bytes: number): void {
    this.#need(bytes)
    this.#at += bytes
  }

  #need(bytes: number): void {
    if (bytes > this.#bytes.length - this.#at) throw this.#fault('the end of the message')
  }

  #fault(met: string): ThriftFault {
    return new ThriftFault(`byte ${this.#at}: met ${met}`)
  }
}
