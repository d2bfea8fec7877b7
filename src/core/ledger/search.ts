/**
 * Finds what people half remember: roles, jobs, machines and tasks by any part of their names. Every word of the question
 * must be in the name, in upper or lower case. Tasks, of which there are many, are found by the beginning or the end of
 * their id only, from so many letters on.
 */
import { type AgentId, type JobKey, jobKeyText, type TaskId, taskId } from '../base/ids.ts'
import { ENDING_LETTERS_MIN } from './id-endings.ts'
import type { LedgerView } from './view.ts'

export type Hit =
  | { readonly kind: 'role'; readonly name: string }
  | { readonly kind: 'job'; readonly name: string; readonly job: JobKey }
  | { readonly kind: 'agent'; readonly name: string; readonly agentId: AgentId }
  | { readonly kind: 'task'; readonly name: string; readonly taskId: TaskId }

export interface Found {
  /** The best come first: the very name, then its beginning, then the rest; then by kind and name. */
  readonly hits: readonly Hit[]
  /** There are more than were asked for. */
  readonly hasMore: boolean
}

type Searched = Pick<LedgerView, 'names' | 'task'>
type RankedHit = { readonly rank: number; readonly hit: Hit }

/** Shape: `question` has a letter that is no blank. */
export function search(view: Searched, question: string, limit: number): Found {
  const words = question.toLowerCase().split(/\s+/).filter(Boolean)
  const { names } = view
  // One more than is shown tells that there are more. Each kind comes with its best first.
  const wanted = limit + 1
  const ranked: RankedHit[] = [
    ...names.roles(words, wanted).map(({ rank, value: name }) => ({ rank, hit: { kind: 'role', name } as const })),
    ...names.jobs(words, wanted).map(({ rank, value: job }) => {
      return { rank, hit: { kind: 'job', name: jobKeyText(job), job } as const }
    }),
    ...names.agents(words, wanted).map(({ rank, value: { agentId, host } }) => {
      return { rank, hit: { kind: 'agent', name: host, agentId } as const }
    }),
    ...matchingTasks(view, question.trim(), wanted),
  ]
  // Stable: what is of one rank stays in the order of kinds, and of names within its kind.
  ranked.sort((a, b) => a.rank - b.rank)
  return { hits: ranked.slice(0, limit).map(({ hit }) => hit), hasMore: ranked.length > limit }
}

/** The very task and nothing else; or those that begin so, then those that end so. */
function matchingTasks(view: Searched, text: string, limit: number): readonly RankedHit[] {
  const hitOf = (rank: number, id: TaskId): RankedHit => ({ rank, hit: { kind: 'task', name: id, taskId: id } })
  const exact = view.task(taskId(text))
  if (exact !== undefined) return [hitOf(0, exact.taskId)]
  if (text.length < ENDING_LETTERS_MIN || /\s/.test(text)) return []
  const found: RankedHit[] = []
  for (const id of view.names.taskIdsFrom(text)) {
    if (found.length === limit || !id.startsWith(text)) break
    found.push(hitOf(1, id))
  }
  const ending = view.names.taskIdsEndingWith(text).filter(id => !id.startsWith(text))
  return [...found, ...ending.sort().map(id => hitOf(2, id))].slice(0, limit)
}
