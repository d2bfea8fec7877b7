/**
 * One scheduler node of the log benchmark: the log thread as a real node has it, and in the place of a scheduler a server
 * that takes appends from clients (`frames.ts`).
 */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { WebSocketServer } from 'ws'
import { type Logger, type LogStatusReport, silentLogger, silentMetrics } from '../../src/actors/ports.ts'
import { type LogThread, openLogThread } from '../../src/runtime/log/log-client.ts'
import type { LogNodeOptions } from '../../src/runtime/log/log-options.ts'
import { answer } from './child.ts'
import { type Outcome, readFrame, TurnFrame } from './frames.ts'

/** What one node has used and seen since it began. */
export interface NodeCounters {
  /** All threads of the process. */
  readonly cpuMicros: number
  readonly flushes: number
  /** Views that showed another role than the one before. */
  readonly roleChanges: number
}

export type NodeQuestions = {
  /** Opens the log; answers the port for clients. */
  open: { readonly ask: LogNodeOptions; readonly answer: number }
  status: { readonly ask: null; readonly answer: LogStatusReport }
  counters: { readonly ask: null; readonly answer: NodeCounters }
  /** Keeps the thread busy that a scheduler would run in. */
  block: { readonly ask: { readonly ms: number }; readonly answer: null }
}

let log: LogThread | null = null
let flushes = 0
let roleChanges = 0
let role = 'NONE'
let isEnding = false

async function serve(thread: LogThread): Promise<number> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false, skipUTF8Validation: true })
  await once(server, 'listening')
  server.on('connection', socket => {
    const answers = new TurnFrame<Outcome>(frame => socket.send(frame))
    socket.on('message', (data: Buffer) => {
      readFrame<Uint8Array>(data, (writer, payload) => {
        void thread.append(payload).then(result => answers.add(writer, result.type))
      })
    })
    socket.on('error', () => socket.terminate())
  })
  return (server.address() as AddressInfo).port
}

async function open(options: LogNodeOptions): Promise<number> {
  const metrics = { ...silentMetrics, observe: (name: string) => void (name === 'log_flush_seconds' && flushes++) }
  log = await openLogThread({ ...options, metrics, log: complainer(options.memberId) })
  await log.start({
    viewChanged: view => {
      if (view.role !== role) roleChanges++
      role = view.role
    },
    committed: () => {},
    writable: () => {},
  })
  return serve(log)
}

/** Only what makes a measurement worthless. */
function complainer(memberId: number): Logger {
  const complain: Logger['warn'] = (event, fields) => {
    if (!isEnding && (event === 'log-leadership-lost' || event === 'log-died')) {
      console.error(`node-${memberId}: ${event} ${JSON.stringify(fields)}`)
    }
  }
  const logger: Logger = { ...silentLogger, warn: complain, error: complain, child: () => logger }
  return logger
}

function cpuMicros(): number {
  const { user, system } = process.cpuUsage()
  return user + system
}

answer<NodeQuestions>(
  {
    open,
    status: () => log!.status(),
    // Flush times arrive a little later, in bundles: the next answer of the log thread comes after them.
    counters: async () => {
      await log?.status()
      return { cpuMicros: cpuMicros(), flushes, roleChanges }
    },
    block: ({ ms }) => {
      for (const end = performance.now() + ms; performance.now() < end; );
      return null
    },
  },
  () => {
    isEnding = true
    return log?.terminate()
  },
)
