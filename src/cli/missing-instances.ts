/** For commands that are given instances of a job: which of them are not there, and which there are. */
import { type FullKey, fullKeyText } from '../core/job/job-file.ts'
import type { JobDetail, Task } from '../wire/rest.ts'
import { instancesText } from './keys.ts'

/** Of those that were asked for, the ones of which there is no task. */
export function missingOf(asked: readonly number[], tasks: readonly Task[]): readonly number[] {
  const there = new Set(instancesOf(tasks))
  return asked.filter(instance => !there.has(instance))
}

/** A remedy: `active instances of local/www-data/devel/hello: [0-3]`. `tasks`: all that could have been named. */
export function whichThereAre(
  kind: 'active' | 'running' | 'known',
  key: FullKey,
  detail: JobDetail | null,
  tasks: readonly Task[],
): string {
  const job = fullKeyText(key)
  if (detail === null)
    return `there is no job ${job}; list those of the role: daybreak job list ${key.cluster}/${key.role}`
  if (tasks.length === 0) return `no instance of ${job} is ${kind}`
  return `${kind} instances of ${job}: ${instancesText(instancesOf(tasks))}`
}

const instancesOf = (tasks: readonly Task[]): readonly number[] =>
  [...new Set(tasks.map(task => task.instance))].sort((a, b) => a - b)
