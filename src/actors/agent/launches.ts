import { decideLaunch, isLive, type TaskRecord, takenRecord } from '../../core/executor/agent-book.ts'
import type { Launch } from '../../wire/messages/agent.ts'
import type { AgentActorOptions } from '../agent.ts'
import type { AgentContext } from './agent-message.ts'
import type { Journal } from './journal.ts'
import type { LeaderLink } from './leader-link.ts'
import type { Runners } from './runners.ts'
import type { StandingOffer } from './standing-offer.ts'
import type { TaskBook } from './task-book.ts'

export interface LaunchesParts {
  readonly options: AgentActorOptions
  readonly context: AgentContext
  readonly journal: Journal
  readonly book: TaskBook
  readonly link: LeaderLink
  readonly runners: Runners
  readonly offer: StandingOffer
}

/** Takes tasks that fit or says why not; answered, and run, once the records of the taken ones are durable. */
export class Launches {
  private readonly parts: LaunchesParts

  constructor(parts: LaunchesParts) {
    this.parts = parts
  }

  launch(message: Launch, atMonoMs: number): void {
    const { book, context, journal, link, offer, options, runners } = this.parts
    const { capacity } = offer
    const { wallMs, monoMs } = context.now()
    const fresh: TaskRecord[] = []
    const results = message.tasks.map(request => {
      const decision = decideLaunch(request, book.records, book.tombstones, capacity, monoMs - atMonoMs)
      if (decision.fresh) {
        const record = takenRecord(request, wallMs, options.machine.bootId)
        book.put(record)
        fresh.push(record)
      }
      options.metrics.count('agent_launches', 1, { code: decision.code })
      return { taskId: request.taskId, code: decision.code, message: decision.message }
    })
    journal.write({ records: fresh }, () => {
      link.send({ type: 'LAUNCH_ACK', results })
      for (const { taskId } of fresh) {
        const record = book.get(taskId)
        if (record !== undefined && isLive(record)) runners.run(record, null)
      }
    })
  }
}
