/** Keys of a scheduler node. */
import { z } from 'zod'
import {
  count,
  duration,
  flag,
  key,
  offerOrder,
  optionalKey,
  path,
  regex,
  size,
  statuses,
  text,
  webhookUrl,
} from '../config-forms.ts'

export const schedulerKeys = z.strictObject({
  heap: key(size('256MiB'), {
    meaning:
      'What the heap of the main thread, with the rows and actors of the cluster, may grow to; a million tasks take two fifths of the default. `bin/daybreak` hands it to Node, which must be told before it starts',
    default: '4GiB',
  }),
  allowedEnvironments: key(regex, {
    meaning: 'Environments that jobs may name',
    default: '^(prod|devel|test|staging\\d*)$',
    aurora: '-allowed_job_environments',
  }),
  maxTasksPerJob: key(count(1, 1_000_000), {
    meaning: 'Most instances a job may have',
    default: 4000,
    aurora: '-max_tasks_per_job',
  }),
  tiersFile: optionalKey(path, {
    meaning: 'File with the tiers that jobs may name, such as config/tiers.yaml; set it alike on all scheduler nodes',
    unset: 'preferred, preemptible (of jobs that name none) and revocable',
    aurora: '-tier_config',
  }),
  allowGpus: key(flag, {
    meaning: 'Whether jobs may ask for GPUs',
    default: false,
    aurora: '-allow_gpu_resource',
  }),
  transientTimeout: key(duration('1s'), {
    meaning: 'A task that stays longer in a passing state (ASSIGNED, KILLING, …) is given up as LOST',
    default: '5min',
    aurora: '-transient_task_state_timeout',
  }),
  killRetry: key(duration('100ms'), {
    meaning: 'First pause before a kill that was not answered is sent again; doubles from there',
    default: '15s',
    aurora: '-initial_task_kill_retry_interval',
  }),
  schedulePenaltyMax: key(duration('1ms'), {
    meaning: 'Longest pause between two tries to place a task that fits nowhere',
    default: '1min',
    aurora: '-max_schedule_penalty',
  }),
  agentHeartbeat: key(duration('100ms'), { meaning: 'How often agents report', default: '5s' }),
  agentUnreachable: key(duration('1s'), {
    meaning:
      'Nothing is placed on an agent that is silent for 3 heartbeats; after this long its tasks are PARTITIONED, and replaced as their partition policy says; at least 3 heartbeats',
    default: '75s',
    aurora: '--agent_ping_timeout',
  }),
  agentForget: key(duration('1min'), {
    meaning:
      'An agent that has been away for so long and has no tasks that have not ended is forgotten; one that comes back after that is registered anew; at least agentUnreachable',
    default: '7d',
  }),
  registrationDelay: key(duration('1s'), {
    meaning:
      'How long a new leader waits for its driver to be registered before it gives leadership away; our own agents need no registration, so it matters to drivers that ask somebody else',
    default: '1min',
    aurora: '-max_registration_delay',
  }),
  startSpread: key(duration(), {
    meaning:
      'After a change of leader the tasks that wait for a place are tried at moments drawn over this time, those of one configuration together; fewer than 100 configurations or 1,000 tasks are spread over as much less, so that a laptop waits for nothing; 0 tries all at once',
    default: '30s',
    aurora: '-max_reschedule_task_delay_on_startup',
  }),
  offerOrder: key(offerOrder, {
    meaning:
      'Which machine a task takes of those that fit: RANDOM first in the list spreads tasks; any other list fills machines one by one, fullest first by these amounts, the first of them before the second',
    default: ['RANDOM'],
    aurora: '-offer_order',
  }),
  preemption: z.strictObject({
    enabled: key(flag, {
      meaning: 'Whether tasks may be ended to make room for more important ones',
      default: true,
      aurora: '-enable_preemptor',
    }),
    delay: key(duration(), {
      meaning: 'Tasks are preempted only for one that has been PENDING for so long',
      default: '3min',
      aurora: '-preemption_delay',
    }),
    interval: key(duration('100ms'), {
      meaning:
        'Pause between two looks at the tasks that wait; also how long room that was made may go unused before it is given up',
      default: '10s',
      aurora: '-preemption_slot_search_interval',
    }),
    batch: key(count(1, 1000), {
      meaning:
        'Most tasks of one configuration that room is made for before it is the turn of the next one; a gang has its turn whole',
      default: 100,
      aurora: '-preemption_reservation_max_batch_size',
    }),
    reservation: key(duration('1s'), {
      meaning:
        'Room is kept for the tasks it is made for at most so long, counted from when the others were asked to go; longer than tasks take to stop',
      default: '3min',
      aurora: '-offer_reservation_duration',
    }),
  }),
  flapping: z.strictObject({
    threshold: key(duration(), {
      meaning: 'A task that ends by itself before it has run for so long has flapped',
      default: '5min',
      aurora: '-flapping_task_threshold',
    }),
    pauseMin: key(duration(), {
      meaning:
        'A task that has flapped is run again at once the first time; from the second in a row on it waits one to two times this, then one to two times its last pause; 0: never',
      default: '30s',
      aurora: '-initial_flapping_task_delay',
    }),
    pauseMax: key(duration(), {
      meaning: 'Longest of these pauses; at least pauseMin',
      default: '5min',
      aurora: '-max_flapping_task_delay',
    }),
    restartsPerSecond: key(count(1, 100_000), {
      meaning:
        "Most tasks of one job that are run again a second after they have flapped, but for a first burst of 10 seconds' worth; so that one job in a crash loop does not slow down the others",
      default: 100,
    }),
  }),
  requestOutcomes: z.strictObject({
    keep: key(duration('10min'), {
      meaning: 'How long the outcome of a change is kept, so that its retry gets the same answer',
      default: '24h',
    }),
    max: key(count(1, 10_000_000), {
      meaning: 'Most outcomes kept; the oldest go first, but none before 10 minutes',
      default: 100_000,
    }),
  }),
  pruning: z.strictObject({
    keep: key(duration('1min'), {
      meaning: 'How long an ended task can be looked at before it is forgotten',
      default: '2d',
      aurora: '-history_prune_threshold',
    }),
    keepMin: key(duration(), {
      meaning:
        'No ended task is forgotten sooner, however many its job has; nor sooner than this after a change of leader',
      default: '1h',
      aurora: '-history_min_retention_threshold',
    }),
    perJob: key(count(0, 1_000_000), {
      meaning: 'Ended tasks that a job keeps; the oldest go first, once they are older than keepMin',
      default: 100,
      aurora: '-history_max_per_job_threshold',
    }),
  }),
  updatePruning: z.strictObject({
    interval: key(duration('1s'), {
      meaning: 'How often it is looked for updates of jobs that may be forgotten',
      default: '15min',
      aurora: '-job_update_history_pruning_interval',
    }),
    keep: key(duration('1min'), {
      meaning: 'How long after its creation an update that has ended can be looked at before it is forgotten',
      default: '30d',
      aurora: '-job_update_history_pruning_threshold',
    }),
    perJob: key(count(0, 1_000_000), {
      meaning: 'Ended updates that a job keeps; the oldest go first, and all of them when the job has no task any more',
      default: 10,
      aurora: '-job_update_history_per_job_threshold',
    }),
  }),
  reconciliation: z.strictObject({
    initialDelay: key(duration('1s'), {
      meaning:
        'From the start of a leader to the first run in which it asks the agents for the tasks it believes in (explicit); what differs between the two is found within seconds anyway, these runs are the safety net',
      default: '1min',
      aurora: '-reconciliation_initial_delay',
    }),
    explicitInterval: key(duration('1min'), {
      meaning: 'Between two explicit runs',
      default: '60min',
      aurora: '-reconciliation_explicit_interval',
    }),
    implicitInterval: key(duration('1min'), {
      meaning: 'Between two runs in which every agent tells all the tasks it has (implicit)',
      default: '60min',
      aurora: '-reconciliation_implicit_interval',
    }),
    spread: key(duration(), {
      meaning: 'So much later than the first explicit run the first implicit one comes, so that the two are apart',
      default: '30min',
      aurora: '-reconciliation_schedule_spread',
    }),
    batchSize: key(count(1, 1_000), {
      meaning: 'Most tasks asked for at once in an explicit run',
      default: 1_000,
      aurora: '-reconciliation_explicit_batch_size',
    }),
    batchInterval: key(duration('10ms'), {
      meaning: 'Between two batches of an explicit run',
      default: '5s',
      aurora: '-reconciliation_explicit_batch_interval',
    }),
  }),
  webhook: z.strictObject({
    url: optionalKey(webhookUrl, {
      meaning:
        'Where the leader posts every transition of a task as JSON, at least once and in order per task; set it alike on all scheduler nodes',
      unset: 'nothing is posted',
      aurora: '-webhook_config',
    }),
    timeout: key(duration('10ms'), {
      meaning: 'How long one post may take before it is tried again',
      default: '5s',
    }),
    headersFile: optionalKey(path, {
      meaning: 'File with headers that every post carries, one `Name: value` a line',
      unset: 'none beside those of a post',
    }),
    secretFile: optionalKey(path, {
      meaning: 'File with the secret that signs every post, at least 16 characters',
      unset: 'posts are not signed',
    }),
    statuses: key(statuses, { meaning: 'Only transitions into these are posted; empty: all', default: [] }),
    job: optionalKey(
      text('name or role/environment/name', /^[\w.-]+(\/[\w.-]+\/[\w.-]+)?$/, 'a name or role/environment/name'),
      {
        meaning: 'Only transitions of the tasks of this job are posted',
        unset: 'those of all jobs',
      },
    ),
  }),
})
