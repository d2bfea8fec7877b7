/**
 * Clients of the log benchmark: one process, many writers on one WebSocket. A writer has one append out at a time; appends
 * of one turn leave as one frame.
 */
import { once } from 'node:events'
import { WebSocket } from 'ws'
import { answer } from './child.ts'
import { benchPayload, type Outcome, readFrame, TurnFrame } from './frames.ts'

export interface ClientRound {
  /** Of every append, in the order of their ends. */
  readonly tookMs: Float64Array
  readonly seconds: number
  readonly cpuMicros: number
}

export type ClientQuestions = {
  connect: { readonly ask: { readonly port: number; readonly name: string }; readonly answer: null }
  /** Appends for so long, then waits for what is out. */
  round: { readonly ask: { readonly writers: number; readonly ms: number }; readonly answer: ClientRound }
}

interface Writer {
  readonly payload: Uint8Array
  sentMs: number
}

let socket: WebSocket | null = null
let frame: TurnFrame<Uint8Array> | null = null
let writers: readonly Writer[] = []
let onAnswer: (writer: number, outcome: Outcome) => void = () => {}
let onLost: (cause: Error) => void = () => {}
let clientName = ''

async function connect({ port, name }: { readonly port: number; readonly name: string }): Promise<null> {
  clientName = name
  socket = new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate: false, skipUTF8Validation: true })
  await once(socket, 'open')
  frame = new TurnFrame(bytes => socket?.send(bytes))
  socket.on('message', (data: Buffer) => readFrame<Outcome>(data, (writer, outcome) => onAnswer(writer, outcome)))
  socket.on('close', () => onLost(new Error('the node has closed the connection')))
  return null
}

function round({ writers: count, ms }: { readonly writers: number; readonly ms: number }): Promise<ClientRound> {
  // Rows are overwritten, as those of a cluster are.
  writers = Array.from({ length: count }, (_, at) => ({ payload: benchPayload(`task-${clientName}-${at}`), sentMs: 0 }))
  const tookMs: number[] = []
  const cpuBefore = process.cpuUsage()
  const begunMs = performance.now()
  const endMs = begunMs + ms
  let out = 0
  const send = (at: number, nowMs: number): void => {
    const writer = writers[at]!
    writer.sentMs = nowMs
    out++
    frame!.add(at, writer.payload)
  }
  return new Promise((resolve, reject) => {
    onLost = reject
    onAnswer = (at, outcome) => {
      if (outcome !== 'ok') return reject(new Error(`an append was answered ${outcome}`))
      const nowMs = performance.now()
      tookMs.push(nowMs - writers[at]!.sentMs)
      out--
      if (nowMs < endMs) return send(at, nowMs)
      if (out > 0) return
      const { user, system } = process.cpuUsage(cpuBefore)
      resolve({ tookMs: Float64Array.from(tookMs), seconds: (nowMs - begunMs) / 1_000, cpuMicros: user + system })
    }
    for (let at = 0; at < count; at++) send(at, begunMs)
  })
}

answer<ClientQuestions>({ connect, round }, () => socket?.terminate())
