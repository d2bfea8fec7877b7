/** Dials a scheduler node as an agent: one attempt a call; redirects are told, not followed, so that the caller counts them. */
import { WebSocket } from 'ws'
import type { AgentDialer } from '../actors/ports.ts'
import { frameCodec } from '../wire/frame.ts'
import {
  AGENT_PATH,
  AGENT_SUBPROTOCOL,
  type AgentToLeader,
  FRAME_BYTES_MAX,
  type LeaderToAgent,
  leaderToAgent,
  NONCE_HEADER,
} from '../wire/messages/agent.ts'
import { wsConnection } from './ws-connection.ts'

const HANDSHAKE_MS_MAX = 5_000

/**
 * `url` is a node's HTTP address (`http://127.0.0.1:8081`) or the Location of a redirect. `ca`: PEM of those by whom https
 * nodes are known; null: those that come with Node.js.
 */
export function createAgentDialer({
  ca = null,
}: {
  readonly ca?: string | null
} = {}): AgentDialer<LeaderToAgent, AgentToLeader> {
  const counters = { badFrames: 0, unsupported: 0 }
  return {
    dial(url) {
      return new Promise((resolve, reject) => {
        const target = new URL(url)
        target.protocol = target.protocol === 'https:' || target.protocol === 'wss:' ? 'wss:' : 'ws:'
        target.pathname = AGENT_PATH
        const socket = new WebSocket(target, [AGENT_SUBPROTOCOL], {
          perMessageDeflate: false,
          maxPayload: FRAME_BYTES_MAX,
          handshakeTimeout: HANDSHAKE_MS_MAX,
          ...(ca === null ? {} : { ca }),
        })
        let nonce = ''
        socket.on('upgrade', response => {
          nonce = String(response.headers[NONCE_HEADER] ?? '')
        })
        socket.once('error', cause => reject(new Error(`cannot reach ${target.host}: ${cause.message}`, { cause })))
        socket.on('unexpected-response', (request, response) => {
          const location = response.headers.location
          if (response.statusCode === 307 && location !== undefined) {
            resolve({ redirect: location })
            request.destroy()
            return
          }
          const chunks: Buffer[] = []
          response.on('data', (chunk: Buffer) => chunks.push(chunk))
          response.on('end', () => {
            const said = Buffer.concat(chunks).toString('utf8').trim().slice(0, 200)
            reject(new Error(`${target.host} answered ${response.statusCode}${said === '' ? '' : `: ${said}`}`))
            request.destroy()
          })
        })
        socket.once('open', () => {
          const codec = frameCodec<LeaderToAgent, AgentToLeader>(leaderToAgent, FRAME_BYTES_MAX)
          resolve({ connection: wsConnection(socket, codec, { remote: target.host, counters }), nonce })
        })
      })
    },
  }
}
