/**
 * What is no HTTP at all, or too much of it, reaches no route. Its sender gets a problem document all the same, written
 * on the socket, and the connection ends.
 */
import { randomUUID } from 'node:crypto'
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { rejected } from '../../core/base/rejection.ts'
import { CALL_ID_HEADER } from './call-id.ts'
import { problemOf } from './problem.ts'

interface Fault {
  readonly status: number
  readonly detail: string
  readonly remedy: string
}
const FAULTS: Readonly<Record<string, Fault>> = {
  ERR_HTTP_REQUEST_TIMEOUT: {
    status: 408,
    detail: 'The request did not arrive in time',
    remedy: 'send it again, and all of it at once',
  },
  HPE_HEADER_OVERFLOW: {
    status: 431,
    detail: 'The headers of the request are too large',
    remedy: 'send fewer of them: cookies of other pages under this host name are a usual reason',
  },
}
const NO_HTTP: Fault = {
  status: 400,
  detail: 'The request is not HTTP/1.1',
  remedy: 'send HTTP/1.1 to this port, and TLS only if the node is configured for it',
}

export function refuseUnreadable(error: { readonly code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) return void socket.destroy()
  const { status, detail, remedy } = FAULTS[error.code ?? ''] ?? NO_HTTP
  const callId = randomUUID()
  const body = JSON.stringify({ ...problemOf(rejected('MALFORMED', detail, { remedy }), status), callId })
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    'content-type: application/problem+json',
    `content-length: ${Buffer.byteLength(body)}`,
    `${CALL_ID_HEADER}: ${callId}`,
    'connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}
