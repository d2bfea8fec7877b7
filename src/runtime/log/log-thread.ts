/**
 * The log thread: a log node with an actor system of its own, behind comlink and a stream (`log-stream.ts`). It shares
 * nothing with the scheduler thread, so a long scheduling round or a garbage collection there delays neither a flush nor
 * a heartbeat. What it has to tell goes out once per turn, in order, as one message.
 */
import { randomInt } from 'node:crypto'
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { expose, transfer } from 'comlink'
import type { Logger, Metrics, RowCursor } from '../../actors/ports.ts'
import { createActorSystem } from '../../actors/shell.ts'
import { prng } from '../../core/base/prng.ts'
import { realClock } from '../clock.ts'
import { nodeEndpoint } from './comlink-node.ts'
import { LeaseMemory } from './lease-memory.ts'
import { ignoreEchoesOfFailedCommits } from './lmdb-trouble.ts'
import type { FrontEvent } from './log-front.ts'
import { LogNode } from './log-node.ts'
import type { LogNodeOptions } from './log-options.ts'
import { type PackedAppends, packEvents, unpackAppends } from './log-stream.ts'

export interface LogThreadData {
  readonly options: LogNodeOptions
  /** Shared with the scheduler thread, which reads the lease from it. */
  readonly lease: SharedArrayBuffer
}

export interface LogThreadApi {
  /** Appends come in and events go out here, in order. */
  connect(stream: MessagePort): void
  open: LogNode['open']
  report: LogNode['report']
  readRows: LogNode['readRows']
  beginReading: LogNode['beginReading']
  readPage: LogNode['reading']['page']
  endReading: LogNode['reading']['end']
  read: LogNode['read']
  rowsLoaded: LogNode['rowsLoaded']
  transfer: LogNode['transfer']
  stop: LogNode['stop']
  actors: LogNode['actors']
}

let stream: MessagePort | null = null
let outbox: FrontEvent[] = []

function tell(event: FrontEvent): void {
  if (outbox.push(event) > 1) return
  queueMicrotask(() => {
    const events = outbox
    outbox = []
    const { message, transfer: buffers } = packEvents(events)
    stream?.postMessage(message, buffers)
  })
}

const flushSeconds: number[] = []

/** Counts and gauges go out as they are; flush times, which may be thousands a second, a few at a time. */
const metrics: Metrics = {
  count: (name, by = 1, labels = {}) => tell({ type: 'count', name, by, labels }),
  gauge: (name, value, labels) => tell({ type: 'gauge', name, value, labels }),
  observe: (name, seconds) => {
    if (flushSeconds.push(seconds) === 1) {
      setTimeout(() => tell({ type: 'observe', name, values: flushSeconds.splice(0) }), 100).unref()
    }
  },
}

function logger(): Logger {
  const at =
    (level: 'debug' | 'info' | 'warn' | 'error') => (event: string, fields?: Readonly<Record<string, unknown>>) =>
      tell({ type: 'log', level, event, ...(fields === undefined ? {} : { fields }) })
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), child: () => logger() }
}

ignoreEchoesOfFailedCommits()

const log = logger()
const data = workerData as LogThreadData
const node = new LogNode(data.options, {
  lease: new LeaseMemory(data.lease),
  log,
  metrics,
  emit: tell,
  makeSystem: onEndProcess =>
    createActorSystem({
      name: 'log',
      clock: realClock,
      random: prng(randomInt(2 ** 32 - 1)),
      log,
      metrics,
      onEndProcess,
    }),
})

const api: LogThreadApi = {
  connect: port => {
    stream = port
    port.on('message', (appends: PackedAppends) => node.append(unpackAppends(appends)))
  },
  open: () => node.open(),
  report: () => node.report(),
  readRows: (cursor: RowCursor | null, rowsMax: number) => {
    const page = node.readRows(cursor, rowsMax)
    return transfer(page, [...new Set(page.rows.map(row => row.bytes.buffer as ArrayBuffer))])
  },
  beginReading: positionMin => node.beginReading(positionMin),
  readPage: id => {
    const page = node.reading.page(id)
    return transfer(page, [page.payload.buffer as ArrayBuffer])
  },
  endReading: id => node.reading.end(id),
  read: (from, to) => node.read(from, to),
  rowsLoaded: loaded => node.rowsLoaded(loaded),
  transfer: to => node.transfer(to),
  stop: () => node.stop(),
  actors: () => node.actors(),
}
expose(api, nodeEndpoint(parentPort!))
