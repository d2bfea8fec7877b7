/** Clients of etcd: one process, many writers on a few HTTP/2 connections, each of which has its own key. */
import type { Client } from '@grpc/grpc-js'
import { answer } from '../log/child.ts'
import { closedLoop } from './closed-loop.ts'
import { connectEtcd, put, putRequest, status } from './etcd-wire.ts'
import type { Connections, PeerClientQuestions } from './load.ts'

const PUT_MS_MAX = 10_000
const CONNECT_MS_MAX = 10_000

let clients: readonly Client[] = []
let requests: readonly Buffer[] = []

async function connect(ask: Connections): Promise<null> {
  const count = ask.connections === 'each' ? ask.writers : Math.min(ask.writers, ask.connections)
  clients = Array.from({ length: count }, (_, at) => connectEtcd(ask.addresses[at % ask.addresses.length]!))
  requests = Array.from({ length: ask.writers }, (_, at) =>
    putRequest(`task-${ask.client}-${at}`, new Uint8Array(ask.valueBytes)),
  )
  await Promise.all(clients.map(client => status(client, CONNECT_MS_MAX)))
  return null
}

function disconnect(): null {
  for (const client of clients) client.close()
  clients = []
  return null
}

answer<PeerClientQuestions>(
  {
    connect,
    disconnect,
    round: ({ ms }) =>
      closedLoop(requests.length, ms, (writer, done) =>
        put(clients[writer % clients.length]!, requests[writer]!, PUT_MS_MAX, fault => done(fault?.message ?? null)),
      ),
  },
  () => void disconnect(),
)
