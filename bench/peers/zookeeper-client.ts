/** Clients of ZooKeeper: one process, sessions that are shared by writers or not, and a znode of its own for each writer. */
import type { Client } from 'node-zookeeper-client'
import { answer } from '../log/child.ts'
import { closedLoop } from './closed-loop.ts'
import type { Connections, PeerClientQuestions } from './load.ts'
import { closeSession, createZnode, openSession, setData } from './zookeeper-session.ts'

let sessions: readonly Client[] = []
let paths: readonly string[] = []
let value = Buffer.alloc(0)

async function connect(ask: Connections): Promise<null> {
  const count = ask.connections === 'each' ? ask.writers : Math.min(ask.writers, ask.connections)
  sessions = await Promise.all(
    Array.from({ length: count }, (_, at) => openSession(ask.addresses[at % ask.addresses.length]!)),
  )
  value = Buffer.alloc(ask.valueBytes)
  paths = Array.from({ length: ask.writers }, (_, at) => `/task-${ask.client}-${at}`)
  await Promise.all(paths.map((path, at) => createZnode(sessions[at % sessions.length]!, path, value)))
  return null
}

async function disconnect(): Promise<null> {
  await Promise.all(sessions.map(closeSession))
  sessions = []
  return null
}

answer<PeerClientQuestions>(
  {
    connect,
    disconnect,
    round: ({ ms }) =>
      closedLoop(paths.length, ms, (writer, done) =>
        setData(sessions[writer % sessions.length]!, paths[writer]!, value, done),
      ),
  },
  async () => void (await disconnect()),
)
