import { textOf } from '../../core/base/cause.ts'
import type { LogChunk, TaskMachine } from '../agent-ports.ts'
import type { AgentContext, Link } from './agent-message.ts'
import type { LeaderOrder } from './leader-link.ts'

type LogRead = Extract<LeaderOrder, { type: 'LOG_READ' }>

const LOG_BYTES_MAX = 1024 * 1024

/** Output of tasks for whoever asks the leader; an answer belongs to the connection that the question came on. */
export class LogReads {
  private readonly context: AgentContext
  private readonly machine: TaskMachine

  constructor(context: AgentContext, machine: TaskMachine) {
    this.context = context
    this.machine = machine
  }

  read(link: Link, message: LogRead): void {
    const { request, taskId, process, run, stream, offset } = message
    const length = Math.min(message.length, LOG_BYTES_MAX)
    const reading = this.machine.readLog({ taskId, process, run, stream, offset, length })
    this.context.pipe(reading, settled => ({
      type: 'logRead',
      link,
      request,
      chunk: settled.ok ? settled.value : failedRead(process, run, textOf(settled.cause)),
    }))
  }

  answer(link: Link, request: number, chunk: LogChunk): void {
    if (link.phase === 'ready') link.connection.send({ type: 'LOG_DATA', request, ...chunk })
  }
}

function failedRead(process: string | null, run: number | null, error: string): LogChunk {
  return {
    offset: 0,
    size: 0,
    data: new Uint8Array(0),
    rotated: false,
    error: error.slice(0, 1024),
    process: process ?? '',
    run: run ?? 0,
  }
}
