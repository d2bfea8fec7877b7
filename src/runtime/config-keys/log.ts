/** Keys of the replicated log and of backups. */
import { z } from 'zod'
import { count, duration, flag, key, optionalKey, path, size } from '../config-forms.ts'

export const logKeys = z.strictObject({
  autoBootstrap: key(flag, {
    meaning: 'Initialize an empty store at the first start; else `daybreak log initialize` has to be run',
    default: false,
    aurora: '--log_auto_initialize',
  }),
  heartbeat: key(duration('1ms'), {
    meaning: 'How often a leader is heard by the other scheduler nodes when it has nothing else to say',
    default: '150ms',
  }),
  lease: key(duration('1ms'), {
    meaning:
      'How long the other scheduler nodes wait for a silent leader before they elect another; at least 6 heartbeats',
    default: '1s',
    aurora: '-zk_session_timeout',
  }),
  keepEntries: key(count(100, 10_000_000), {
    meaning:
      'Committed entries of the log that are kept although the row tables stand for them, so that a node that was away for a moment need not be sent all rows',
    default: 10_000,
  }),
  space: z.strictObject({
    alarm: key(size(), { meaning: 'Free disk space below which a warning is logged', default: '1GiB' }),
    reserve: key(size(), { meaning: 'Free disk space below which no more changes are accepted', default: '256MiB' }),
    ballast: key(size(), {
      meaning: 'Size of a file that is given up when the disk is full, so that there is room to recover',
      default: '64MiB',
    }),
  }),
})

export const backupKeys = z.strictObject({
  folder: optionalKey(path, {
    meaning:
      'Where this node writes backups of the cluster while it leads, and where `daybreak backup stage` looks for them',
    unset: '`backups` in data.dir',
    aurora: '-backup_dir',
  }),
  interval: key(duration('1min'), {
    meaning: 'From one backup to the next; the first comes so long after the start of the process',
    default: '1h',
    aurora: '-backup_interval',
  }),
  keep: key(count(1, 100_000), {
    meaning: 'Backups that stay in the folder; the oldest go',
    default: 48,
    aurora: '-max_saved_backups',
  }),
})
