/**
 * The calls of Aurora's Thrift interface: their arguments by id and type, and the service that each belongs to. All of
 * them answer with a Response. Facts of api.thrift, 0.23.0-SNAPSHOT.
 */
export const METHODS = {
  // ReadOnlyScheduler
  getRoleSummary: { service: 'ReadOnlyScheduler', args: {} },
  getJobSummary: { service: 'ReadOnlyScheduler', args: { role: [1, 'string'] } },
  getTasksStatus: { service: 'ReadOnlyScheduler', args: { query: [1, 'TaskQuery'] } },
  getTasksWithoutConfigs: { service: 'ReadOnlyScheduler', args: { query: [1, 'TaskQuery'] } },
  getPendingReason: { service: 'ReadOnlyScheduler', args: { query: [1, 'TaskQuery'] } },
  getConfigSummary: { service: 'ReadOnlyScheduler', args: { job: [1, 'JobKey'] } },
  getJobs: { service: 'ReadOnlyScheduler', args: { ownerRole: [1, 'string'] } },
  getQuota: { service: 'ReadOnlyScheduler', args: { ownerRole: [1, 'string'] } },
  populateJobConfig: { service: 'ReadOnlyScheduler', args: { description: [1, 'JobConfiguration'] } },
  getJobUpdateSummaries: { service: 'ReadOnlyScheduler', args: { jobUpdateQuery: [1, 'JobUpdateQuery'] } },
  getJobUpdateDetails: {
    service: 'ReadOnlyScheduler',
    args: { key: [1, 'JobUpdateKey'], query: [2, 'JobUpdateQuery'] },
  },
  getJobUpdateDiff: { service: 'ReadOnlyScheduler', args: { request: [1, 'JobUpdateRequest'] } },
  getTierConfigs: { service: 'ReadOnlyScheduler', args: {} },
  // AuroraSchedulerManager
  createJob: { service: 'AuroraSchedulerManager', args: { description: [1, 'JobConfiguration'] } },
  scheduleCronJob: { service: 'AuroraSchedulerManager', args: { description: [1, 'JobConfiguration'] } },
  descheduleCronJob: { service: 'AuroraSchedulerManager', args: { job: [4, 'JobKey'] } },
  startCronJob: { service: 'AuroraSchedulerManager', args: { job: [4, 'JobKey'] } },
  restartShards: { service: 'AuroraSchedulerManager', args: { job: [5, 'JobKey'], shardIds: [3, 'set<i32>'] } },
  killTasks: {
    service: 'AuroraSchedulerManager',
    args: { job: [4, 'JobKey'], instances: [5, 'set<i32>'], message: [6, 'string'] },
  },
  addInstances: { service: 'AuroraSchedulerManager', args: { key: [3, 'InstanceKey'], count: [4, 'i32'] } },
  replaceCronTemplate: { service: 'AuroraSchedulerManager', args: { config: [1, 'JobConfiguration'] } },
  startJobUpdate: {
    service: 'AuroraSchedulerManager',
    args: { request: [1, 'JobUpdateRequest'], message: [3, 'string'] },
  },
  pauseJobUpdate: { service: 'AuroraSchedulerManager', args: { key: [1, 'JobUpdateKey'], message: [3, 'string'] } },
  resumeJobUpdate: { service: 'AuroraSchedulerManager', args: { key: [1, 'JobUpdateKey'], message: [3, 'string'] } },
  abortJobUpdate: { service: 'AuroraSchedulerManager', args: { key: [1, 'JobUpdateKey'], message: [3, 'string'] } },
  rollbackJobUpdate: { service: 'AuroraSchedulerManager', args: { key: [1, 'JobUpdateKey'], message: [2, 'string'] } },
  pulseJobUpdate: { service: 'AuroraSchedulerManager', args: { key: [1, 'JobUpdateKey'] } },
  // AuroraAdmin
  setQuota: { service: 'AuroraAdmin', args: { ownerRole: [1, 'string'], quota: [2, 'ResourceAggregate'] } },
  forceTaskState: { service: 'AuroraAdmin', args: { taskId: [1, 'string'], status: [2, 'ScheduleStatus'] } },
  performBackup: { service: 'AuroraAdmin', args: {} },
  listBackups: { service: 'AuroraAdmin', args: {} },
  stageRecovery: { service: 'AuroraAdmin', args: { backupId: [1, 'string'] } },
  queryRecovery: { service: 'AuroraAdmin', args: { query: [1, 'TaskQuery'] } },
  deleteRecoveryTasks: { service: 'AuroraAdmin', args: { query: [1, 'TaskQuery'] } },
  commitRecovery: { service: 'AuroraAdmin', args: {} },
  unloadRecovery: { service: 'AuroraAdmin', args: {} },
  startMaintenance: { service: 'AuroraAdmin', args: { hosts: [1, 'Hosts'] } },
  drainHosts: { service: 'AuroraAdmin', args: { hosts: [1, 'Hosts'] } },
  maintenanceStatus: { service: 'AuroraAdmin', args: { hosts: [1, 'Hosts'] } },
  endMaintenance: { service: 'AuroraAdmin', args: { hosts: [1, 'Hosts'] } },
  slaDrainHosts: {
    service: 'AuroraAdmin',
    args: { hosts: [1, 'Hosts'], defaultSlaPolicy: [2, 'SlaPolicy'], timeoutSecs: [3, 'i64'] },
  },
  snapshot: { service: 'AuroraAdmin', args: {} },
  triggerExplicitTaskReconciliation: {
    service: 'AuroraAdmin',
    args: { settings: [1, 'ExplicitReconciliationSettings'] },
  },
  triggerImplicitTaskReconciliation: { service: 'AuroraAdmin', args: {} },
  pruneTasks: { service: 'AuroraAdmin', args: { query: [1, 'TaskQuery'] } },
} as const

export type MethodName = keyof typeof METHODS
export type ServiceName = (typeof METHODS)[MethodName]['service']
