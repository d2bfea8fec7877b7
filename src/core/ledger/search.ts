/**
 * Finds what people half remember: roles, jobs, machines and tasks by any part of their names. Every word of the question
 * must be in the name, in upper or lower case. Tasks, of which there are many, are found by the beginning or the end of
 * their id only, from so many letters on.
 */
import { type AgentId, compareIds, type JobKey, jobKeyText, type TaskId, taskId } from '../base/ids.ts'
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

const KINDS: readonly Hit['kind'][] = ['role', 'job', 'agent', 'task']
const TASK_LETTERS_MIN = 6
const TASKS_MAX = 1_000

type Searched = Pick<LedgerView, 'jobKeys' | 'agents' | 'agent' | 'task' | 'tasks'>

/** Shape: `question` has a letter that is no blank. */
export function search(view: Searched, question: string, limit: number): Found {
  const words = question.toLowerCase().split(/\s+/).filter(Boolean)
  const whole = words.join(' ')
  const ranked: { readonly rank: number; readonly hit: Hit }[] = []
  const offer = (hit: Hit, also = ''): void => {
    const rank = rankOf(hit.name, also, words, whole)
    if (rank !== null) ranked.push({ rank, hit })
  }
  const roles = new Set<string>()
  for (const job of view.jobKeys()) {
    offer({ kind: 'job', name: jobKeyText(job), job }, job.name)
    roles.add(job.role)
  }
  for (const name of roles) offer({ kind: 'role', name })
  for (const { host, agentId: id } of view.agents()) offer({ kind: 'agent', name: host, agentId: id }, id)
  for (const id of matchingTasks(view, question.trim())) offer({ kind: 'task', name: id, taskId: id })
  ranked.sort(
    (a, b) =>
      a.rank - b.rank ||
      KINDS.indexOf(a.hit.kind) - KINDS.indexOf(b.hit.kind) ||
      compareIds(a.hit.name, b.hit.name) ||
      compareIds(idOf(a.hit), idOf(b.hit)),
  )
  return { hits: ranked.slice(0, limit).map(({ hit }) => hit), hasMore: ranked.length > limit }
}

const idOf = (hit: Hit): string => (hit.kind === 'agent' ? hit.agentId : hit.name)

/** 0 the very name, 1 its beginning, 2 some part of it; null: none. `also`: another name of the same. */
function rankOf(name: string, also: string, words: readonly string[], whole: string): number | null {
  const [first, second] = [name.toLowerCase(), also.toLowerCase()]
  if (first === whole || second === whole) return 0
  if (first.startsWith(whole) || second.startsWith(whole)) return 1
  return words.every(word => first.includes(word) || second.includes(word)) ? 2 : null
}

function matchingTasks(view: Pick<LedgerView, 'task' | 'tasks'>, text: string): TaskId[] {
  const exact = view.task(taskId(text))
  if (exact !== undefined) return [exact.taskId]
  if (text.length < TASK_LETTERS_MIN || /\s/.test(text)) return []
  const found: TaskId[] = []
  for (const { taskId: id } of view.tasks()) {
    if (!id.startsWith(text) && !id.endsWith(text)) continue
    found.push(id)
    if (found.length === TASKS_MAX) break
  }
  return found
}
