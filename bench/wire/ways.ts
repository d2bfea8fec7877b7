/**
 * Ways to send messages over a WebSocket. Daybreak's are the very connections and codecs of its nodes and agents, checks of
 * every body included; the others are what one writes with `JSON.stringify`: a frame a message, or an array of those of one
 * turn. JSON has no bytes, so those of an entry travel in base64.
 */
import type { WebSocket } from 'ws'
import { wsConnection } from '../../src/runtime/ws-connection.ts'
import { type FrameCodec, frameCodec, frameOf } from '../../src/wire/frame.ts'
import {
  type AgentToLeader,
  agentToLeader,
  FRAME_BYTES_MAX,
  type LeaderToAgent,
  leaderToAgent,
} from '../../src/wire/messages/agent.ts'
import { decodePeerFrame, encodeBatch } from '../../src/wire/messages/peer.ts'
import { FROM, type Kind, type MessageOf } from './messages.ts'

export const WAYS = ['daybreak', 'json', 'json-array'] as const
export type WayName = (typeof WAYS)[number]

export interface Way<M> {
  /** Sends those of one turn. */
  sender(socket: WebSocket): (messages: readonly M[]) => void
  /** Tells how many have come. */
  receiver(socket: WebSocket, received: (count: number) => void): void
  /** There and back without a socket, as the frame or frames of one turn; answers how many came out. */
  codec(): (messages: readonly M[]) => number
}

export function wayOf<K extends Kind>(name: WayName, kind: K): Way<MessageOf[K]> {
  const way: Way<never> =
    name === 'json' ? json(kind) : name === 'json-array' ? jsonArray(kind) : kind === 'accept' ? peer : agent(kind)
  return way as unknown as Way<MessageOf[K]>
}

// ---- Daybreak -----------------------------------------------------------------------------------------------------

type Any = AgentToLeader | LeaderToAgent
type Codec = FrameCodec<{ readonly type: string }, { readonly type: string }>

function agent(kind: Kind): Way<Any> {
  const codec = (): Codec =>
    kind === 'status'
      ? (frameCodec<AgentToLeader, LeaderToAgent>(agentToLeader, FRAME_BYTES_MAX) as unknown as Codec)
      : (frameCodec<LeaderToAgent, AgentToLeader>(leaderToAgent, FRAME_BYTES_MAX) as unknown as Codec)
  const connectionOf = (socket: WebSocket) =>
    wsConnection(socket, codec(), { remote: 'bench', counters: { badFrames: 0, unsupported: 0 } })
  return {
    sender(socket) {
      const connection = connectionOf(socket)
      return messages => {
        for (const message of messages) connection.send(message)
      }
    },
    receiver(socket, received) {
      const connection = connectionOf(socket)
      connection.onClose = (_code, reason) => {
        if (reason !== '') throw new Error(`the connection was closed: ${reason}`)
      }
      connection.onMessage = () => received(1)
    },
    codec() {
      const [near, far] = [codec(), codec()]
      return messages => {
        const decoded = far.decode(frameOf(messages.map(message => near.pack(message))))
        if (!decoded.ok) throw new Error(decoded.reason)
        return decoded.messages.length
      }
    },
  }
}

const peer: Way<MessageOf['accept']> = {
  sender: socket => messages => socket.send(encodeBatch(FROM, 1, messages)),
  receiver(socket, received) {
    socket.on('message', (data: Buffer) => received(peerMessages(data)))
  },
  codec: () => messages => peerMessages(encodeBatch(FROM, 1, messages)),
}

function peerMessages(bytes: Uint8Array): number {
  const decoded = decodePeerFrame(bytes)
  if (!decoded.ok) throw new Error(decoded.reason)
  if (decoded.frame.type !== 'batch') throw new Error('a control frame where a batch was sent')
  return decoded.frame.messages.length
}

// ---- JSON ---------------------------------------------------------------------------------------------------------

function json(kind: Kind): Way<unknown> {
  return {
    sender: socket => messages => {
      for (const message of messages) socket.send(JSON.stringify(plain(kind, message)))
    },
    receiver(socket, received) {
      socket.on('message', (data: Buffer) => {
        whole(kind, JSON.parse(data.toString('utf8')))
        received(1)
      })
    },
    codec: () => messages => {
      for (const message of messages) whole(kind, JSON.parse(JSON.stringify(plain(kind, message))))
      return messages.length
    },
  }
}

function jsonArray(kind: Kind): Way<unknown> {
  const read = (text: string): number => {
    const messages = JSON.parse(text) as unknown[]
    for (const message of messages) whole(kind, message)
    return messages.length
  }
  const write = (messages: readonly unknown[]): string => JSON.stringify(messages.map(message => plain(kind, message)))
  return {
    sender: socket => messages => socket.send(write(messages)),
    receiver(socket, received) {
      socket.on('message', (data: Buffer) => received(read(data.toString('utf8'))))
    },
    codec: () => messages => read(write(messages)),
  }
}

interface PlainEntry {
  payload: string | Uint8Array
}

/** Bytes as base64; what is computed from them, checksum and record, does not travel. */
function plain(kind: Kind, message: unknown): unknown {
  if (kind !== 'accept') return message
  const accept = message as MessageOf['accept']
  return {
    ...accept,
    entries: accept.entries.map(({ position, ballot, type, payload, crc }) => {
      const { buffer, byteOffset, byteLength } = payload
      return { position, ballot, type, crc, payload: Buffer.from(buffer, byteOffset, byteLength).toString('base64') }
    }),
  }
}

function whole(kind: Kind, message: unknown): void {
  if (kind !== 'accept') return
  for (const entry of (message as { readonly entries: PlainEntry[] }).entries)
    entry.payload = Buffer.from(entry.payload as string, 'base64')
}
