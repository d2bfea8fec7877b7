/**
 * `/mname/{role}/{environment}/{job}/{instance}[/{path}]`: sends on to where that instance serves HTTP. What is asked of
 * it is passed on with its path and query as they are; a body is the instance's to read, and is not looked at here.
 */
import type { FastifyInstance } from 'fastify'
import { instanceAddress } from '../../core/aurora/state-documents.ts'
import type { HttpDeps } from '../http-server.ts'
import { leadingPage, whenTrue } from './leader-page.ts'
import { page, sendHtml } from './page.ts'

const METHODS = ['GET', 'PUT', 'POST', 'DELETE'] as const
const INSTANCE_PATH = '/mname/:role/:environment/:job/:instance'
/** Before the path of the instance: nothing, `mname`, role, environment, job and instance. */
const SEGMENTS_OWN = 6

interface Params {
  readonly role: string
  readonly environment: string
  readonly job: string
  readonly instance: string
}

export function addMnameRoutes(app: FastifyInstance, deps: HttpDeps): void {
  app.register(async scope => {
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('*', (_request, _body, done) => done(null))
    scope.get('/mname', (_request, reply) => sendHtml(reply.code(400), USAGE))
    for (const url of [INSTANCE_PATH, `${INSTANCE_PATH}/*`]) {
      scope.route<{ Params: Params }>({
        method: [...METHODS],
        url,
        handler: (request, reply) => {
          const scheduler = leadingPage(deps, request, reply)
          if (scheduler === null) return reply
          const { role, environment, job: name, instance } = request.params
          const plain = (status: number, text: string): void => {
            reply.code(status).type('text/plain; charset=utf-8').send(text)
          }
          if (!/^\d{1,9}$/.test(instance)) {
            plain(400, `The instance is ${instance}: it must be a whole number, as in /mname/role/env/job/0`)
            return reply
          }
          const found = instanceAddress(scheduler.ledger.view, { role, environment, name }, Number(instance))
          return whenTrue(scheduler, reply, () => {
            if ('fault' in found) plain(404, found.fault)
            else reply.header('location', locationOf(found, request.url)).code(307).send()
          })
        },
      })
    }
  })
}

function locationOf({ host, port }: { readonly host: string; readonly port: number }, url: string): string {
  const at = url.indexOf('?')
  const path = at < 0 ? url : url.slice(0, at)
  const query = at < 0 ? '' : url.slice(at)
  const rest = path.split('/').slice(SEGMENTS_OWN).join('/')
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}/${rest}${query}`
}

const USAGE = page(
  { title: 'Where an instance serves' },
  '<h1>Where an instance serves</h1><p>Use <code>/mname/{role}/{environment}/{job}/{instance}[/{path}]</code>: it sends ' +
    'on to the first port of the instance that is named health, http, HTTP, web or admin.</p>',
)
