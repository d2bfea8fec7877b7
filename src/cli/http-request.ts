import { request as httpRequest, type IncomingMessage } from 'node:http'

/** One HTTP request, over node's own client: the built-in `fetch` costs a command a tenth of a second to load. */
export interface HttpQuestion {
  readonly method: 'GET' | 'POST'
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
  readonly signal: AbortSignal
  /** PEM of those by whom an https server is known; not given: the CAs that come with Node.js. */
  readonly ca?: string
}

export interface HttpAnswer {
  readonly status: number
  /** Seconds, as the server says it; null when it does not. */
  readonly retryAfter: string | null
  readonly text: string
}

const REDIRECTS_MAX = 5
/** Far more than any page of a list; a wrong address must not fill the memory. */
const ANSWER_BYTES_MAX = 256 * 1024 * 1024

/**
 * Follows 307 and 308 with method and body, as nodes that do not lead answer. Fails when nobody answers, with the
 * system's code (`ECONNREFUSED` …) on the error.
 */
export async function httpSend(question: HttpQuestion): Promise<HttpAnswer> {
  let url = new URL(question.url)
  for (let redirects = 0; ; redirects++) {
    const message = await ask(url, question)
    const text = await textOf(message)
    const location = message.headers.location
    const status = message.statusCode ?? 0
    if ((status !== 307 && status !== 308) || location === undefined || redirects === REDIRECTS_MAX) {
      return { status, retryAfter: message.headers['retry-after'] ?? null, text }
    }
    const next = new URL(location, url)
    if (url.protocol === 'https:' && next.protocol !== 'https:') {
      throw new Error(`it sends on from https to ${next.origin}, where all can be read: set http.tls on every node`)
    }
    url = next
  }
}

/** The answer as it comes; fails in the middle when the connection does. */
export interface HttpStream {
  readonly status: number
  readonly chunks: AsyncIterable<Uint8Array>
}

/** Follows no redirects: what has no end is answered by every node. */
export async function httpStream(question: HttpQuestion): Promise<HttpStream> {
  const message = await ask(new URL(question.url), question)
  return { status: message.statusCode ?? 0, chunks: message }
}

async function ask(url: URL, question: HttpQuestion): Promise<IncomingMessage> {
  const request = url.protocol === 'https:' ? (await import('node:https')).request : httpRequest
  const { method, signal, body, ca } = question
  const headers =
    body === undefined ? question.headers : { ...question.headers, 'content-length': Buffer.byteLength(body) }
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, headers, signal, ...(ca === undefined ? {} : { ca }) }, resolve)
    sent.on('error', reject)
    sent.end(body)
  })
}

async function textOf(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of message as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > ANSWER_BYTES_MAX) throw new Error(`the answer is longer than ${ANSWER_BYTES_MAX} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
