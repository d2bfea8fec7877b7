/** Which events a reader wants to see. What is not stated does not restrict; several restrictions must all hold. */
import { type JobKey, jobKeyText } from '../base/ids.ts'
import { taskIdStart } from '../task/task-id.ts'
import type { ClusterEvent, ClusterEventType } from './cluster-events.ts'

export interface EventFilter {
  readonly types?: readonly ClusterEventType[]
  readonly role?: string
  readonly environment?: string
  /** Name of a job. */
  readonly name?: string
  readonly taskId?: string
}

export function wantsEvent(filter: EventFilter, event: ClusterEvent): boolean {
  if (filter.types !== undefined && !filter.types.includes(event.type)) return false
  const ofJob = filter.role !== undefined || filter.environment !== undefined || filter.name !== undefined
  switch (event.type) {
    case 'task.transition':
      return isTask(filter, event.row.taskId) && isJob(filter, event.row.job)
    case 'task.deleted':
      return isTask(filter, event.taskId) && (!ofJob || mayBeOfJob(filter, event.taskId))
    case 'job.changed': {
      const [role = '', environment = '', name = ''] = event.job.split('/')
      return filter.taskId === undefined && isJob(filter, { role, environment, name })
    }
    case 'agent.changed':
    case 'leader.changed':
      return filter.taskId === undefined && !ofJob
  }
}

/** `role/environment/name`, or the name alone; null for anything else. */
export function readJobFilter(text: string): Pick<EventFilter, 'role' | 'environment' | 'name'> | null {
  const parts = text.split('/')
  if (parts.some(part => part === '')) return null
  const [role = '', environment = '', name = ''] = parts
  if (parts.length === 1) return { name: role }
  return parts.length === 3 ? { role, environment, name } : null
}

export function jobOfFilter({ role, environment, name }: EventFilter): string | null {
  if (role === undefined || environment === undefined || name === undefined) return null
  return jobKeyText({ role, environment, name })
}

const isTask = (filter: EventFilter, id: string): boolean => filter.taskId === undefined || filter.taskId === id

function isJob(filter: EventFilter, job: JobKey): boolean {
  return (
    (filter.role === undefined || filter.role === job.role) &&
    (filter.environment === undefined || filter.environment === job.environment) &&
    (filter.name === undefined || filter.name === job.name)
  )
}

/**
 * Of a deleted task only the id is left, and an id is not taken apart. But it begins as ids of its job do; one of a job
 * whose key differs in punctuation only may do so too, and is shown rather than lost. Without the whole key nothing can be
 * told.
 */
function mayBeOfJob({ role, environment, name }: EventFilter, id: string): boolean {
  if (role === undefined || environment === undefined || name === undefined) return false
  const start = taskIdStart({ role, environment, name })
  return id.startsWith(start) && INSTANCE_AND_UUID.test(id.slice(start.length))
}

const INSTANCE_AND_UUID = /^\d+-[0-9a-f-]{36}$/
