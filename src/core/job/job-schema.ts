import {
  anything,
  boolean,
  choice,
  defaulted,
  float,
  integer,
  integerOrTrue,
  type KindType,
  listOf,
  mapOf,
  oneOf,
  optional,
  required,
  size,
  struct,
  text,
} from './field-schema.ts'

/**
 * The fields of a job file: Aurora's names, types and defaults, plus what YAML makes handy (`bind` for variables,
 * `order` and `sequential` for the order of processes). Sizes are bytes, durations seconds.
 * Source: jobs and executor, sections 2.1 to 2.7.
 */

const MB = 1024 * 1024

const logger = struct('Logger', {
  destination: defaulted(oneOf('LoggerDestination', ['file', 'console', 'both', 'none']), 'file'),
  mode: defaulted(oneOf('LoggerMode', ['standard', 'rotate']), 'standard'),
  rotate: optional(struct('RotatePolicy', { log_size: defaulted(size, 100 * MB), backups: defaulted(integer, 5) })),
})

const resources = struct('Resources', {
  cpu: required(float),
  ram: required(size),
  disk: required(size),
  gpu: defaulted(integer, 0),
})

const process = struct('Process', {
  name: required(text),
  cmdline: required(text),
  max_failures: defaulted(integer, 1),
  daemon: defaulted(boolean, false),
  ephemeral: defaulted(boolean, false),
  min_duration: defaulted(integer, 5),
  final: defaulted(boolean, false),
  logger: optional(logger),
  resources: optional(resources),
  bind: optional(anything),
})

const task = struct('Task', {
  name: defaulted(text, '{{processes[0].name}}'),
  processes: required(listOf(process)),
  constraints: defaulted(listOf(struct('Constraint', { order: required(listOf(text)) })), []),
  /** Short for one order constraint; `sequential` for one over all processes as listed. Neither travels. */
  order: optional(listOf(text)),
  sequential: defaulted(boolean, false),
  resources: required(resources),
  max_failures: defaulted(integer, 1),
  max_concurrency: defaulted(integer, 0),
  finalization_wait: defaulted(integer, 30),
  user: optional(text),
  bind: optional(anything),
})

const updateConfig = struct('UpdateConfig', {
  batch_size: defaulted(integer, 1),
  watch_secs: defaulted(integer, 45),
  max_per_shard_failures: defaulted(integer, 0),
  max_total_failures: defaulted(integer, 0),
  rollback_on_failure: defaulted(boolean, true),
  wait_for_batch_completion: defaulted(boolean, false),
  pulse_interval_secs: optional(integer),
  sla_aware: defaulted(boolean, false),
  update_strategy: optional(
    choice('UpdateStrategy', [
      struct('QueueUpdateStrategy', { batch_size: defaulted(integer, 1) }),
      struct('BatchUpdateStrategy', {
        batch_size: defaulted(integer, 1),
        autopause_after_batch: defaulted(boolean, false),
      }),
      struct('VariableBatchUpdateStrategy', {
        batch_sizes: required(listOf(integer)),
        autopause_after_batch: defaulted(boolean, false),
      }),
    ]),
  ),
})

const healthChecker = struct('HealthCheckerConfig', {
  http: optional(
    struct('HttpHealthChecker', {
      endpoint: defaulted(text, '/health'),
      expected_response: defaulted(text, 'ok'),
      expected_response_code: defaulted(integer, 0),
    }),
  ),
  shell: optional(struct('ShellHealthChecker', { shell_command: required(text) })),
})

const healthCheckConfig = struct('HealthCheckConfig', {
  health_checker: defaulted(healthChecker, { http: {} }),
  initial_interval_secs: defaulted(float, 15),
  interval_secs: defaulted(float, 10),
  timeout_secs: defaulted(float, 1),
  max_consecutive_failures: defaulted(integer, 0),
  min_consecutive_successes: defaulted(integer, 1),
})

const lifecycle = struct('LifecycleConfig', {
  http: optional(
    struct('HttpLifecycleConfig', {
      port: defaulted(text, 'health'),
      graceful_shutdown_endpoint: defaulted(text, '/quitquitquit'),
      shutdown_endpoint: defaulted(text, '/abortabortabort'),
      graceful_shutdown_wait_secs: defaulted(integer, 5),
      shutdown_wait_secs: defaulted(integer, 5),
    }),
  ),
})

const announcer = struct('Announcer', {
  primary_port: defaulted(text, 'http'),
  portmap: defaulted(mapOf(text), { aurora: '{{primary_port}}' }),
  zk_path: optional(text),
})

const docker = struct('Docker', {
  image: required(text),
  parameters: defaulted(listOf(struct('Parameter', { name: required(text), value: required(text) })), []),
})
const mesos = struct('Mesos', {
  image: optional(
    choice('Image', [
      struct('AppcImage', { name: required(text), image_id: required(text) }),
      struct('DockerImage', { name: required(text), tag: required(text) }),
    ]),
  ),
  volumes: defaulted(
    listOf(
      struct('Volume', {
        container_path: required(text),
        host_path: required(text),
        mode: required(oneOf('VolumeMode', ['RO', 'RW'])),
      }),
    ),
    [],
  ),
})

const slaPolicy = choice('SlaPolicy', [
  struct('CoordinatorSlaPolicy', { coordinator_url: required(text), status_key: defaulted(text, 'drain') }),
  struct('CountSlaPolicy', { count: required(integer), duration_secs: required(integer) }),
  struct('PercentageSlaPolicy', { percentage: required(float), duration_secs: required(integer) }),
])

export const jobSchema = struct('Job', {
  name: defaulted(text, '{{task.name}}'),
  role: required(text),
  environment: required(text),
  cluster: required(text),
  instances: defaulted(integer, 1),
  contact: optional(text),
  tier: optional(text),
  service: defaulted(boolean, false),
  production: defaulted(boolean, false),
  priority: defaulted(integer, 0),
  max_task_failures: defaulted(integer, 1),
  cron_schedule: optional(text),
  cron_collision_policy: defaulted(
    oneOf('CronCollisionPolicy', ['KILL_EXISTING', 'CANCEL_NEW', 'RUN_OVERLAP'], true),
    'KILL_EXISTING',
  ),
  constraints: optional(mapOf(text)),
  /** These four are not Aurora's. */
  prefer: optional(
    listOf(
      struct('Preference', {
        attribute: required(text),
        values: required(listOf(text)),
        weight: defaulted(integer, 50),
      }),
    ),
  ),
  spread: optional(
    listOf(
      struct('Spread', {
        attribute: required(text),
        weight: defaulted(integer, 50),
        targets: optional(mapOf(integer)),
      }),
    ),
  ),
  every_host: defaulted(boolean, false),
  gang: optional(integerOrTrue),
  metadata: defaulted(listOf(struct('Metadata', { key: required(text), value: required(text) })), []),
  update_config: defaulted(updateConfig, {}),
  health_check_config: defaulted(healthCheckConfig, {}),
  lifecycle: defaulted(lifecycle, { http: {} }),
  announce: optional(announcer),
  container: optional(choice('Container', [struct('Container', { docker: required(docker) }), docker, mesos])),
  partition_policy: optional(
    struct('PartitionPolicy', { reschedule: defaulted(boolean, true), delay_secs: defaulted(integer, 0) }),
  ),
  sla_policy: optional(slaPolicy),
  task_links: optional(mapOf(text)),
  executor_config: defaulted(
    struct('ExecutorConfig', { name: defaulted(text, 'AuroraExecutor'), data: defaulted(text, '') }),
    {},
  ),
  enable_hooks: defaulted(boolean, false),
  task: required(task),
  bind: optional(anything),
})

export type Job = KindType<typeof jobSchema>
export type Task = KindType<typeof task>
export type Process = KindType<typeof process>
