import { clusterUrl } from './clusters.ts'
import { type CommonOptions, parseCount, parseDuration } from './command.ts'
import { CLIENT_EXIT } from './exit-status.ts'
import { CliFailure, type Io } from './io.ts'
import { parseJobAndInstances } from './keys.ts'
import { fillIn, inSandbox, type LiveTask, liveTasks, login, optionWords, runTool } from './live-tasks.ts'
import { restClient } from './rest-client.ts'

/**
 * `daybreak task run KEY[/INSTANCES] CMD`: over ssh beside each task, so many at a time. Lines come as they are written,
 * `host:  ` in front. One that fails does not keep the others from running; the command fails in the end.
 */
export interface RunOptions extends CommonOptions {
  readonly threads: string
  readonly sshUser?: string
  readonly sshOptions?: string
}

export async function taskRun(io: Io, text: string, command: string, options: RunOptions): Promise<number> {
  const { key, instances } = parseJobAndInstances(text)
  const threads = parseCount(options.threads, '--threads', 1)
  const more = optionWords(options.sshOptions, '--ssh-options')
  const client = restClient(io, await clusterUrl(io, key.cluster, options.url), {
    timeoutMs: parseDuration(options.timeout),
  })
  const targets = await liveTasks(client, key, instances)
  // All are filled in before the first one runs: what is wrong with a command is wrong before it did something.
  const waiting = targets.map(target => ({ target, filled: fillIn(command, key, target) }))
  const failed: { target: LiveTask; status: number }[] = []
  const worker = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { target, filled } = next
      const args = ['-n', ...more, '--', login(io, options.sshUser, key, target), inSandbox(target, filled)]
      const line = (said: string, stream: 'stdout' | 'stderr'): void =>
        void io[stream].write(`${target.host}:  ${said}\n`)
      const { status } = await runTool(io, { name: 'ssh', args, stdio: { line } })
      if (status !== 0) failed.push({ target, status })
    }
  }
  try {
    await Promise.all(Array.from({ length: Math.min(threads, targets.length) }, worker))
  } finally {
    // One cannot go on: the others begin nothing new.
    waiting.length = 0
  }
  if (failed.length === 0) return CLIENT_EXIT.ok
  const faults = failed
    .sort((a, b) => a.target.task.instance - b.target.task.instance)
    .map(({ target, status }) => ({
      path: `instance ${target.task.instance}`,
      text: `ended with ${status} on ${target.host}${status === 255 ? ', which ssh uses when it cannot connect' : ''}`,
    }))
  throw new CliFailure(CLIENT_EXIT.commandFailed, `The command failed on ${failed.length} of ${targets.length} tasks`, {
    faults,
  })
}
