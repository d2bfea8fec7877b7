/** What a task's history says to people: what was asked of it, by whom and why, and not only its last event. */
import type { Task } from '../wire/rest.ts'

type Event = Task['events'][number]

/** Somebody asked for what follows; what ends the task is then only the agent doing as it was told. */
const ASKED: ReadonlySet<string> = new Set(['KILLING', 'RESTARTING', 'DRAINING', 'PREEMPTING'])
const ENDED: ReadonlySet<string> = new Set(['FINISHED', 'FAILED', 'KILLED', 'LOST'])

/** `who: why`; a reason that the message gives already is not said twice. Empty when neither is known. */
export function byText({ message, who, why }: Pick<Event, 'message' | 'who' | 'why'>): string {
  const reason = why !== null && message?.includes(why) ? null : why
  return [who, reason].filter(part => part !== null).join(': ')
}

/** In one line: the last message, with its reason, and for a task that has ended what led to the end. */
export function storyOf({ events }: Task): string {
  const last = events.at(-1)
  if (last === undefined) return ''
  const cause = ENDED.has(last.status) ? events.findLast(({ status }) => ASKED.has(status)) : undefined
  if (cause === undefined) return told(last)
  // KILLED is what was asked for; any other end is news.
  const end = last.status === 'KILLED' ? '' : told(last)
  return [told(cause), end].filter(text => text !== '').join('; ')
}

/** Only a reason that a person gave comes along: of the rest the history tells. */
function told({ message, who, why }: Event): string {
  const text = message ?? ''
  const isGiven = why !== null && who !== null && !text.includes(why) && text.includes(who)
  return isGiven ? `${text}: ${why}` : text
}
