/**
 * The scheduler thread's end of the log: starts the log thread and speaks the log port with it: questions over comlink,
 * appends and events over a channel of their own (`log-stream.ts`). Appends of one event turn travel as one message, and
 * their results come back as one per commit, together with the changes of leadership, so their order is kept. If the thread dies, everything in flight ends unknown and `onDeath` is
 * told; by default the process then ends with the thread's exit status.
 */
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'
import { type Remote, transfer, wrap } from 'comlink'
import type { ActorReport } from '../../actors/actor.ts'
import {
  type LeaseView,
  type Logger,
  type LogPort,
  type Metrics,
  silentLogger,
  silentMetrics,
} from '../../actors/ports.ts'
import type { RowSource } from '../backup-folder.ts'
import { EXIT } from '../exit.ts'
import { nodeEndpoint } from './comlink-node.ts'
import { LeaseMemory } from './lease-memory.ts'
import { endProcess, LogFront, type LogThreadDeath, type RemoteLog } from './log-front.ts'
import type { LogNodeOptions } from './log-options.ts'
import { type PackedEvent, packAppends, unpackEvents } from './log-stream.ts'
import type { LogThreadApi, LogThreadData } from './log-thread.ts'

export type { LogThreadDeath } from './log-front.ts'

export interface LogThreadOptions extends LogNodeOptions {
  readonly log?: Logger
  readonly metrics?: Metrics
  /** Told once when the thread ends without having been asked to. Default: ends the process with that status. */
  readonly onDeath?: (death: LogThreadDeath) => void
}

export interface LogThread extends LogPort {
  /** The actors of the log thread, for the inspector and for Health. */
  actors(): Promise<readonly ActorReport[]>
  /** The row tables of this node, for a backup. */
  readonly rows: RowSource
  /** Closes the store, then ends the thread. */
  terminate(): Promise<void>
}

/** The thread is up when this resolves; the store is opened by `start`, which rejects with LogRefused if it must not be. */
export async function openLogThread(options: LogThreadOptions): Promise<LogThread> {
  const { log = silentLogger, metrics = silentMetrics, onDeath = endProcess, ...nodeOptions } = options
  const lease = new LeaseMemory()
  const workerData: LogThreadData = { options: nodeOptions, lease: lease.buffer }
  const worker = new Worker(entryOf('log-thread'), { workerData, name: 'daybreak log' })
  const api = wrap<LogThreadApi>(nodeEndpoint(worker))
  const { port1: stream, port2: theirs } = new MessageChannel()
  const front = new LogFront(remoteOf(api, stream, lease), { log, metrics, onDeath })
  worker.on('error', cause => front.died({ status: EXIT.bug, reason: cause.stack ?? cause.message }))
  worker.on('exit', status => front.died({ status, reason: `the log thread ended with status ${status}` }))
  stream.on('message', (events: readonly PackedEvent[]) => front.told(unpackEvents(events)))
  await api.connect(transfer(theirs, [theirs]))
  let ending: Promise<void> | null = null
  const terminate = async (): Promise<void> => {
    await front.stop()
    await worker.terminate()
    stream.close()
  }
  return {
    lease,
    start: listener => front.start(listener),
    status: () => front.status(),
    append: (payload, basis) => front.append(payload, basis),
    readRows: (cursor, rowsMax) => front.readRows(cursor, rowsMax),
    read: (from, to) => front.read(from, to),
    rowsLoaded: loaded => front.rowsLoaded(loaded),
    transfer: to => front.transfer(to),
    stop: () => front.stop(),
    actors: () => api.actors(),
    rows: {
      begin: positionMin => api.beginReading(positionMin),
      page: id => api.readPage(id),
      end: id => api.endReading(id),
    },
    terminate: () => {
      ending ??= terminate()
      return ending
    },
  }
}

function remoteOf(api: Remote<LogThreadApi>, stream: MessagePort, lease: LeaseView): RemoteLog {
  return {
    lease,
    open: () => api.open(),
    report: () => api.report(),
    // Nobody waits for this itself: results come as events, and a dead thread ends them all.
    append: requests => {
      const { message, transfer: buffers } = packAppends(requests)
      stream.postMessage(message, buffers)
    },
    readRows: (cursor, rowsMax) => api.readRows(cursor, rowsMax),
    read: (from, to) => api.read(from, to),
    rowsLoaded: loaded => void api.rowsLoaded(loaded),
    transfer: to => api.transfer(to),
    stop: () => api.stop(),
  }
}

/** A worker runs built code. Beside this file when it is built itself; in `dist` when it runs from the source (tests). */
function entryOf(name: string): URL {
  if (import.meta.url.endsWith('.js')) return new URL(`./${name}.js`, import.meta.url)
  return new URL(`../../../dist/bundle/${name}.js`, import.meta.url)
}
