/** Quotas of roles and their use. */
import { z } from 'zod'
import { count } from './forms.ts'

const quota = z.object({
  cpusMilli: count,
  ramMb: count,
  diskMb: count,
  gpus: count.optional().describe('absent: GPUs are not counted'),
})

const bag = z.object({ cpusMilli: count, ramMb: count, diskMb: count, gpus: count })

export const roleQuota = z.object({
  role: z.string(),
  quota: quota.nullable().describe('null: none was ever set, which counts as zero'),
  prodShared: bag.describe('what production takes of shared machines: the only pool that is limited'),
  prodDedicated: bag,
  nonProdShared: bag,
  nonProdDedicated: bag,
})

export const quotaList = z.object({ quotas: z.array(roleQuota), next: z.string().nullable() })

/** POST /quotas/{role}:set */
export const setQuota = quota.strict()

const signed = z.number().int()

/** POST /quotas/{role}:increase; amounts may be negative */
export const increaseQuota = z.strictObject({
  cpusMilli: signed,
  ramMb: signed,
  diskMb: signed,
  gpus: signed.optional(),
})

export const quotaSet = z.object({ role: z.string(), quota })

export type RoleQuota = z.infer<typeof roleQuota>
export type QuotaList = z.infer<typeof quotaList>
export type QuotaSetView = z.infer<typeof quotaSet>
