/** Server-sent events as they arrive: one block per empty line. Comments and unknown fields are passed over. */

export interface SseBlock {
  readonly id: string | null
  /** `message` when none is stated. */
  readonly event: string
  /** Empty: only the id is new. */
  readonly data: string
}

/** A block that the connection cut in the middle is not handed out. */
export async function* readSse(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<SseBlock> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of chunks) {
    text += decoder.decode(chunk, { stream: true })
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      yield blockOf(text.slice(0, end))
      text = text.slice(end + 2)
    }
  }
}

function blockOf(text: string): SseBlock {
  let id: string | null = null
  let event = 'message'
  const data: string[] = []
  for (const line of text.split('\n')) {
    const found = /^(\w+): ?(.*)$/.exec(line)
    if (found === null) continue
    const [, field, value = ''] = found
    if (field === 'id') id = value
    else if (field === 'event') event = value
    else if (field === 'data') data.push(value)
  }
  return { id, event, data: data.join('\n') }
}
