/**
 * The enums of Aurora's Thrift interface by their numbers; on the wire they are i32. Facts of api.thrift, 0.23.0-SNAPSHOT.
 */
export const ENUMS = {
  ResponseCode: {
    INVALID_REQUEST: 0,
    OK: 1,
    ERROR: 2,
    WARNING: 3,
    AUTH_FAILED: 4,
    JOB_UPDATING_ERROR: 5,
    ERROR_TRANSIENT: 6,
  },
  MaintenanceMode: { NONE: 1, SCHEDULED: 2, DRAINING: 3, DRAINED: 4 },
  Mode: { RW: 1, RO: 2 },
  CronCollisionPolicy: { KILL_EXISTING: 0, CANCEL_NEW: 1, RUN_OVERLAP: 2 },
  ScheduleStatus: {
    INIT: 11,
    THROTTLED: 16,
    PENDING: 0,
    ASSIGNED: 9,
    STARTING: 1,
    RUNNING: 2,
    FINISHED: 3,
    PREEMPTING: 13,
    RESTARTING: 12,
    DRAINING: 17,
    FAILED: 4,
    KILLED: 5,
    KILLING: 6,
    LOST: 7,
    PARTITIONED: 18,
  },
  JobUpdateStatus: {
    ROLLING_FORWARD: 0,
    ROLLING_BACK: 1,
    ROLL_FORWARD_PAUSED: 2,
    ROLL_BACK_PAUSED: 3,
    ROLLED_FORWARD: 4,
    ROLLED_BACK: 5,
    ABORTED: 6,
    ERROR: 7,
    FAILED: 8,
    ROLL_FORWARD_AWAITING_PULSE: 9,
    ROLL_BACK_AWAITING_PULSE: 10,
  },
  JobUpdateAction: {
    INSTANCE_UPDATED: 1,
    INSTANCE_ROLLED_BACK: 2,
    INSTANCE_UPDATING: 3,
    INSTANCE_ROLLING_BACK: 4,
    INSTANCE_UPDATE_FAILED: 5,
    INSTANCE_ROLLBACK_FAILED: 6,
  },
  JobUpdatePulseStatus: { OK: 1, FINISHED: 2 },
} as const

export type EnumName = keyof typeof ENUMS
export type Enum<E extends EnumName> = keyof (typeof ENUMS)[E]
