/** A client that reads all tasks page by page, one request after the other. */
import { Agent, get } from 'node:http'

export interface PagesRead {
  readonly tookMs: readonly number[]
}

const PAGE_TASKS = 1_000

/** Round and round, `pages` of them. Time is from sending to the last byte; the text is parsed outside of it. */
export async function readPages(url: string, pages: number, tasks = PAGE_TASKS): Promise<PagesRead> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const tookMs: number[] = []
  try {
    let cursor: string | null = null
    while (tookMs.length < pages) {
      const behind: string = cursor === null ? '' : `&cursor=${cursor}`
      const began = performance.now()
      const text = await textOf(`${url}/api/v1/tasks?limit=${tasks}${behind}`, agent)
      tookMs.push(performance.now() - began)
      cursor = (JSON.parse(text) as { readonly next: string | null }).next
    }
  } finally {
    agent.destroy()
  }
  return { tookMs }
}

function textOf(url: string, agent: Agent): Promise<string> {
  return new Promise((resolve, reject) => {
    get(url, { agent }, response => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8')
        if (response.statusCode === 200) resolve(text)
        else reject(new Error(`${url}: ${response.statusCode} ${text}`))
      })
    }).on('error', reject)
  })
}
