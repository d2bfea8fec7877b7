import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import type { Connection } from '../../src/actors/ports.ts'
import { createAgentDialer } from '../../src/runtime/ws-agent-dialer.ts'
import { type AgentPlace, listenForAgents, type WsAgentListener } from '../../src/runtime/ws-agent-listener.ts'
import {
  AGENT_SUBPROTOCOL,
  type AgentToLeader,
  FRAME_BYTES_MAX,
  type LeaderToAgent,
} from '../../src/wire/messages/agent.ts'

let server: Server
let listener: WsAgentListener
let url: string
let place: AgentPlace

beforeEach(async () => {
  place = { type: 'here' }
  server = createServer((_, response) => response.end('http'))
  listener = listenForAgents(server, () => place)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterEach(async () => {
  listener.detach()
  server.closeAllConnections()
  server.close()
  await once(server, 'close')
})

interface Accepted {
  connection: Connection<AgentToLeader, LeaderToAgent>
  nonce: string
}
const accepted = () =>
  new Promise<Accepted>(resolve => {
    listener.onConnection = (connection, nonce) => resolve({ connection, nonce })
  })
const dialed = async () => {
  const leader = accepted()
  const dial = await createAgentDialer().dial(url)
  if ('redirect' in dial) throw new Error('redirected')
  return { agent: dial.connection, agentNonce: dial.nonce, ...(await leader) }
}
const nextMessage = <T>(
  connection: Connection<T, never> | Connection<T, AgentToLeader> | Connection<T, LeaderToAgent>,
) =>
  new Promise<T>(resolve => {
    connection.onMessage = resolve as (message: T) => void
  })
const closed = (connection: { onClose: (code: number, reason: string) => void }) =>
  new Promise<{ code: number; reason: string }>(resolve => {
    connection.onClose = (code, reason) => resolve({ code, reason })
  })

const launchOf = (taskId: string, data: string): LeaderToAgent => ({
  type: 'LAUNCH',
  epoch: [1, 1],
  tasks: [
    {
      taskId,
      digest: 'd',
      info: {
        job: { role: 'r', environment: 'devel', name: 'j' },
        instance: 0,
        tier: 'preemptible',
        resources: { cpusMilli: 1, ramMb: 1, diskMb: 1, gpus: 0 },
        ports: {},
        executor: { name: 'AuroraExecutor', data },
      },
      deadlineMs: 60_000,
    },
  ],
})

describe('agents over WebSocket', () => {
  test('both sides get the nonce of the listener, and messages travel both ways', async () => {
    const { agent, connection, agentNonce, nonce } = await dialed()
    expect(agentNonce).toBe(nonce)
    expect(nonce.length).toBeGreaterThanOrEqual(16)
    agent.send({ type: 'KILL_ACK', taskId: 'a' })
    expect(await nextMessage(connection)).toEqual({ type: 'KILL_ACK', taskId: 'a' })
    connection.send({ type: 'KILL', epoch: [1, 1], taskId: 'a', graceSecs: null, reason: 'r' })
    expect(await nextMessage(agent)).toMatchObject({ type: 'KILL', taskId: 'a' })
  })

  test('messages of one turn arrive in order', async () => {
    const { agent, connection } = await dialed()
    const got: string[] = []
    const done = new Promise<void>(resolve => {
      connection.onMessage = message => {
        got.push((message as { taskId: string }).taskId)
        if (got.length === 500) resolve()
      }
    })
    for (let n = 0; n < 500; n++) agent.send({ type: 'KILL_ACK', taskId: `t${n}` })
    await done
    expect(got).toEqual(Array.from({ length: 500 }, (_, n) => `t${n}`))
  })

  test('launches of one turn that are more than a frame, and more than a socket holds: all arrive, in order', async () => {
    const { agent, connection } = await dialed()
    const launches = 40
    const got: string[] = []
    const done = new Promise<void>((resolve, reject) => {
      agent.onMessage = message => {
        if (message.type === 'LAUNCH') got.push(...message.tasks.map(task => task.taskId))
        if (got.length === launches) resolve()
      }
      agent.onClose = (code, reason) => reject(new Error(`closed ${code} ${reason}`))
    })
    const data = 'x'.repeat(1024 * 1024)
    for (let n = 0; n < launches; n++) connection.send(launchOf(`t${n}`, data))
    await done
    expect(got).toEqual(Array.from({ length: launches }, (_, n) => `t${n}`))
  })

  test('a message that fits no frame: the connection ends, and the reason names it', async () => {
    const { connection } = await dialed()
    const told = closed(connection)
    connection.send(launchOf('huge', 'x'.repeat(FRAME_BYTES_MAX)))
    expect(await told).toEqual({
      code: 1009,
      reason: expect.stringMatching(/^LAUNCH has \d+ bytes, over the limit of a frame$/),
    })
  })

  test('more messages in one turn than a frame may have: all arrive', async () => {
    const { agent, connection } = await dialed()
    const messages = 25_000
    let got = 0
    const done = new Promise<void>((resolve, reject) => {
      connection.onMessage = () => {
        if (++got === messages) resolve()
      }
      connection.onClose = (code, reason) => reject(new Error(`closed ${code} ${reason}`))
    })
    for (let n = 0; n < messages; n++) agent.send({ type: 'KILL_ACK', taskId: `t${n}` })
    await done
  })

  test('a node that does not lead: the agent is told where the leader is', async () => {
    place = { type: 'elsewhere', httpUrl: 'http://10.0.0.2:8081' }
    expect(await createAgentDialer().dial(url)).toEqual({ redirect: 'http://10.0.0.2:8081/agent/v1' })
  })

  test('no leader: the refusal carries the reason', async () => {
    place = { type: 'nowhere', reason: 'Storage is not READY' }
    await expect(createAgentDialer().dial(url)).rejects.toThrow(/503: Storage is not READY/)
  })

  test('https: the agent comes in when it knows the CA of the node, and is not fooled by another', async () => {
    const pem = (name: string): string => readFileSync(join(import.meta.dirname, `../fixtures/tls/${name}.pem`), 'utf8')
    const secure = createSecureServer({ cert: pem('node-1'), key: pem('node-1-key') })
    const secureListener = listenForAgents(secure, () => place)
    secureListener.onConnection = () => {}
    secure.listen(0, '127.0.0.1')
    await once(secure, 'listening')
    const secureUrl = `https://127.0.0.1:${(secure.address() as AddressInfo).port}`
    const dial = await createAgentDialer({ ca: pem('ca') }).dial(secureUrl)
    expect('connection' in dial && dial.nonce).not.toBe('')
    await expect(createAgentDialer({ ca: pem('other-ca') }).dial(secureUrl)).rejects.toThrow(/certificate/)
    await expect(createAgentDialer().dial(secureUrl)).rejects.toThrow(/certificate/)
    secureListener.detach()
    secure.closeAllConnections()
    secure.close()
  })

  test('nobody listens: the error names the address', async () => {
    await expect(createAgentDialer().dial('http://127.0.0.1:1')).rejects.toThrow(/cannot reach 127\.0\.0\.1:1/)
  })

  test.each([
    ['a text frame', 'hello' as string | Uint8Array, 1003],
    ['bytes that are no frame', new Uint8Array([0xc1, 1, 2]), 1007],
    ['a frame over 4 MiB', new Uint8Array(FRAME_BYTES_MAX + 1), 1009],
  ])('%s closes that connection only', async (_, bytes, code) => {
    const { connection: neighbour, agent } = await dialed()
    const victim = accepted()
    const raw = new WebSocket(`${url.replace('http', 'ws')}/agent/v1`, [AGENT_SUBPROTOCOL])
    raw.on('error', () => {})
    await once(raw, 'open')
    const told = closed((await victim).connection)
    raw.send(bytes)
    const [seen] = (await once(raw, 'close')) as [number]
    expect(seen).toBe(code)
    await told
    agent.send({ type: 'KILL_ACK', taskId: 'still here' })
    expect(await nextMessage(neighbour)).toEqual({ type: 'KILL_ACK', taskId: 'still here' })
  })

  test('the other end goes away: the owner is told once', async () => {
    const { agent, connection } = await dialed()
    const told = closed(connection)
    agent.close(1001, 'restarting')
    expect(await told).toEqual({ code: 1001, reason: 'restarting' })
  })

  test('a web page is no agent: a browser names its origin, and is refused', async () => {
    listener.onConnection = () => expect.unreachable('a page has come in')
    const raw = new WebSocket(`${url.replace('http', 'ws')}/agent/v1`, [AGENT_SUBPROTOCOL], {
      origin: 'https://evil.example',
    })
    const [cause] = (await once(raw, 'error')) as [Error]
    expect(cause.message).toMatch(/403/)
  })

  test('another path: 404 that names the right one', async () => {
    const raw = new WebSocket(`${url.replace('http', 'ws')}/elsewhere`)
    const [cause] = (await once(raw, 'error')) as [Error]
    expect(cause.message).toMatch(/404/)
  })
})
