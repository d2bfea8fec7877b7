/**
 * The REST API under `/api/v1`: one source for validation, types and the OpenAPI document. Field names are camelCase;
 * units stand in the names; times are ms since the epoch.
 */
export * from './rest/admin.ts'
export * from './rest/backups.ts'
export * from './rest/cluster.ts'
export * from './rest/explanations.ts'
export {
  jobQuery,
  type Problem,
  pageQuery,
  problem,
  REQUEST_ID_HEADER,
  resources,
  taskStatus,
  USER_HEADER,
} from './rest/forms.ts'
export * from './rest/job-changes.ts'
export * from './rest/job-configuration.ts'
export * from './rest/jobs.ts'
export * from './rest/quotas.ts'
export * from './rest/tasks.ts'
export * from './rest/what-if.ts'
