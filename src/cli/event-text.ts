import type { EventDocument } from '../wire/events.ts'
import { type Paint, printable, type Style } from './screen.ts'
import { byText } from './task-story.ts'

/** An event as a line for people: when, its id, whom it is about, what has changed, and who wanted it. */
export function eventLine(event: EventDocument, style: Style): string {
  const at = event.atMs === null ? '-'.padEnd(24) : new Date(event.atMs).toISOString()
  const [about, what, paint] = wordsOf(event)
  const { who, why } = event
  const text = byText({ message: event.type === 'task.transition' ? event.message : null, who, why })
  const by = text === '' ? '' : `  (${text})`
  return `${style.paint(at, 'dim')}  ${event.id}  ${printable(about)}  ${style.paint(printable(what), paint)}${style.paint(printable(by), 'dim')}\n`
}

function wordsOf(event: EventDocument): [about: string, what: string, paint: Paint] {
  switch (event.type) {
    case 'task.transition': {
      const { role, environment, name } = event.job
      const where = event.host === null ? '' : ` on ${event.host}`
      const message = event.message === null ? '' : `: ${event.message}`
      const from = event.oldState === null ? '' : `${event.oldState} → `
      const about = `${role}/${environment}/${name}/${event.instance}`
      return [about, `${from}${event.newState}${where}${message}`, PAINTS[event.newState] ?? 'busy']
    }
    case 'task.deleted':
      return [event.taskId, 'deleted', 'dim']
    case 'job.changed': {
      const { role, environment, name } = event.job
      const what = event.instanceCount === null ? 'job deleted' : `job written, ${event.instanceCount} instances`
      return [`${role}/${environment}/${name}`, what, 'strong']
    }
    case 'agent.changed':
      return [
        `agent ${event.agentId}`,
        event.host === null ? 'forgotten' : `on ${event.host}, mode ${event.mode}`,
        'strong',
      ]
    case 'leader.changed':
      return [`node ${event.memberId}`, `leads, ballot ${event.ballot.join('.')}`, 'strong']
  }
}

const PAINTS: Readonly<Record<string, Paint>> = { RUNNING: 'good', FINISHED: 'good', FAILED: 'bad', LOST: 'bad' }
