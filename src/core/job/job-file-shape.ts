/**
 * The shape of a job file, as people write it in TypeScript and JavaScript and as editors complete it. It says the same
 * as the schema that reads it (`job-schema.ts`), and a test compares the two.
 *
 * Units: sizes are bytes, or texts such as `64MB` and `1GiB` (steps of 1024); durations are seconds. Wherever a number
 * or a truth value is wanted, a text with `{{references}}` will do.
 */

/** `{{name}}` in it is filled in. */
export type Text = string | number
/** A whole number, or a text that becomes one. */
export type Whole = number | string
/** Fractions too. */
export type Decimal = number | string
/** `true`, `false`, or a text that becomes one of them. */
export type Flag = boolean | string
/** Bytes, or `64MB`, `1.5GB`, `1GiB`: steps of 1024. */
export type Size = number | string
/** Values of variables, by name; structs are reached into with `{{name.field}}`. */
export type Variables = { readonly [name: string]: Value }
export type Value = string | number | boolean | null | undefined | readonly Value[] | Variables

/** What a job file may hold: one job, a list of jobs, or jobs with variables and profiles for all of them. */
export type JobFileContent = WrittenFile | WrittenJobAlone | readonly WrittenJob[]

/** What a module is told that exports a function. */
export interface JobFileQuestion {
  /** The `--bind`s of the command line: texts, by name; `profile.ram=1GB` is `{ profile: { ram: '1GB' } }`. */
  readonly bind: Variables
  /** The job that the command asks for; null where it asks for all of the file. */
  readonly key: {
    readonly cluster: string
    readonly role: string
    readonly environment: string
    readonly name: string
  } | null
}

/** What a module exports as its default. */
export type JobFileModule = JobFileContent | ((question: JobFileQuestion) => JobFileContent | Promise<JobFileContent>)

/** Gives back what it is given. It is there so that an editor knows what is being written. */
export function defineJobFile(file: JobFileModule): JobFileModule {
  return file
}

/** Several jobs, and what they share. */
export interface WrittenFile {
  readonly jobs: readonly WrittenJob[]
  /** Variables of all jobs of the file. */
  readonly bind?: Variables | undefined
  /** Sets of variables by name; a job chooses one with `profile`. */
  readonly profiles?: { readonly [name: string]: Variables } | undefined
}

/** A file of one job may have profiles beside its fields. */
export interface WrittenJobAlone extends WrittenJob {
  readonly profiles?: { readonly [name: string]: Variables } | undefined
}

/** N equal instances of a task. */
export interface WrittenJob {
  /** Default: the name of the task. */
  readonly name?: Text | undefined
  /** The account that it runs as, and the first part of its key. Default: that of the key on the command line. */
  readonly role?: Text | undefined
  /** Default: that of the key on the command line. */
  readonly environment?: Text | undefined
  /** One job in each: what is different there by its name, or names alone. Instead of `environment`. */
  readonly environments?: { readonly [environment: string]: Partial<WrittenJob> | null } | readonly string[] | undefined
  /** Default: that of the key on the command line. */
  readonly cluster?: Text | undefined
  /** The name of one of the profiles of the file; its values are `{{profile.x}}`. */
  readonly profile?: string | undefined
  /** Variables of this job. */
  readonly bind?: Variables | undefined
  /** What one instance is. */
  readonly task: WrittenTask
  /** How many equal instances run, numbered from 0. Default: 1. */
  readonly instances?: Whole | undefined
  /** Started again whenever it ends. Default: false, which runs once. */
  readonly service?: Flag | undefined
  /** What the job is worth when room is short. Default: the cluster's. */
  readonly tier?: 'preferred' | 'preemptible' | 'revocable' | (string & {}) | undefined
  /** The job with the higher number is placed first. Default: 0. */
  readonly priority?: Whole | undefined
  /** Follows from the tier; kept for files of Aurora. */
  readonly production?: Flag | undefined
  /** Whom to ask about it. */
  readonly contact?: Text | undefined
  /** Of a job that is no service: how many tasks may fail; -1 for any number. Default: 1. */
  readonly max_task_failures?: Whole | undefined
  readonly cron_schedule?: string | undefined
  readonly cron_collision_policy?: 'KILL_EXISTING' | 'CANCEL_NEW' | 'RUN_OVERLAP' | (string & {}) | undefined
  /** `limit:N`: at most N instances per value of the attribute; `a,b`: only there; `!a`: not there. */
  readonly constraints?: { readonly [attribute: string]: Text } | undefined
  /** Machines that are better or worse than others; none is refused. */
  readonly prefer?: readonly WrittenPreference[] | undefined
  /** How the instances should lie over the values of an attribute, as far as it goes. */
  readonly spread?: readonly WrittenSpread[] | undefined
  /** One instance on each machine that the constraints allow; `instances` is left out then. Default: false. */
  readonly every_host?: Flag | undefined
  /** So many instances are placed together or none is; `true` is all. */
  readonly gang?: Whole | true | undefined
  readonly metadata?: readonly { readonly key: Text; readonly value: Text }[] | undefined
  readonly update_config?: WrittenUpdateConfig | undefined
  readonly health_check_config?: WrittenHealthCheckConfig | undefined
  readonly lifecycle?: WrittenLifecycle | undefined
  readonly announce?: WrittenAnnouncer | undefined
  readonly container?: WrittenContainer | undefined
  /** What becomes of a task whose machine cannot be reached. */
  readonly partition_policy?:
    | { readonly reschedule?: Flag | undefined; readonly delay_secs?: Whole | undefined }
    | undefined
  readonly sla_policy?: WrittenSlaPolicy | undefined
  readonly task_links?: { readonly [name: string]: Text } | undefined
  readonly executor_config?: { readonly name?: Text | undefined; readonly data?: Text | undefined } | undefined
  readonly enable_hooks?: Flag | undefined
}

/** One run of an instance: processes that share a sandbox. */
export interface WrittenTask {
  /** Default: the name of its first process. */
  readonly name?: Text | undefined
  /** They run side by side unless `order`, `sequential` or `constraints` say otherwise. */
  readonly processes: readonly WrittenProcess[]
  /** All three of cpu, ram and disk must be given. */
  readonly resources: WrittenResources
  /** Each process starts when the one before it has finished. */
  readonly order?: readonly Text[] | undefined
  /** The same for all processes as listed. Default: false. */
  readonly sequential?: Flag | undefined
  readonly constraints?: readonly { readonly order: readonly Text[] }[] | undefined
  /** Processes that may fail for good before the task fails; 0 for any number. Default: 1. */
  readonly max_failures?: Whole | undefined
  /** Processes that run at a time; 0 for any number. Default: 0. */
  readonly max_concurrency?: Whole | undefined
  /** Seconds to end in order, final processes included. Default: 30. */
  readonly finalization_wait?: Whole | undefined
  readonly user?: Text | undefined
  readonly bind?: Variables | undefined
}

/** One command line. */
export interface WrittenProcess {
  /** Unique in the task. */
  readonly name: Text
  /** Run by `/bin/bash -c`. `{{thermos.ports[NAME]}}` asks for a port and is its number. */
  readonly cmdline: Text
  /** Failed runs before it has failed for good; 0 for any number. Default: 1. */
  readonly max_failures?: Whole | undefined
  /** Run again after success too. Default: false. */
  readonly daemon?: Flag | undefined
  /** Never holds the task open. Default: false. */
  readonly ephemeral?: Flag | undefined
  /** Seconds between the end of a run and the next start. Default: 5. */
  readonly min_duration?: Whole | undefined
  /** Runs when all others have ended, in success and in failure. Default: false. */
  readonly final?: Flag | undefined
  readonly logger?: WrittenLogger | undefined
  readonly resources?: WrittenResources | undefined
  readonly bind?: Variables | undefined
}

export interface WrittenResources {
  /** Cores; 0.1 is a tenth of one. */
  readonly cpu: Decimal
  readonly ram: Size
  readonly disk: Size
  /** Default: 0. */
  readonly gpu?: Whole | undefined
}

export interface WrittenLogger {
  /** Default: file. */
  readonly destination?: 'file' | 'console' | 'both' | 'none' | (string & {}) | undefined
  /** Default: standard. */
  readonly mode?: 'standard' | 'rotate' | (string & {}) | undefined
  readonly rotate?: { readonly log_size?: Size | undefined; readonly backups?: Whole | undefined } | undefined
}

export interface WrittenPreference {
  readonly attribute: Text
  readonly values: readonly Text[]
  /** -100 to 100, not 0. Default: 50. */
  readonly weight?: Whole | undefined
}

export interface WrittenSpread {
  readonly attribute: Text
  /** 1 to 100. Default: 50. */
  readonly weight?: Whole | undefined
  /** Percent of the instances by value. Default: evenly. */
  readonly targets?: { readonly [value: string]: Whole } | undefined
}

export interface WrittenUpdateConfig {
  readonly batch_size?: Whole | undefined
  readonly watch_secs?: Whole | undefined
  readonly max_per_shard_failures?: Whole | undefined
  readonly max_total_failures?: Whole | undefined
  readonly rollback_on_failure?: Flag | undefined
  readonly wait_for_batch_completion?: Flag | undefined
  readonly pulse_interval_secs?: Whole | undefined
  readonly sla_aware?: Flag | undefined
  readonly update_strategy?:
    | { readonly batch_size?: Whole | undefined; readonly autopause_after_batch?: Flag | undefined }
    | { readonly batch_sizes: readonly Whole[]; readonly autopause_after_batch?: Flag | undefined }
    | undefined
}

export interface WrittenHealthCheckConfig {
  readonly health_checker?:
    | {
        readonly http?:
          | {
              readonly endpoint?: Text | undefined
              readonly expected_response?: Text | undefined
              readonly expected_response_code?: Whole | undefined
            }
          | undefined
        readonly shell?: { readonly shell_command: Text } | undefined
      }
    | undefined
  readonly initial_interval_secs?: Decimal | undefined
  readonly interval_secs?: Decimal | undefined
  readonly timeout_secs?: Decimal | undefined
  readonly max_consecutive_failures?: Whole | undefined
  readonly min_consecutive_successes?: Whole | undefined
}

export interface WrittenLifecycle {
  readonly http?:
    | {
        readonly port?: Text | undefined
        readonly graceful_shutdown_endpoint?: Text | undefined
        readonly shutdown_endpoint?: Text | undefined
        readonly graceful_shutdown_wait_secs?: Whole | undefined
        readonly shutdown_wait_secs?: Whole | undefined
      }
    | undefined
}

export interface WrittenAnnouncer {
  readonly primary_port?: Text | undefined
  readonly portmap?: { readonly [name: string]: Text } | undefined
  readonly zk_path?: Text | undefined
}

export interface WrittenDocker {
  readonly image: Text
  readonly parameters?: readonly { readonly name: Text; readonly value: Text }[] | undefined
}

export type WrittenContainer =
  | { readonly docker: WrittenDocker }
  | WrittenDocker
  | {
      readonly image?:
        | { readonly name: Text; readonly image_id: Text }
        | { readonly name: Text; readonly tag: Text }
        | undefined
      readonly volumes?:
        | readonly {
            readonly container_path: Text
            readonly host_path: Text
            readonly mode: 'RO' | 'RW' | (string & {})
          }[]
        | undefined
    }

export type WrittenSlaPolicy =
  | { readonly coordinator_url: Text; readonly status_key?: Text | undefined }
  | { readonly count: Whole; readonly duration_secs: Whole }
  | { readonly percentage: Decimal; readonly duration_secs: Whole }
