/** comlink over the ports of worker threads: its own adapter, typed and imported in one place. */
import type { MessagePort, Worker } from 'node:worker_threads'
import type { Endpoint } from 'comlink'
import adapter from 'comlink/dist/umd/node-adapter.js'

type Adapt = (port: MessagePort | Worker) => Endpoint
/** A CommonJS module, whose default export Node and the compiler see in different places. */
export const nodeEndpoint = ((adapter as unknown as { default?: Adapt }).default ?? adapter) as unknown as Adapt
