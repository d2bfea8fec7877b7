/** Every call that a permission may name: those of Aurora's interface, and what only this scheduler can do. */
import type { Calls } from '../../core/security/policy.ts'
import { METHODS, type MethodName } from '../../wire/thrift/methods.ts'

/** Calls of `thrift.AuroraAdmin` that Aurora does not have. */
export const OWN_ADMIN_CALLS = ['abort', 'inspect', 'quit', 'readLog', 'releaseHeld', 'transferLeadership'] as const
export type AdminCall = (typeof OWN_ADMIN_CALLS)[number] | MethodName

const of = (service: (typeof METHODS)[MethodName]['service']): readonly string[] =>
  (Object.keys(METHODS) as MethodName[]).filter(name => METHODS[name].service === service)

export const PERMITTED_CALLS: Calls = {
  'thrift.ReadOnlyScheduler': of('ReadOnlyScheduler'),
  'thrift.AuroraSchedulerManager': of('AuroraSchedulerManager'),
  'thrift.AuroraAdmin': [...of('AuroraAdmin'), ...OWN_ADMIN_CALLS],
}
