import type { Command } from 'commander'
import { action, type CommonOptions, remote, type Session } from './command.ts'
import { example } from './job.ts'
import type { AmountArguments } from './quota-amounts.ts'

/** The verbs of `daybreak quota`: what production of a role may take of shared machines. */
export function registerQuota(program: Command, session: Session): void {
  const quota = program.command('quota').description('what production jobs of a role may use together')
  remote(quota.command('get'))
    .summary('show what a role may use and what it uses')
    .description('Shows the quota of a role and what it uses, in four pools; with CLUSTER alone, all roles.')
    .argument('<key>', 'CLUSTER[/ROLE]')
    .option('--json', 'print JSON')
    .addHelpText('after', example('quota get local/www-data', 'quota get local'))
    .action(
      action(session, async (io, key: string, options: CommonOptions) =>
        (await import('./quota-amounts.ts')).getQuota(io, key, options),
      ),
    )
  amounts(quota.command('set'), 'GPUs; without it GPUs are not limited')
    .summary('set the quota of a role')
    .description('Sets what production jobs of the role may take of shared machines; never less than they take now.')
    .addHelpText('after', example('quota set local/www-data 20 64GB 500GB'))
    .action(
      action(session, async (io, key: string, ...rest: AmountArguments) =>
        (await import('./quota-amounts.ts')).changeQuota(io, 'set', key, rest),
      ),
    )
  amounts(quota.command('increase'), 'GPUs; only for a quota that limits them')
    // -4GB looks like an option to whoever reads the line.
    .allowUnknownOption()
    .summary('add to the quota of a role')
    .description('Adds to the quota of a role in one step, so that two who do it at once both get what they asked for.')
    .addHelpText('after', example('quota increase local/www-data 4 8GB 0', 'quota increase local/www-data -2 -4GB 0'))
    .action(
      action(session, async (io, key: string, ...rest: AmountArguments) =>
        (await import('./quota-amounts.ts')).changeQuota(io, 'increase', key, rest),
      ),
    )
}

function amounts(command: Command, gpuHelp: string): Command {
  return remote(command)
    .argument('<key>', 'CLUSTER/ROLE')
    .argument('<cpu>', 'cores')
    .argument('<ram>', 'MB, or with its unit: 512MB, 64GB, 1TB')
    .argument('<disk>', 'the same')
    .option('--gpu <n>', gpuHelp)
    .option('--json', 'print JSON')
}
