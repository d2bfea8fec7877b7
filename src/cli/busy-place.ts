import { Session } from 'node:inspector'

/**
 * Where a thread of this process is at work: the lines of a stack, innermost first, as `file:///…:line:column`, 1-based.
 * The thread is halted for a moment and goes on. Empty when it runs nothing within `waitMs`, as it waits then.
 */
export function busyPlace(threadUrl: string, waitMs: number): Promise<string> {
  const session = new Session()
  const urls = new Map<string, string>()
  return new Promise(done => {
    let thread: string | null = null
    const send = (id: number, method: string): void => {
      if (thread === null) return
      session.post('NodeWorker.sendMessageToWorker', { sessionId: thread, message: JSON.stringify({ id, method }) })
    }
    const end = (lines: readonly string[]): void => {
      clearTimeout(timer)
      send(3, 'Debugger.disable')
      session.disconnect()
      done(lines.join('\n'))
    }
    const timer = setTimeout(() => end([]), waitMs)
    session.on('NodeWorker.attachedToWorker', ({ params }) => {
      if (params.workerInfo.url !== threadUrl) return
      thread = params.sessionId
      send(1, 'Debugger.enable')
      send(2, 'Debugger.pause')
    })
    session.on('NodeWorker.receivedMessageFromWorker', ({ params }) => {
      const told = JSON.parse(params.message) as Told
      if (told.method === 'Debugger.scriptParsed') urls.set(told.params.scriptId, told.params.url)
      if (told.method !== 'Debugger.paused') return
      end(
        told.params.callFrames.map(({ location: { scriptId, lineNumber, columnNumber = 0 } }) => {
          return `${urls.get(scriptId) ?? ''}:${lineNumber + 1}:${columnNumber + 1}`
        }),
      )
    })
    session.connect()
    session.post('NodeWorker.enable', { waitForDebuggerOnStart: false })
  })
}

type Told =
  | { readonly method: 'Debugger.scriptParsed'; readonly params: { readonly scriptId: string; readonly url: string } }
  | {
      readonly method: 'Debugger.paused'
      readonly params: {
        readonly callFrames: readonly {
          readonly location: { readonly scriptId: string; readonly lineNumber: number; readonly columnNumber?: number }
        }[]
      }
    }
  | { readonly method: undefined }
