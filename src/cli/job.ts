import type { Command } from 'commander'
import { action, type CommonOptions, collect, remote, type Session } from './command.ts'
import type { AddOptions } from './job-add.ts'
import type { CreateOptions } from './job-create.ts'
import type { DiffOptions } from './job-diff.ts'
import type { InspectOptions } from './job-inspect.ts'
import type { KillOptions } from './job-kill.ts'
import type { RestartOptions } from './job-restart.ts'
import type { StatusOptions } from './job-status.ts'

/** The verbs of `daybreak job`. Each loads its work when it runs, so that asking for a status starts fast. */
const KEY = 'CLUSTER/ROLE/ENV/NAME'
const FILE = 'job file: YAML, JSON, TypeScript or JavaScript'
const BIND = 'sets a variable of the job file, name=value; repeatable'

export function registerJob(program: Command, session: Session): void {
  const job = program.command('job').description('create, look at and end jobs')

  remote(job.command('create'))
    .summary('create the job of a file')
    .description('Creates the job that KEY names from a job file, and waits for it if asked to.')
    .argument('<key>', KEY)
    .argument('<file>', FILE)
    .option('--bind <name=value>', BIND, collect)
    .option('--wait', 'wait until all instances run; short for --wait-until RUNNING')
    .option('--wait-until <status>', 'PENDING, RUNNING or FINISHED')
    .option('--dry-run', 'only say whether it would be admitted and where its tasks would go')
    .option('--json', 'print the outcome as JSON')
    .addHelpText('after', example('job create local/www-data/devel/hello examples/hello.yaml --wait'))
    .action(
      action(session, async (io, key: string, file: string, options: CreateOptions) =>
        (await import('./job-create.ts')).jobCreate(io, key, file, options),
      ),
    )

  remote(job.command('status'))
    .summary('show the tasks of one or several jobs')
    .description('Shows where the tasks of a job are; with CLUSTER/ROLE or patterns, of all jobs that match.')
    .argument('<key>', 'CLUSTER[/ROLE[/ENV[/NAME]]], shell patterns allowed')
    .option('--json', 'print JSON')
    .option('--write-json', 'the same, as Aurora calls it')
    .option('-v, --verbose', 'every task with its events, as Aurora prints it')
    .addHelpText(
      'after',
      example('job status local/www-data/devel/hello', "job status 'local/www-data/*/web-*' --json"),
    )
    .action(
      action(session, async (io, pattern: string, options: StatusOptions) =>
        (await import('./job-status.ts')).jobStatus(io, pattern, options),
      ),
    )

  remote(job.command('explain'))
    .summary('tell why tasks of a job wait, and what would help')
    .description(
      'Counts every host by what it objects to, names the hosts that come nearest with what they lack, and the single changes that would let a task in.',
    )
    .argument('<key>', KEY)
    .option('--json', 'print JSON')
    .addHelpText('after', example('job explain local/www-data/devel/hello'))
    .action(
      action(session, async (io, key: string, options: CommonOptions) =>
        (await import('./job-explain.ts')).jobExplain(io, key, options),
      ),
    )

  remote(job.command('list'))
    .summary('list jobs')
    .description('Lists jobs: a table on a terminal, one CLUSTER/ROLE/ENV/NAME per line elsewhere.')
    .argument('[pattern]', 'CLUSTER[/ROLE[/ENV[/NAME]]], shell patterns allowed', 'local')
    .option('--json', 'print JSON')
    .addHelpText('after', example('job list local/www-data'))
    .action(
      action(session, async (io, pattern: string, options: CommonOptions) =>
        (await import('./job-status.ts')).jobList(io, pattern, options),
      ),
    )

  remote(job.command('open'))
    .summary('show a job in the browser')
    .description('Opens what the scheduler tells of a job, of the jobs of a role, or of the cluster, in the browser.')
    .argument('<key>', 'CLUSTER[/ROLE[/ENV[/NAME]]]')
    .option('--json', 'print the URL as JSON and open nothing')
    .addHelpText('after', example('job open local/www-data/devel/hello'))
    .action(
      action(session, async (io, key: string, options: CommonOptions) =>
        (await import('./job-open.ts')).jobOpen(io, key, options),
      ),
    )

  job
    .command('inspect')
    .summary('show what a job file says, without a scheduler')
    .description('Reads a job file, fills in its variables and shows the job; nothing is sent.')
    .argument('<key>', KEY)
    .argument('<file>', FILE)
    .option('--bind <name=value>', BIND, collect)
    .option('--json', 'print the configuration that job create would send')
    .addHelpText('after', example('job inspect local/www-data/devel/hello examples/hello.yaml --json'))
    .action(
      action(session, async (io, key: string, file: string, options: InspectOptions) =>
        (await import('./job-inspect.ts')).jobInspect(io, key, file, options),
      ),
    )

  remote(job.command('diff'))
    .summary('show what a job file would change in a job that runs')
    .description(
      'Compares the job of a file with what runs: which instances would be added, removed and changed, and in what. Changes nothing.',
    )
    .argument('<key>', `${KEY}[/INSTANCES]`)
    .argument('<file>', FILE)
    .option('--bind <name=value>', BIND, collect)
    .option('--from <key>', `compare with what runs under another key, ${KEY}`)
    .option('--exit-code', 'end with 1 when there are differences')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      example(
        'job diff local/www-data/prod/site examples/environments.yaml --bind release=43',
        'job diff local/www-data/devel/hello/0-1 examples/hello.yaml --exit-code',
      ),
    )
    .action(
      action(session, async (io, key: string, file: string, options: DiffOptions) =>
        (await import('./job-diff.ts')).jobDiff(io, key, file, options),
      ),
    )

  remote(job.command('add'))
    .summary('add instances to a job')
    .description('Adds instances with the configuration of one that is active; their numbers follow the highest one.')
    .argument('<key>', `${KEY}/INSTANCE`)
    .argument('<count>', 'how many more')
    .option('--wait', 'wait until all of the new ones run; short for --wait-until RUNNING')
    .option('--wait-until <status>', 'PENDING, RUNNING or FINISHED')
    .option('--json', 'print the outcome as JSON')
    .addHelpText('after', example('job add local/www-data/devel/hello/0 2 --wait'))
    .action(
      action(session, async (io, key: string, count: string, options: AddOptions) =>
        (await import('./job-add.ts')).jobAdd(io, key, count, options),
      ),
    )

  for (const verb of ['kill', 'killall'] as const) {
    const all = verb === 'killall'
    remote(job.command(verb))
      .summary(all ? 'kill all instances of a job' : 'kill some instances of a job')
      .description(
        all
          ? 'Kills every instance, and the job with them; waits until all have ended.'
          : 'Kills the instances that the key names, batch by batch; waits until each has ended.',
      )
      .argument('<key>', all ? KEY : `${KEY}/INSTANCES, such as 0-2,5`)
      .option('-m, --message <text>', 'kept with the kill in the history of each task')
      .option(
        '--batch-size <n>',
        all ? 'kill so many at a time (default: all at once)' : 'kill so many at a time',
        ...(all ? [] : ['1']),
      )
      .option('--no-batching', 'kill all of them at once')
      .option('--max-total-failures <n>', 'instances that may outlive the wait before the command gives up', '0')
      .option('--json', 'print the outcome as JSON')
      .addHelpText(
        'after',
        example(all ? 'job killall local/www-data/devel/hello' : 'job kill local/www-data/devel/hello/0-1'),
      )
      .action(
        action(session, async (io, key: string, options: KillOptions) =>
          (await import('./job-kill.ts'))[all ? 'jobKillAll' : 'jobKill'](io, key, options),
        ),
      )
  }

  remote(job.command('restart'))
    .summary('restart instances, batch by batch')
    .description('Restarts instances batch by batch; a batch is done when its tasks stay RUNNING for --watch-secs.')
    .argument('<key>', `${KEY}[/INSTANCES]`)
    .option('--batch-size <n>', 'restart so many at a time', '1')
    .option('--max-total-failures <n>', 'instances that may fail before the command gives up', '0')
    .option('--max-per-instance-failures <n>', 'further tries for an instance that fails', '0')
    .option('--watch-secs <n>', 'seconds that a task must stay RUNNING', '30')
    .option('--json', 'print the outcome as JSON')
    .addHelpText('after', example('job restart local/www-data/devel/hello/0-2 --batch-size 2 --watch-secs 10'))
    .action(
      action(session, async (io, key: string, options: RestartOptions) =>
        (await import('./job-restart.ts')).jobRestart(io, key, options),
      ),
    )
}

export function example(...lines: string[]): string {
  const several = lines.length === 1 ? 'Example' : 'Examples'
  return `\n${several}:\n${lines.map(line => `  daybreak ${line}`).join('\n')}\n`
}
