import type { Command } from 'commander'
import { action, collect, remote, type Session } from './command.ts'
import { example } from './job.ts'
import type { WhatIfOptions } from './what-if-plan.ts'

/** `daybreak what-if`: tries something on a copy of the live state. */
export function registerWhatIf(program: Command, session: Session): void {
  remote(program.command('what-if'))
    .summary('try a drain, a loss or a job on a copy of the live state')
    .description(
      'Says what would happen: what moves where, what is preempted, what stays pending and why. Changes nothing. Ends with 0 when every task finds a place.',
    )
    .argument('<cluster>', 'the cluster')
    .option('--drain <hosts>', 'hosts, agents or attribute=value to drain, with commas; repeatable', collect, [])
    .option('--lose <hosts>', 'the same, lost with everything on them; repeatable', collect, [])
    .option(
      '--apply <file>',
      'a job as it is to be: a file that states role, environment and name, or ROLE/ENV/NAME=FILE; repeatable',
      collect,
      [],
    )
    .option('--bind <name=value>', 'sets a variable of the job files; repeatable', collect, [])
    .option('--seed <n>', 'the same state and seed give the same plan')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      example(
        'what-if local --drain h1,h2',
        'what-if local --lose rack=r7 --apply www-data/devel/hello=examples/hello.yaml',
      ),
    )
    .action(
      action(session, async (io, cluster: string, options: WhatIfOptions) =>
        (await import('./what-if-plan.ts')).whatIf(io, cluster, options),
      ),
    )
}
