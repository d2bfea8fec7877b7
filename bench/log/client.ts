/**
 * Clients of the log benchmark: one process, many writers on one WebSocket. A writer has one append out at a time; appends
 * of one turn leave as one frame.
 */
import { once } from 'node:events'
import { WebSocket } from 'ws'
import { answer } from './child.ts'
import { benchPayload, type Outcome, readFrame, TurnFrame } from './frames.ts'

/** Leadership ended in the middle of it, or the node did: there is nothing to be read from it. */
export interface LostRound {
  readonly lost: string
}

export interface ClientRound {
  readonly lost: null
  /** Of every append, in the order of their ends. */
  readonly tookMs: Float64Array
  readonly seconds: number
  readonly cpuMicros: number
}

export type ClientQuestions = {
  /** In the place of the connection before. */
  connect: { readonly ask: { readonly port: number; readonly name: string }; readonly answer: null }
  /** Appends for so long, then waits for what is out. */
  round: { readonly ask: { readonly writers: number; readonly ms: number }; readonly answer: ClientRound | LostRound }
}

interface Writer {
  readonly payload: Uint8Array
  sentMs: number
}

let socket: WebSocket | null = null
let frame: TurnFrame<Uint8Array> | null = null
let writers: readonly Writer[] = []
let onAnswer: (writer: number, outcome: Outcome) => void = () => {}
let onLost: (lost: string) => void = () => {}
let clientName = ''

async function connect({ port, name }: { readonly port: number; readonly name: string }): Promise<null> {
  clientName = name
  onLost = () => {}
  socket?.terminate()
  socket = new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate: false, skipUTF8Validation: true })
  await once(socket, 'open')
  frame = new TurnFrame(bytes => socket?.send(bytes))
  socket.on('message', (data: Buffer) => readFrame<Outcome>(data, (writer, outcome) => onAnswer(writer, outcome)))
  socket.on('close', () => onLost('the node has closed the connection'))
  return null
}

function round({
  writers: count,
  ms,
}: {
  readonly writers: number
  readonly ms: number
}): Promise<ClientRound | LostRound> {
  // Rows are overwritten, as those of a cluster are.
  writers = Array.from({ length: count }, (_, at) => ({ payload: benchPayload(`task-${clientName}-${at}`), sentMs: 0 }))
  const tookMs: number[] = []
  const cpuBefore = process.cpuUsage()
  const begunMs = performance.now()
  let endMs = begunMs + ms
  let out = 0
  let lost: string | null = null
  const send = (at: number, nowMs: number): void => {
    const writer = writers[at]!
    writer.sentMs = nowMs
    out++
    frame!.add(at, writer.payload)
  }
  return new Promise(resolve => {
    onLost = reason => resolve({ lost: reason })
    onAnswer = (at, outcome) => {
      const nowMs = performance.now()
      tookMs.push(nowMs - writers[at]!.sentMs)
      out--
      if (outcome !== 'ok') {
        lost = `an append was answered ${outcome}`
        endMs = nowMs
      }
      if (nowMs < endMs) return send(at, nowMs)
      if (out > 0) return
      if (lost !== null) return resolve({ lost })
      const { user, system } = process.cpuUsage(cpuBefore)
      const seconds = (nowMs - begunMs) / 1_000
      resolve({ lost: null, tookMs: Float64Array.from(tookMs), seconds, cpuMicros: user + system })
    }
    for (let at = 0; at < count; at++) send(at, begunMs)
  })
}

answer<ClientQuestions>({ connect, round }, () => socket?.terminate())
