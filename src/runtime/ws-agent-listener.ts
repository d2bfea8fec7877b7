/** Takes agents in at `/agent/v1` of a node's HTTP server; a node that does not lead sends them to the one that does. */
import { randomBytes } from 'node:crypto'
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocketServer } from 'ws'
import type { AgentListener } from '../actors/ports.ts'
import { frameCodec } from '../wire/frame.ts'
import {
  AGENT_PATH,
  AGENT_SUBPROTOCOL,
  type AgentToLeader,
  agentToLeader,
  CLOSE,
  FRAME_BYTES_MAX,
  type LeaderToAgent,
  NONCE_HEADER,
  quarantined,
} from '../wire/messages/agent.ts'
import { type ConnectionCounters, wsConnection } from './ws-connection.ts'

/** Where an agent belongs right now: here, with another node (its HTTP URL), or nowhere yet. */
export type AgentPlace = { type: 'here' } | { type: 'elsewhere'; httpUrl: string } | { type: 'nowhere'; reason: string }

export interface WsAgentListener extends AgentListener<AgentToLeader, LeaderToAgent> {
  readonly counters: ConnectionCounters
  /** Ends every connection; agents dial again elsewhere. */
  closeAll(reason: string): void
  detach(): void
}

export function listenForAgents(server: Server, place: () => AgentPlace): WsAgentListener {
  const sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: FRAME_BYTES_MAX,
    handleProtocols: offered => (offered.has(AGENT_SUBPROTOCOL) ? AGENT_SUBPROTOCOL : false),
  })
  const listener: WsAgentListener = {
    counters: { badFrames: 0, unsupported: 0 },
    onConnection: null,
    closeAll(reason) {
      for (const socket of sockets.clients) socket.close(CLOSE.goingAway, reason)
    },
    detach() {
      server.off('upgrade', onUpgrade)
      for (const socket of sockets.clients) socket.terminate()
      sockets.close()
    },
  }
  sockets.on('headers', (headers, request: IncomingMessage & { daybreakNonce?: string }) => {
    headers.push(`${NONCE_HEADER}: ${request.daybreakNonce ?? ''}`)
  })

  const onUpgrade = (request: IncomingMessage & { daybreakNonce?: string }, socket: Duplex, head: Buffer): void => {
    socket.on('error', () => socket.destroy())
    const path = (request.url ?? '').split('?')[0]
    if (path !== AGENT_PATH) return refuse(socket, '404 Not Found', `agents connect at ${AGENT_PATH}\n`)
    // Any page may open a WebSocket to loopback, where no secret is asked for; a browser always says whose page it is.
    if (request.headers.origin !== undefined) return refuse(socket, '403 Forbidden', 'a web page is no agent\n')
    const where = place()
    if (where.type === 'elsewhere') {
      return refuse(socket, '307 Temporary Redirect', 'another node leads\n', [
        `Location: ${where.httpUrl}${AGENT_PATH}`,
      ])
    }
    const accept = listener.onConnection
    if (where.type === 'nowhere' || accept === null) {
      const reason = where.type === 'nowhere' ? where.reason : 'this node is not ready for agents yet'
      return refuse(socket, '503 Service Unavailable', `${reason}\n`, ['Retry-After: 1'])
    }
    const nonce = randomBytes(24).toString('base64url')
    request.daybreakNonce = nonce
    sockets.handleUpgrade(request, socket, head, accepted => {
      const remote = `${request.socket.remoteAddress ?? '?'}:${request.socket.remotePort ?? 0}`
      const codec = frameCodec<AgentToLeader, LeaderToAgent>(agentToLeader, FRAME_BYTES_MAX, quarantined)
      accept(wsConnection(accepted, codec, { remote, counters: listener.counters }), nonce)
    })
  }
  server.on('upgrade', onUpgrade)
  return listener
}

function refuse(socket: Duplex, status: string, text: string, headers: readonly string[] = []): void {
  const lines = [
    `HTTP/1.1 ${status}`,
    ...headers,
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(text)}`,
    'Connection: close',
    '',
    text,
  ]
  socket.end(lines.join('\r\n'))
}
