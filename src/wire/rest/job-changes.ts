/** Requests that change jobs, what a change would do, and what was done. */
import { z } from 'zod'
import { count, instances, text } from './forms.ts'
import { jobConfiguration, jobKey, taskConfig } from './job-configuration.ts'

/** POST /jobs */
export const createJob = z.object({ job: jobConfiguration })

/** It stands in the history of each task that is killed. */
export const KILL_MESSAGE_CHARACTERS_MAX = 4_096

/** POST /jobs/{role}/{environment}/{name}:kill — exactly one of `instances` and `all`. */
export const killJob = z.object({
  instances: instances.optional(),
  all: z.literal(true).optional().describe('every instance, and the job with them'),
  message: text(KILL_MESSAGE_CHARACTERS_MAX).optional(),
})

/** POST /jobs/{role}/{environment}/{name}:restart — exactly one of `instances` and `all`. */
export const restartJob = z.object({ instances: instances.optional(), all: z.literal(true).optional() })

/** POST /jobs/{role}/{environment}/{name}:add */
export const addInstances = z.object({
  like: z.number().int().nonnegative().describe('an active instance, whose configuration the new ones get'),
  count: z.number().int().describe('how many more'),
})

/** POST /jobs/{role}/{environment}/{name}:diff — the path names what is there, `job` what it should become. */
export const diffJob = z.object({
  job: jobConfiguration,
  instances: instances.optional().describe('only these are looked at; all unless given'),
})

const configGroup = z.object({
  instances: z.array(count).describe('ascending'),
  config: taskConfig.nullable().describe('what they are now'),
})

export const jobDiff = z.object({
  key: jobKey,
  config: taskConfig.describe('what `add` and `update` become: filled in, as it would be stored'),
  everyHost: z.boolean().describe('the hosts decide how many instances there are, so none is added or removed'),
  active: count.describe('active tasks of the job, whatever was asked for'),
  add: z.array(count),
  remove: z.array(configGroup),
  update: z.array(configGroup),
  unchanged: z.array(count),
})

export const jobOutcome = z.object({
  key: jobKey,
  instances: z.array(count),
  message: z.string().nullable(),
  warnings: z.array(z.string()),
})

export type JobDiffView = z.infer<typeof jobDiff>
export type DiffJob = z.input<typeof diffJob>
export type JobOutcomeView = z.infer<typeof jobOutcome>
export type CreateJob = z.infer<typeof createJob>
export type KillJob = z.infer<typeof killJob>
export type AddInstances = z.infer<typeof addInstances>
export type RestartJob = z.infer<typeof restartJob>
