/** A client of a node's HTTP port: one request after the other on a connection, or many connections at once. */
import { Agent, request } from 'node:http'
import { REQUEST_ID_HEADER } from '../../src/wire/rest.ts'
import { BinaryWriter } from '../../src/wire/thrift/binary-writer.ts'
import type { MethodName } from '../../src/wire/thrift/methods.ts'
import { argumentsPlan } from '../../src/wire/thrift/plan.ts'
import type { Arguments } from '../../src/wire/thrift/types.ts'

const BINARY = 'application/vnd.apache.thrift.binary'
/** Of a call in binary that is answered in binary. */
export const THRIFT_HEADERS = { 'content-type': BINARY, accept: BINARY }

/** The body of a call, to be sent to `/api`. */
export function thriftCall<M extends MethodName>(method: M, args: Arguments<M>): Buffer {
  const writer = new BinaryWriter()
  writer.i32(0x80010001 | 0)
  writer.string(method)
  writer.i32(1)
  writer.struct(argumentsPlan(method), args)
  return Buffer.from(writer.take())
}

export interface Asked {
  readonly tookMs: number
  readonly bytes: number
}

export class Client {
  readonly #url: URL
  readonly #agent: Agent

  constructor(url: string, connections = 1) {
    this.#url = new URL(url)
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections })
  }

  /** To the last byte, in binary. */
  thrift<M extends MethodName>(method: M, args: Arguments<M>): Promise<Asked> {
    return this.#ask('POST', '/api', THRIFT_HEADERS, thriftCall(method, args))
  }

  get(path: string): Promise<Asked> {
    return this.#ask('GET', path, {}, null)
  }

  /** JSON; `requestId` names the change. */
  post(path: string, body: unknown, requestId: string): Promise<Asked> {
    const headers = { 'content-type': 'application/json', [REQUEST_ID_HEADER]: requestId }
    return this.#ask('POST', path, headers, Buffer.from(JSON.stringify(body)))
  }

  close(): void {
    this.#agent.destroy()
  }

  #ask(method: string, path: string, headers: Record<string, string>, body: Buffer | null): Promise<Asked> {
    const { hostname, port } = this.#url
    return new Promise((resolve, reject) => {
      const beganMs = performance.now()
      const length = body === null ? {} : { 'content-length': String(body.length) }
      const asked = request(
        { hostname, port, method, path, agent: this.#agent, headers: { ...headers, ...length } },
        response => {
          const isOk = response.statusCode === 200 || response.statusCode === 201
          let bytes = 0
          let said = ''
          response.on('data', (chunk: Buffer) => {
            bytes += chunk.length
            if (!isOk) said += chunk.toString('utf8')
          })
          response.on('error', reject)
          response.on('end', () => {
            if (response.statusCode === 200 || response.statusCode === 201)
              resolve({ tookMs: performance.now() - beganMs, bytes })
            else reject(new Error(`${method} ${path}: ${response.statusCode} ${said}`))
          })
        },
      )
      asked.on('error', reject)
      asked.end(body)
    })
  }
}

/** How long the thread of the node lets a small question wait while `work` goes on: each answer in ms. */
export async function waitsDuring(url: string, work: () => Promise<unknown>): Promise<readonly number[]> {
  const client = new Client(url)
  const waits: number[] = []
  let isOver = false
  const asking = (async () => {
    while (!isOver) waits.push((await client.get('/health')).tookMs)
  })()
  try {
    await work()
  } finally {
    isOver = true
    await asking
    client.close()
  }
  return waits
}
