/** What a job is, as it is sent; and the tiers it may name. */
import { z } from 'zod'
import { count, resources, text } from './forms.ts'

export const jobKey = z.object({ role: text(255), environment: text(255), name: text(255) })

export const constraint = z.object({
  name: text(255),
  rule: z.discriminatedUnion('type', [
    z.object({ type: z.literal('value'), negated: z.boolean(), values: z.array(text(1024)).max(1000) }),
    z.object({ type: z.literal('limit'), limit: z.number().int() }),
  ]),
})

/** Aurora's text where a part is missing altogether. */
const orAbsent = (text: string) => ({
  error: (issue: { readonly input?: unknown }) => (issue.input == null ? text : undefined),
})

const executorConfig = z.object(
  { name: text(255), data: text(1_048_576).describe('JSON of the whole job, read by the agent') },
  orAbsent('Configuration may not be null.'),
)

const taskFields = {
  job: jobKey,
  owner: text(255),
  isService: z.boolean(),
  maxTaskFailures: z.number().int(),
  priority: z.number().int(),
  production: z.boolean(),
  tier: text(255),
  contactEmail: text(1024).optional(),
  resources,
  ports: z.array(text(255)).max(1000),
  constraints: z.array(constraint).max(1000),
  metadata: z.array(z.object({ key: text(1024), value: text(65_536) })).max(1000),
  partitionPolicy: z.object({ reschedule: z.boolean(), delaySecs: count }).optional(),
  slaPolicy: z
    .discriminatedUnion('type', [
      z.object({ type: z.literal('count'), count: z.number().int(), durationSecs: count }),
      z.object({ type: z.literal('percentage'), percentage: z.number(), durationSecs: count }),
      z.object({ type: z.literal('coordinator'), coordinatorUrl: text(4096), statusKey: text(255) }),
    ])
    .optional()
    .describe('kept for updates and maintenance, which this version does not have'),
  taskLinks: z.record(text(255), text(4096)).optional().describe('URLs by name; %host% and %port:NAME% are filled in'),
  executor: executorConfig,
  prefer: z
    .array(z.object({ attribute: text(255), values: z.array(text(1024)).max(1000), weight: z.number().int() }))
    .max(100)
    .optional()
    .describe('hosts that are better (weight up to 100) or worse (down to -100)'),
  spread: z
    .array(
      z.object({
        attribute: text(255),
        weight: z.number().int(),
        targets: z.record(text(1024), z.number()).optional().describe('percent of the instances by value'),
      }),
    )
    .max(100)
    .optional(),
  everyHost: z.literal(true).optional().describe('one instance on every host that the constraints allow'),
  gang: z.number().int().optional().describe('so many instances are placed together, or none'),
}

export const taskConfig = z.object(taskFields, orAbsent('Job configuration must have taskConfig set.'))

export const jobConfiguration = z.object({
  key: jobKey,
  owner: text(255),
  instanceCount: z.number().int(),
  task: taskConfig,
  cronSchedule: text(255).optional(),
  cronCollisionPolicy: z.enum(['KILL_EXISTING', 'CANCEL_NEW']).optional(),
})

/** GET /tiers */
export const tierList = z.object({
  defaultTier: z.string().describe('of jobs that name none'),
  tiers: z.array(
    z.object({
      name: z.string(),
      preemptible: z.boolean().describe('its tasks may be ended so that those of a better tier find room'),
      revocable: z.boolean().describe('its tasks run on lent cores'),
      production: z.boolean().describe('neither: counted against quotas'),
    }),
  ),
})

export type TierList = z.infer<typeof tierList>
