/** `/quitquitquit` and `/abortabortabort`: how supervisors end a node over HTTP. Source: the outside interfaces, 2 and 16. */
import type { FastifyInstance } from 'fastify'
import { rejected } from '../../core/base/rejection.ts'
import type { HttpDeps } from '../http-server.ts'
import { sendProblem } from './problem.ts'

/** Both return at once. */
export interface ProcessEnd {
  /** In order, as SIGTERM does. */
  quit(): void
  /** At once, with a status that supervisors start it again after. */
  abort(): void
}

export function addProcessRoutes(app: FastifyInstance, deps: HttpDeps): void {
  // Whatever is sent along means nothing.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, _body, done) => done(null, undefined))
  const add = (url: string, text: string, end: (process: ProcessEnd) => void): void => {
    app.post(url, (_request, reply) => {
      const { processEnd } = deps
      if (processEnd === undefined) {
        sendProblem(
          reply,
          rejected('NOT_BUILT', 'This process cannot be ended over HTTP', { remedy: 'send it SIGTERM' }),
        )
        return reply
      }
      // What is asked for may be done before the answer has left, so it leaves first.
      reply.raw.once('close', () => end(processEnd))
      return reply.header('connection', 'close').type('text/plain; charset=utf-8').send(text)
    })
  }
  add('/quitquitquit', 'Notifying quit listener.\n', process => process.quit())
  add('/abortabortabort', 'Aborting.\n', process => process.abort())
}
