/**
 * What an agent and its launcher tell each other over the launcher's stdin and stdout: JSON, one message a line. The
 * agent sends a command once the one before it is answered; reports of ends come at any time, after the run's `begun`.
 */

/** What launchers call themselves in their arguments; the mark of their agent's work folder follows. */
export const LAUNCHER_NAME = 'daybreak-launcher'

export interface LaunchCommand {
  /** Never used again by the same agent. */
  readonly id: number
  readonly program: string
  readonly args: readonly string[]
  readonly cwd: string
  /** All of it: nothing of the launcher's own is added. */
  readonly env: Readonly<Record<string, string>>
  /** Folder of the run's records. It is made for this run, and its being there says that the run was begun. */
  readonly records: string
  /** What the record of the start says besides pid and start ticks. */
  readonly token: string
  /** Folder of the output files; null: output goes nowhere. */
  readonly output: string | null
  /** Another launcher has died with this command: the folder of records may be there. */
  readonly isAgain: boolean
}

export type LaunchReport =
  | { readonly type: 'begun'; readonly id: number; readonly pid: number; readonly startTicks: number }
  /** Nothing was started. */
  | { readonly type: 'refused'; readonly id: number; readonly text: string }
  /** `code`: the shim's status; null: it was ended by a signal. */
  | { readonly type: 'ended'; readonly id: number; readonly code: number | null }

/** Takes chunks of a stream as they come and hands on each whole message. */
export function messageReader<Message>(take: (message: Message) => void): (chunk: string) => void {
  let rest = ''
  return chunk => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) take(JSON.parse(line) as Message)
  }
}

export const messageLine = (message: LaunchCommand | LaunchReport): string => `${JSON.stringify(message)}\n`
