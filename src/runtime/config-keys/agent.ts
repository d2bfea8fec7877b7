/** Keys of an agent and of the executor in it. */
import { z } from 'zod'
import {
  attributes,
  choice,
  count,
  cpus,
  duration,
  flag,
  key,
  name,
  optionalKey,
  path,
  portRanges,
  size,
  urls,
} from '../config-forms.ts'

export const executorKeys = z.strictObject({
  overheadCpus: key(cpus, {
    meaning: 'Cores counted for every task beside its own, for what runs it',
    default: 0.01,
    aurora: '-thermos_executor_cpu',
  }),
  overheadRam: key(size(), {
    meaning: 'RAM counted for every task beside its own, for what runs it',
    default: '8MiB',
    aurora: '-thermos_executor_ram',
  }),
})

export const agentKeys = z.strictObject({
  workDir: optionalKey(path, {
    meaning: 'Folder of the sandboxes and of what the agent remembers of its tasks',
    unset: '`agent` in data.dir',
    aurora: '--work_dir',
  }),
  schedulers: key(urls, {
    meaning: 'Scheduler nodes to register with; empty: the one in this process',
    default: [],
    aurora: '--master',
  }),
  host: optionalKey(name, {
    meaning: 'Name of this machine, for constraints and for people',
    unset: 'the host name',
    aurora: '--hostname',
  }),
  attributes: key(attributes, {
    meaning: 'What constraints of jobs can ask for; `dedicated` keeps a machine for one kind of job',
    default: {},
    aurora: '--attributes',
  }),
  resources: z.strictObject({
    cpus: optionalKey(cpus, { meaning: 'Cores to offer', unset: 'all', aurora: '--resources' }),
    ram: optionalKey(size(), {
      meaning: 'RAM to offer',
      unset: 'all but 5 %, at least 1GiB',
      aurora: '--resources',
    }),
    disk: optionalKey(size(), {
      meaning: 'Disk space to offer',
      unset: 'the file system of the work folder but 5GiB',
      aurora: '--resources',
    }),
    gpus: key(count(0, 64), { meaning: 'GPUs to offer', default: 0, aurora: '--resources' }),
    revocableCpus: key(cpus, {
      meaning:
        'Cores to lend beside cpus, such as those that are reserved and idle: only tasks of the tier revocable run on them, and on nothing else',
      default: 0,
      aurora: '-receive_revocable_resources',
    }),
  }),
  ports: key(portRanges, { meaning: 'Ports to assign to tasks', default: '31000-32000', aurora: '--resources' }),
  userMode: key(choice('role', 'shared'), {
    meaning: 'Whom tasks run as: the user named like their role (needs root), or all as the user of the agent',
    default: 'role',
    aurora: '--switch_user',
  }),
  allowRoot: key(flag, { meaning: 'Whether the role root may run tasks', default: false }),
  killCap: key(duration('1s'), {
    meaning: 'Longest time a task gets to end by itself before SIGKILL',
    default: '2min',
    aurora: '--stop_timeout_in_secs',
  }),
  sandboxKeep: key(duration(), {
    meaning: 'How long the sandbox of an ended task is kept; less when the disk fills up',
    default: '7d',
    aurora: '--gc_delay',
  }),
})
