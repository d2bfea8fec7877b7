/**
 * `/services` and `/threads`: the parts of this node and how they are, from any node. What Aurora tells of its services
 * and JVM threads is told here of threads, the actors that everything else hangs under, and the event loop.
 */
import type { FastifyInstance } from 'fastify'
import type { InspectedActor, InspectorReport } from '../../actors/inspector.ts'
import type { HttpDeps } from '../http-server.ts'

type ServiceState = 'RUNNING' | 'STOPPING' | 'FAILED'

export function addServiceRoutes(app: FastifyInstance, deps: HttpDeps): void {
  app.get('/services', async (_request, reply) => {
    const { actors } = await deps.inspect()
    return reply.send(actors.filter(isService).map(serviceDocument))
  })
  app.get('/threads', async (_request, reply) => {
    const turnMs = await turnOfLoop()
    const text = threadsText(await deps.inspect(), turnMs, process.getActiveResourcesInfo())
    return reply.header('content-type', 'text/plain; charset=utf-8').header('cache-control', 'no-store').send(text)
  })
}

/** Threads, what lives right in one of them, and the parts of a leader: not the many actors of tasks below these. */
function isService({ path }: InspectedActor): boolean {
  return /^\/[^/]+(\/[^/]+)?$/.test(path) || /^\/scheduler\/leader\/[^/]+$/.test(path)
}

const STATES: Readonly<Record<InspectedActor['status'], ServiceState>> = {
  running: 'RUNNING',
  stopping: 'STOPPING',
  restarting: 'FAILED',
  mute: 'FAILED',
}

function serviceDocument({ path, status, lastError }: InspectedActor): object {
  const state = STATES[status]
  return { name: path, state, ...(state === 'FAILED' ? { failureCause: lastError?.message ?? status } : {}) }
}

/** How long the event loop takes to come round once, now; ms. */
function turnOfLoop(): Promise<number> {
  const startMs = performance.now()
  return new Promise(resolve => void setImmediate(() => setImmediate(() => resolve(performance.now() - startMs))))
}

function threadsText({ actors }: InspectorReport, turnMs: number, handles: readonly string[]): string {
  const counts = new Map<string, number>()
  for (const handle of handles) counts.set(handle, (counts.get(handle) ?? 0) + 1)
  const threads = [...new Set(actors.map(actor => actor.thread))]
  return [
    'Name: main',
    `Event loop: came round in ${turnMs.toFixed(1)} ms`,
    `Handles: ${[...counts].map(([name, count]) => `${name} ${count}`).join(', ')}`,
    '',
    ...threads.flatMap(thread => {
      return threadLines(
        thread,
        actors.filter(actor => actor.thread === thread),
      )
    }),
  ].join('\n')
}

function threadLines(thread: string, all: readonly InspectedActor[]): string[] {
  const depth = all.reduce((sum, actor) => sum + actor.mailboxDepth, 0)
  const oldestMs = all.reduce((most, actor) => Math.max(most, actor.oldestMessageAgeMs), 0)
  const own = all.find(actor => actor.path === `/${thread}`)
  const trouble = own?.lastError === null || own === undefined ? '' : ` (${own.lastError.message})`
  return [
    `Name: ${thread}`,
    `State: ${own?.status ?? 'running'}${trouble}`,
    `Actors: ${all.length}; messages that wait: ${depth}, the oldest for ${Math.round(oldestMs)} ms`,
    ...all.filter(actor => isService(actor) && actor !== own).map(actorLine),
    '',
  ]
}

function actorLine({ path, kind, status, mailboxDepth, processed, busyMs }: InspectedActor): string {
  return `  ${path} (${kind}) ${status}, ${mailboxDepth} wait, ${processed} done in ${Math.round(busyMs)} ms`
}
