import { clusterUrl } from './clusters.ts'
import type { CommonOptions } from './command.ts'
import { CLIENT_EXIT, type ClientExit } from './exit-status.ts'
import { CliFailure, type Io } from './io.ts'
import { type JobPattern, parseJobPattern } from './keys.ts'
import { say, sayJson } from './report.ts'
import { jobPath } from './rest-client.ts'

/** `daybreak job open CLUSTER[/ROLE[/ENV[/NAME]]]`: prints the URL, and hands it to the browser. */
export async function jobOpen(io: Io, text: string, options: CommonOptions): Promise<ClientExit> {
  const pattern = parseJobPattern(text)
  if (/[*?]/.test(text)) {
    throw new CliFailure(CLIENT_EXIT.notFound, `Only one place can be opened, and '${text}' is a pattern`)
  }
  const url = `${await clusterUrl(io, pattern.cluster, options.url)}${pathOf(pattern)}`
  if (options.json === true) {
    sayJson(io, { url })
    return CLIENT_EXIT.ok
  }
  say(io, url)
  const name = io.env.BROWSER || (process.platform === 'darwin' ? 'open' : 'xdg-open')
  const failed = (why: string, cause?: unknown): CliFailure =>
    new CliFailure(CLIENT_EXIT.commandFailed, `Cannot open a browser: ${why}`, {
      remedy: 'open the URL above yourself, or name a program in BROWSER',
      cause,
    })
  const { status } = await io.runProgram({ name, args: [url], stdio: 'none' }).catch((cause: unknown) => {
    const { code } = cause as NodeJS.ErrnoException
    if (code === undefined) throw cause
    throw failed(code === 'ENOENT' ? `there is no ${name} on the PATH` : (cause as Error).message, cause)
  })
  if (status !== 0) throw failed(`${name} ended with ${status}`)
  return CLIENT_EXIT.ok
}

/** What there is to see: of a cluster its front page, of jobs what the API tells of them. */
function pathOf(pattern: JobPattern): string {
  if (pattern.exact) return jobPath(pattern)
  const query = new URLSearchParams()
  for (const part of ['role', 'environment'] as const) if (pattern[part] !== '*') query.set(part, pattern[part])
  return query.size === 0 ? '/' : `/api/v1/jobs?${query}`
}
