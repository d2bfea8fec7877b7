/** The two processes of the wire benchmark: one listens on loopback and counts, the other sends. */
import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { WebSocket, WebSocketServer } from 'ws'
import { answer } from '../log/child.ts'
import { type Kind, type MessageOf, make } from './messages.ts'
import { type WayName, wayOf } from './ways.ts'

export interface Sending {
  readonly url: string
  readonly way: WayName
  readonly kind: Kind
  readonly messages: number
  /** Sent together; those of one turn. */
  readonly batch: number
}

export type SenderQuestions = {
  /** Until all of them are in the hands of the socket. */
  send: { readonly ask: Sending; readonly answer: { readonly cpuMicros: number } }
  /** Encoding and decoding in this process: microseconds of processor time a message. */
  codec: { readonly ask: Omit<Sending, 'url'>; readonly answer: { readonly micros: number } }
}

export type ReceiverQuestions = {
  listen: { readonly ask: null; readonly answer: { readonly url: string } }
  /** Answers when so many have come on one connection. */
  receive: {
    readonly ask: { readonly messages: number }
    readonly answer: { readonly cpuMicros: number; readonly seconds: number; readonly bytes: number }
  }
}

/** Different messages of a kind; they are sent round and round. */
const DIFFERENT = 1_000
const BUFFERED_BYTES_MAX = 1_024 * 1_024
/** Without a look at what else the process has to do. */
const TURNS_AT_ONCE = 32

function batchesOf<K extends Kind>(kind: K, batch: number): readonly (readonly MessageOf[K][])[] {
  const all = Array.from({ length: Math.ceil(DIFFERENT / batch) * batch }, (_, n) => make[kind](n))
  return Array.from({ length: all.length / batch }, (_, at) => all.slice(at * batch, (at + 1) * batch))
}

const cpuMicros = (before?: NodeJS.CpuUsage): number => {
  const { user, system } = process.cpuUsage(before)
  return user + system
}

export async function send({ url, way, kind, messages, batch }: Sending): Promise<{ cpuMicros: number }> {
  const batches = batchesOf(kind, batch)
  const socket = new WebSocket(`${url}/${way}/${kind}`, { perMessageDeflate: false })
  await once(socket, 'open')
  const sendTurn = wayOf(way, kind).sender(socket)
  const before = process.cpuUsage()
  for (let sent = 0, turn = 0; sent < messages; sent += batch, turn++) {
    sendTurn(batches[turn % batches.length]!)
    // The turn is over: what waits for its end is sent.
    await null
    if (turn % TURNS_AT_ONCE === 0) await setImmediate()
    while (socket.bufferedAmount > BUFFERED_BYTES_MAX) await setImmediate()
  }
  while (socket.bufferedAmount > 0) await setImmediate()
  const used = cpuMicros(before)
  socket.close()
  await once(socket, 'close')
  return { cpuMicros: used }
}

export function codec({ way, kind, messages, batch }: Omit<Sending, 'url'>): { micros: number } {
  const batches = batchesOf(kind, batch)
  const thereAndBack = wayOf(way, kind).codec()
  const before = process.cpuUsage()
  let done = 0
  for (let turn = 0; done < messages; turn++) done += thereAndBack(batches[turn % batches.length]!)
  return { micros: cpuMicros(before) / done }
}

// ---- the receiver -------------------------------------------------------------------------------------------------

interface Counting {
  readonly messages: number
  readonly resolve: (value: ReceiverQuestions['receive']['answer']) => void
  came: number
  beganMs: number
  before: NodeJS.CpuUsage
}

let counting: Counting | null = null

export async function listen(): Promise<{ url: string }> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false })
  server.on('connection', (socket: WebSocket, request) => {
    const [, way, kind] = request.url!.split('/') as [string, WayName, Kind]
    const bytesBefore = request.socket.bytesRead
    if (counting === null) throw new Error('nobody waits for these messages')
    counting.beganMs = performance.now()
    counting.before = process.cpuUsage()
    wayOf(way, kind).receiver(socket, count => came(count, request.socket, bytesBefore))
  })
  await once(server, 'listening')
  return { url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

export function receive({ messages }: { readonly messages: number }): Promise<ReceiverQuestions['receive']['answer']> {
  return new Promise(resolve => {
    counting = { messages, resolve, came: 0, beganMs: 0, before: process.cpuUsage() }
  })
}

function came(count: number, socket: Socket, bytesBefore: number): void {
  if (counting === null) return
  counting.came += count
  if (counting.came < counting.messages) return
  const { beganMs, before, resolve } = counting
  counting = null
  resolve({
    cpuMicros: cpuMicros(before),
    seconds: (performance.now() - beganMs) / 1_000,
    bytes: socket.bytesRead - bytesBefore,
  })
}

if (process.send !== undefined) {
  answer<SenderQuestions & ReceiverQuestions>({ send, codec, listen, receive }, () => {})
}
