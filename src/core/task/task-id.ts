import { type InstanceId, type JobKey, type TaskId, taskId } from '../base/ids.ts'

/** Limit of a file name, and of Mesos. */
export const TASK_ID_CHARACTERS_MAX = 255

/**
 * `role-env-name-instance-<uuid>`, with every character outside `[A-Za-z0-9_-]` made a `-`. Too long: what stands before
 * the UUID is cut, so the id stays unique. Opaque from here on: never parsed.
 */
export function newTaskId(job: JobKey, instance: InstanceId, uuid: string): TaskId {
  const readable = `${job.role}-${job.environment}-${job.name}-${instance}`
  const text = `${readable.slice(0, TASK_ID_CHARACTERS_MAX - uuid.length - 1)}-${uuid}`
  return taskId(idCharacters(text))
}

/** How ids of tasks of that job begin, unless they had to be cut: other jobs may have the same. */
export function taskIdStart({ role, environment, name }: JobKey): string {
  return idCharacters(`${role}-${environment}-${name}-`)
}

const idCharacters = (text: string): string => text.replaceAll(/[^A-Za-z0-9_-]/g, '-')
