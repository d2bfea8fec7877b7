import type { Command } from 'commander'
import { action, type CommonOptions, remote, type Session } from './command.ts'
import { example } from './job.ts'
import type { LogOptions } from './task-logs.ts'
import type { WhyOptions } from './task-why.ts'

/** The verbs of `daybreak task`. */
export function registerTask(program: Command, session: Session): void {
  const task = program.command('task').description('look at the tasks of one instance')
  remote(task.command('logs'))
    .summary('print what a process of a task wrote')
    .description('Prints the output of the newest task of an instance: of the process that started last, unless named.')
    .argument('<key>', 'CLUSTER/ROLE/ENV/NAME/INSTANCE')
    .option('-f, --follow', 'go on as more is written; follows the instance to its next task')
    .option('--process <name>', 'the process to show')
    .option('--stderr', 'what it wrote to stderr')
    .option('--tail <n>', 'only the last n lines')
    .addHelpText(
      'after',
      example('task logs local/www-data/devel/hello/0 -f', 'task logs local/www-data/devel/hello/0 --stderr --tail 20'),
    )
    .action(
      action(session, async (io, key: string, options: LogOptions) =>
        (await import('./task-logs.ts')).taskLogs(io, key, options),
      ),
    )
  remote(task.command('history'))
    .summary('tell what has happened to an instance')
    .description(
      'Prints every event of every task of an instance that is still known: when, what, who wanted it and why. The oldest comes first.',
    )
    .argument('<key>', 'CLUSTER/ROLE/ENV/NAME/INSTANCE')
    .option('--json', 'print JSON')
    .addHelpText('after', example('task history local/www-data/devel/hello/0'))
    .action(
      action(session, async (io, key: string, options: CommonOptions) =>
        (await import('./task-history.ts')).taskHistory(io, key, options),
      ),
    )
  remote(task.command('why'))
    .summary('tell why a task was placed where it is')
    .description(
      'Says on what the placement was decided: how many hosts were looked at, which was taken and why, and which came next.',
    )
    .argument('<task>', 'a task id, or CLUSTER/ROLE/ENV/NAME/INSTANCE for the newest task of an instance')
    .option('--cluster <name>', 'the cluster of a task id', 'local')
    .option('--json', 'print JSON')
    .addHelpText('after', example('task why local/www-data/devel/hello/0'))
    .action(
      action(session, async (io, text: string, options: WhyOptions) =>
        (await import('./task-why.ts')).taskWhy(io, text, options),
      ),
    )
}
