/**
 * Every refusal a caller can meet, in one table: `docs/errors.md` lists the same set and a test compares them.
 * Codes are never reused. `http` is the status of REST answers, `retry` whether the same request may succeed later.
 * `thrift` is the ResponseCode that Aurora's clients see.
 */
export const REJECTIONS = {
  INVALID_REQUEST: { http: 422, retry: false, thrift: 'INVALID_REQUEST', text: 'The request is not valid' },
  MALFORMED: { http: 400, retry: false, thrift: 'INVALID_REQUEST', text: 'The request cannot be read' },
  JOB_EXISTS: { http: 409, retry: false, thrift: 'INVALID_REQUEST', text: 'The job already exists' },
  JOB_UPDATING: { http: 409, retry: true, thrift: 'JOB_UPDATING_ERROR', text: 'Job is currently updating' },
  INSTANCE_COLLISION: {
    http: 409,
    retry: false,
    thrift: 'INVALID_REQUEST',
    text: 'An instance of that number is active',
  },
  NOT_FOUND: { http: 404, retry: false, thrift: 'INVALID_REQUEST', text: 'There is no such thing' },
  NOT_ACTIVE: { http: 409, retry: false, thrift: 'INVALID_REQUEST', text: 'Not all requested instances are active' },
  ILLEGAL_TRANSITION: {
    http: 409,
    retry: false,
    thrift: 'INVALID_REQUEST',
    text: 'A task of that status cannot go there',
  },
  NOT_BUILT: { http: 501, retry: false, thrift: 'INVALID_REQUEST', text: 'This version does not have that engine' },
  QUOTA_EXCEEDED: { http: 422, retry: false, thrift: 'INVALID_REQUEST', text: 'Insufficient resource quota' },
  NOT_LEADER: { http: 503, retry: true, thrift: 'ERROR_TRANSIENT', text: 'This node is not the leader' },
  STORAGE_NOT_READY: { http: 503, retry: true, thrift: 'ERROR_TRANSIENT', text: 'Storage is not READY' },
  SCHEDULER_NOT_ACTIVE: {
    http: 503,
    retry: true,
    thrift: 'ERROR_TRANSIENT',
    text: 'This node leads and is not active yet',
  },
  BUSY: { http: 503, retry: true, thrift: 'ERROR_TRANSIENT', text: 'The node has more work than it can take in' },
  OUTCOME_UNKNOWN: {
    http: 503,
    retry: true,
    thrift: 'ERROR_TRANSIENT',
    text: 'Leadership was lost while the change was being written',
  },
  HAND_OVER_REFUSED: {
    http: 409,
    retry: true,
    thrift: 'ERROR_TRANSIENT',
    text: 'Leadership cannot be handed over now',
  },
  LOG_TRUNCATED: { http: 410, retry: false, thrift: 'INVALID_REQUEST', text: 'The log does not reach back that far' },
  AGENT_UNREACHABLE: {
    http: 503,
    retry: true,
    thrift: 'ERROR_TRANSIENT',
    text: 'The agent that holds this is not connected',
  },
  BACKUP_FAILED: { http: 409, retry: false, thrift: 'INVALID_REQUEST', text: 'The backup cannot be written or read' },
  BACKUP_LOADED: { http: 409, retry: false, thrift: 'INVALID_REQUEST', text: 'Another backup is already loaded.' },
  BACKUP_NOT_LOADED: { http: 409, retry: false, thrift: 'INVALID_REQUEST', text: 'No backup loaded.' },
  STATE_MOVED: { http: 409, retry: false, thrift: 'INVALID_REQUEST', text: 'The state has moved on since the diff' },
  UNAUTHENTICATED: { http: 401, retry: false, thrift: 'AUTH_FAILED', text: 'Who asks has not been shown' },
  AUTH_FAILED: { http: 403, retry: false, thrift: 'AUTH_FAILED', text: 'Who asks may not do this' },
  VERSION_MISMATCH: {
    http: 412,
    retry: false,
    thrift: 'INVALID_REQUEST',
    text: 'The job is not at the version that the change was asked for',
  },
  INTERNAL: { http: 500, retry: false, thrift: 'ERROR', text: 'A fault of the scheduler itself' },
} as const satisfies Record<string, { http: number; retry: boolean; thrift: string; text: string }>

export type RejectionCode = keyof typeof REJECTIONS

/** A refusal as a value. `detail` is the exact text people and scripts see; `remedy` says what to do next. */
export interface Rejection {
  readonly type: 'rejected'
  readonly code: RejectionCode
  readonly detail: string
  readonly remedy?: string
  /** Where in the request the faults are, all of them. */
  readonly faults?: readonly Fault[]
  /** The current version of what the request was about. */
  readonly version?: string
}

export interface Fault {
  /** `task.processes[1].cmdline` */
  readonly path: string
  readonly text: string
  /** 1-based line in the file, where one is known. */
  readonly line?: number
}

export function rejected(
  code: RejectionCode,
  detail: string = REJECTIONS[code].text,
  more: { remedy?: string; faults?: readonly Fault[]; version?: string } = {},
): Rejection {
  return { type: 'rejected', code, detail, ...more }
}
