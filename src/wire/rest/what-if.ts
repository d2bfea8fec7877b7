/** Trials: what would find a place. */
import { z } from 'zod'
import { count, text } from './forms.ts'
import { jobConfiguration, jobKey } from './job-configuration.ts'

/** POST /what-if: changes nothing */
export const whatIf = z.strictObject({
  drain: z.array(text(255)).max(10_000).default([]).describe('host names, agent ids or `attribute=value`'),
  lose: z.array(text(255)).max(10_000).default([]).describe('the same; with everything on them'),
  apply: z.array(jobConfiguration).max(100).default([]).describe('jobs as they are to be'),
  isCreation: z.boolean().default(false).describe('a job that exists already is refused, as a creation would be'),
  seed: z.number().int().nonnegative().optional().describe('the same state and seed give the same plan'),
})

const plannedJob = z.object({
  key: jobKey,
  asked: count.describe('tasks that looked for a place: new ones, displaced ones, those that waited already'),
  displaced: count,
  placed: count,
  placements: z.array(z.object({ instance: count, host: z.string() })).describe('the first hundred'),
  pending: z.array(count).describe('instances that stay PENDING'),
  reasons: z.array(z.string()),
  details: z.array(z.string()),
})

export const whatIfPlan = z.object({
  seed: count,
  hosts: z.object({ connected: count, drained: count, lost: count }),
  jobs: z.array(plannedJob).describe('by key; only jobs of which a task looked for a place'),
  preempted: z.array(z.object({ key: jobKey, instance: count, host: z.string(), inFavorOf: jobKey })),
  refused: z
    .array(
      z.object({
        key: z.string(),
        code: z.string(),
        detail: z.string(),
        remedy: z.string().nullable(),
        faults: z.array(z.object({ path: z.string(), text: z.string() })),
      }),
    )
    .describe('jobs that would not be admitted; they are not part of the plan'),
  warnings: z.array(z.object({ key: z.string(), text: z.string() })),
  quotaLeft: z
    .array(
      z.object({
        role: z.string(),
        cpusMilli: z.number().int(),
        ramMb: z.number().int(),
        diskMb: z.number().int(),
        gpus: z.number().int().optional().describe('absent: GPUs are not counted'),
      }),
    )
    .describe(
      'of roles with production jobs to be applied: what they may take beyond these; below zero: over their quota',
    ),
})

export type WhatIfPlan = z.infer<typeof whatIfPlan>
