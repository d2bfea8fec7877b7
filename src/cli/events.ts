import type { Command } from 'commander'
import { action, type CommonOptions, remote, type Session } from './command.ts'
import { example } from './job.ts'

/** `daybreak events`: what has happened in a cluster, and with `-f` what happens. */
export interface EventOptions extends CommonOptions {
  readonly cluster: string
  readonly follow?: boolean
  readonly from?: string
  readonly job?: string
  readonly task?: string
  readonly type?: string
}

export function registerEvents(program: Command, session: Session): void {
  remote(program.command('events'))
    .summary('show what has happened, or follow what happens')
    .description(
      'Shows the events that the log of the cluster still holds, oldest first, or with -f those that happen from now on. Following goes over to another node when its node is lost, and neither misses nor repeats an event.',
    )
    .option('--cluster <name>', 'the cluster to ask; the one of --job unless given', 'local')
    .option('-f, --follow', 'go on with what happens, until Ctrl-C')
    .option('--from <position>', 'begin at this position of the log, or behind this id (1204-3)')
    .option('--job <key>', 'events of this job only: CLUSTER/ROLE/ENV/NAME')
    .option('--task <id>', 'events of this task only')
    .option('--type <types>', 'events of these types only: task.transition,job.changed')
    .option('--json', 'print one JSON object a line')
    .addHelpText('after', example('events -f', 'events --from 1204 --job local/www-data/devel/hello'))
    .action(
      action(session, async (io, options: EventOptions) => {
        const { showEvents } = await import('./event-reader.ts')
        return showEvents(io, options)
      }),
    )
}
