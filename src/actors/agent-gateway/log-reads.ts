/**
 * Reads of task logs that wait for an agent's answer. Each ends once: with the data, when its time is up, or when the
 * agent's session ends.
 */
import type { AgentId } from '../../core/base/ids.ts'
import { type Rejection, rejected } from '../../core/base/rejection.ts'
import type { LogData } from '../../wire/messages/agent.ts'
import type { Context, Ref } from '../actor.ts'
import type { GatewayWorld, ReadLog } from '../agent-gateway.ts'
import type { Sessions } from './sessions.ts'

export interface ReadExpired {
  readonly type: 'readExpired'
  readonly request: number
}

export interface LogReads {
  readonly waiting: number
  read(command: ReadLog): void
  answered(data: LogData): void
  expired(request: number): void
  agentLeft(id: AgentId): void
}

export function logReads(
  context: Context<ReadExpired>,
  { ledger, epoch, readMsMax }: GatewayWorld,
  sessions: Pick<Sessions, 'ready'>,
): LogReads {
  const reads = new Map<number, { readonly replyTo: Ref<LogData | Rejection>; readonly agentId: AgentId }>()
  let nextRead = 1

  function read(command: ReadLog): void {
    const { agentId, taskId, process, run, stream, offset, length, replyTo } = command
    const session = sessions.ready(agentId)
    if (session === undefined) {
      const host = ledger.view.agent(agentId)?.host ?? agentId
      const detail = `The agent on ${host} is not connected, so its logs cannot be read now`
      replyTo.tell(rejected('AGENT_UNREACHABLE', detail, { remedy: 'try again once it is back' }))
      return
    }
    const request = nextRead++
    reads.set(request, { replyTo, agentId })
    context.startTimer(`read-${request}`, readMsMax, { type: 'readExpired', request })
    session.connection.send({ type: 'LOG_READ', epoch, request, taskId, process, run, stream, offset, length })
  }

  function answered(data: LogData): void {
    const waiting = reads.get(data.request)
    if (waiting === undefined) return
    reads.delete(data.request)
    context.cancelTimer(`read-${data.request}`)
    waiting.replyTo.tell(data.error === null ? data : rejected('NOT_FOUND', data.error))
  }

  function expired(request: number): void {
    const waiting = reads.get(request)
    if (waiting === undefined) return
    reads.delete(request)
    const detail = `The agent did not answer within ${readMsMax / 1000} s`
    waiting.replyTo.tell(rejected('AGENT_UNREACHABLE', detail, { remedy: 'try again' }))
  }

  function agentLeft(id: AgentId): void {
    for (const [request, { agentId }] of reads) if (agentId === id) expired(request)
  }

  return {
    get waiting() {
      return reads.size
    },
    read,
    answered,
    expired,
    agentLeft,
  }
}
