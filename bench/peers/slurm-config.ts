/**
 * What Slurm is told and what it says: its configuration, as its guide for high throughput has it, and the lines of its
 * job completion log. Text in, text or values out.
 */

export interface SlurmPlace {
  /** Everything it keeps is in here; owned by root, readable by all. */
  readonly folder: string
  /** As the kernel says: slurmctld looks for itself by it. */
  readonly host: string
  readonly controllerPort: number
  readonly nodePort: number
  /** How many jobs may run at once: the cores that the one machine claims to have. */
  readonly slots: number
}

/**
 * What Slurm's "High Throughput Computing Administration Guide" advises is marked with HTC. Linux processes, no cgroups:
 * that works in containers too, and is the lightest it has.
 */
export function slurmConf({ folder, host, controllerPort, nodePort, slots }: SlurmPlace): string {
  return `${[
    'ClusterName=bench',
    `SlurmctldHost=${host}(127.0.0.1)`,
    `SlurmctldPort=${controllerPort}`,
    `SlurmdPort=${nodePort}`,
    'SlurmUser=root',
    'SlurmdUser=root',
    'AuthType=auth/munge',
    `AuthInfo=socket=${folder}/munge.sock`,
    'CredType=cred/munge',
    `StateSaveLocation=${folder}/state`,
    `SlurmdSpoolDir=${folder}/spool`,
    `SlurmctldPidFile=${folder}/slurmctld.pid`,
    `SlurmdPidFile=${folder}/slurmd.pid`,
    `SlurmctldLogFile=${folder}/slurmctld.log`,
    `SlurmdLogFile=${folder}/slurmd.log`,
    'SlurmctldDebug=error', // HTC
    'SlurmdDebug=error', // HTC
    'ProctrackType=proctrack/linuxproc',
    'TaskPlugin=task/none',
    'MpiDefault=none',
    'SwitchType=switch/none',
    'JobAcctGatherType=jobacct_gather/none', // HTC
    'AccountingStorageType=accounting_storage/none', // HTC
    'JobCompType=jobcomp/filetxt',
    `JobCompLoc=${folder}/ended.log`,
    'PriorityType=priority/basic', // HTC
    'SchedulerType=sched/builtin', // HTC: where most jobs are short
    `SchedulerParameters=${SCHEDULER_PARAMETERS}`, // HTC
    'MinJobAge=10', // HTC
    'MaxJobCount=100000',
    'MaxArraySize=20000',
    'MessageTimeout=60', // HTC
    'SelectType=select/cons_tres',
    'SelectTypeParameters=CR_Core',
    'SlurmdParameters=config_overrides',
    'ReturnToService=2',
    'MailProg=/bin/true',
    `NodeName=${host} NodeAddr=127.0.0.1 CPUs=${slots} Boards=1 SocketsPerBoard=1 CoresPerSocket=${slots} ThreadsPerCore=1 RealMemory=1000 State=UNKNOWN`,
    `PartitionName=bench Nodes=${host} Default=YES MaxTime=INFINITE State=UP`,
  ].join('\n')}\n`
}

/** The guide's `defer` is left out: with it arrays and single jobs both took longer on such a machine. */
export const SCHEDULER_PARAMETERS =
  'max_rpc_cnt=150,sched_min_interval=50000,batch_sched_delay=1,default_queue_depth=1000'

/** `slurm-wlm 22.05.8` → `22.05.8`; null if it is no such line. */
export function slurmVersion(said: string): string | null {
  return /^slurm(?:-wlm)?\s+(\d[\w.-]*)/m.exec(said)?.[1] ?? null
}

export interface Ended {
  readonly completed: number
  /** The whole line of a job that ended in another state; null if there is none. */
  readonly other: string | null
  /** What comes after the last whole line. */
  readonly rest: string
}

/** Reads what was added to the job completion log (`jobcomp/filetxt`): one line a job, `JobId=7 … JobState=COMPLETED …`. */
export function readEnded(text: string): Ended {
  const lines = text.split('\n')
  const rest = lines.pop() ?? ''
  let completed = 0
  let other: string | null = null
  for (const line of lines) {
    const state = /(?:^|\s)JobState=(\S+)/.exec(line)?.[1]
    if (state === 'COMPLETED') completed += 1
    else if (line !== '') other ??= line
  }
  return { completed, other, rest }
}
