/** Posts events to the web server of `scheduler.webhook.url`, over a few connections that are kept. */
import { createHmac } from 'node:crypto'
import { Agent as HttpAgent, request as httpRequest } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import type { WebhookAnswer, WebhookPort } from '../actors/webhook.ts'
import { DELIVERIES_MAX } from '../core/events/deliveries.ts'
import type { WebhookCredentials } from './webhook-files.ts'

export interface WebhookClientOptions {
  readonly url: string
  /** For the whole of a request, ms. */
  readonly timeoutMs: number
  readonly credentials: WebhookCredentials
}

export function webhookClient({ url, timeoutMs, credentials }: WebhookClientOptions): WebhookPort {
  const target = new URL(url)
  const kept = { keepAlive: true, maxSockets: DELIVERIES_MAX }
  const isSecure = target.protocol === 'https:'
  const agent = isSecure ? new HttpsAgent(kept) : new HttpAgent(kept)
  const send = isSecure ? httpsRequest : httpRequest
  return {
    post: ({ id, timestampMs, body }) =>
      new Promise<WebhookAnswer>(resolve => {
        const lost = (cause: Error): void => {
          const why = cause.name === 'TimeoutError' ? `no answer within ${timeoutMs} ms` : cause.message
          resolve({ ok: false, status: null, why: why || ((cause as NodeJS.ErrnoException).code ?? cause.name) })
        }
        const request = send(
          target,
          {
            method: 'POST',
            agent,
            signal: AbortSignal.timeout(timeoutMs),
            headers: {
              ...credentials.headers,
              'content-type': 'application/json',
              'content-length': Buffer.byteLength(body),
              'idempotency-key': id,
              timestamp: String(timestampMs),
              ...signature(credentials.secret, `${timestampMs}.${id}.${body}`),
            },
          },
          response => {
            const status = response.statusCode ?? 0
            response.on('error', lost)
            response.on('end', () => {
              const ok = status >= 200 && status < 300
              resolve({ ok, status, why: ok ? '' : `it answered ${status}` })
            })
            response.resume()
          },
        )
        request.on('error', lost)
        request.end(body)
      }),
  }
}

/** The time is signed too, so that a receiver can refuse what somebody has recorded and sends again. */
function signature(secret: string | null, signed: string): Record<string, string> {
  if (secret === null) return {}
  return { 'daybreak-signature': `sha256=${createHmac('sha256', secret).update(signed).digest('hex')}` }
}
