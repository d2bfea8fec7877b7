import type { Command } from 'commander'
import { action, type CommonOptions, collect, remote, type Session } from './command.ts'
import { example } from './job.ts'
import type { LogOptions } from './task-logs.ts'
import type { RunOptions } from './task-run.ts'
import type { ScpOptions } from './task-scp.ts'
import type { SshOptions } from './task-ssh.ts'
import type { WhyOptions } from './task-why.ts'

/** The verbs of `daybreak task`. */
export function registerTask(program: Command, session: Session): void {
  const task = program.command('task').description('look at tasks and reach into them')
  remote(task.command('logs'))
    .summary('print what a process of a task wrote')
    .description('Prints the output of the newest task of an instance: of the process that started last, unless named.')
    .argument('<key>', 'CLUSTER/ROLE/ENV/NAME/INSTANCE')
    .option('-f, --follow', 'go on as more is written; follows the instance to its next task')
    .option('--process <name>', 'the process to show')
    .option('--stderr', 'what it wrote to stderr')
    .option('--tail <n>', 'only the last n lines')
    .option('--json', 'print one JSON document; not with --follow')
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
  reaching(task.command('run'))
    .summary('run a command beside each task of a job')
    .description(
      'Runs a command over ssh in the sandbox of each task, and prints what it writes with the host in front of each line.',
    )
    .argument('<key>', 'CLUSTER/ROLE/ENV/NAME[/INSTANCES]')
    .argument('<command>', '{{mesos.instance}}, {{thermos.ports[NAME]}} and the like are filled in')
    .option('-t, --threads <n>', 'tasks at a time', '1')
    .option('--ssh-options <options>', "further options for ssh, such as '-p 2222 -o ConnectTimeout=5'")
    .addHelpText(
      'after',
      example(
        "task run local/www-data/devel/hello 'du -sh .' -t 10",
        "task run local/www-data/devel/hello/0-2 'curl -s localhost:{{thermos.ports[http]}}/health'",
      ),
    )
    .action(
      action(session, async (io, key: string, command: string, options: RunOptions) =>
        (await import('./task-run.ts')).taskRun(io, key, command, options),
      ),
    )
  reaching(task.command('ssh'))
    .summary('open a shell in the sandbox of a task')
    .description('Opens a shell over ssh in the sandbox of an instance, or of the first that runs; ends as ssh ends.')
    .argument('<key>', 'CLUSTER/ROLE/ENV/NAME[/INSTANCE]')
    .option('-c, --command <command>', 'run this instead of a shell; needs the instance')
    .option(
      '-L, --tunnel <port:name>',
      "leads a port of this machine to a task's port of that name; repeatable",
      collect,
    )
    .option('-p, --pid-file <file>', 'where to write the process id of ssh')
    .option('--ssh-options <options>', "further options for ssh, such as '-p 2222 -A'")
    .addHelpText(
      'after',
      example('task ssh local/www-data/devel/hello/0', 'task ssh local/www-data/devel/hello/0 -L 8080:http'),
    )
    .action(
      action(session, async (io, key: string, options: SshOptions) =>
        (await import('./task-ssh.ts')).taskSsh(io, key, options),
      ),
    )
  reaching(task.command('scp'))
    .summary('copy files from and to sandboxes')
    .description('Copies over scp; paths of a task begin at its sandbox. Ends as scp ends.')
    .argument('<path...>', 'sources, then where to: a path here, or CLUSTER/ROLE/ENV/NAME/INSTANCE:PATH')
    .option('--scp-options <options>', "further options for scp, such as '-r -P 2222'")
    .addHelpText(
      'after',
      example(
        'task scp local/www-data/devel/hello/0:core.1234 .',
        'task scp --scp-options -r conf local/www-data/devel/hello/0:',
      ),
    )
    .action(
      action(session, async (io, paths: readonly string[], options: ScpOptions) =>
        (await import('./task-scp.ts')).taskScp(io, paths, options),
      ),
    )
}

/** What all verbs take that go to the machine of a task. */
function reaching(command: Command): Command {
  return remote(command).option(
    '-l, --ssh-user <name>',
    'whom to log in as (default: DAYBREAK_SSH_USER, else the role of the job)',
  )
}
