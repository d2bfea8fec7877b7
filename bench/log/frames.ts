/**
 * What clients of the log benchmark and a node say to each other: WebSocket frames of msgpack, one a turn and direction
 * however many appends are in it. A request is a flat array `[writer, payload, writer, payload, …]`, an answer
 * `[writer, outcome, writer, outcome, …]`; a writer has one append out, so its number is enough to know which.
 */
import { Packr, Unpackr } from 'msgpackr'
import type { AppendResult } from '../../src/actors/ports.ts'
import { batchPayload, encodeTransaction } from '../../src/core/ledger/payload.ts'

export const PAYLOAD_BYTES = 256

const packr = new Packr({ useRecords: false })
const unpackr = new Unpackr({ useRecords: false })

/** Gathers what is said in one turn and hands it over at the end of it. */
export class TurnFrame<Value> {
  readonly #send: (frame: Uint8Array) => void
  #parts: (number | Value)[] = []

  constructor(send: (frame: Uint8Array) => void) {
    this.#send = send
  }

  add(writer: number, value: Value): void {
    if (this.#parts.push(writer, value) > 2) return
    queueMicrotask(() => {
      const parts = this.#parts
      this.#parts = []
      // The packer's buffer is written again before the socket has sent it all.
      this.#send(Uint8Array.prototype.slice.call(packr.pack(parts)))
    })
  }
}

export function readFrame<Value>(bytes: Uint8Array, each: (writer: number, value: Value) => void): void {
  const parts = unpackr.unpack(bytes) as (number | Value)[]
  for (let at = 0; at < parts.length; at += 2) each(parts[at] as number, parts[at + 1] as Value)
}

export type Outcome = AppendResult['type']

/** A batch of the ledger that changes one row. */
export function benchPayload(key: string): Uint8Array {
  const make = (rowBytes: number): Uint8Array =>
    batchPayload([
      encodeTransaction({ who: 'bench', why: 'append', wallMs: 0 }, [
        { table: 1, key, bytes: new Uint8Array(rowBytes) },
      ]),
    ])
  return make(Math.max(0, PAYLOAD_BYTES - make(0).length))
}
