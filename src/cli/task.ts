import type { Command } from 'commander'
import { action, remote, type Session } from './command.ts'
import { example } from './job.ts'
import type { LogOptions } from './task-logs.ts'

/** The verbs of `daybreak task`. */
export function registerTask(program: Command, session: Session): void {
  const task = program.command('task').description('look at one running task')
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
}
