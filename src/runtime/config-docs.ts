/** docs/operating/configuration.md, made from the schema. `scripts/config-docs.mjs` writes it, a test compares. */

import { defaultText } from './config-flags.ts'
import { configKeys } from './config-schema.ts'

export function configurationPage(): string {
  const rows = configKeys().map(({ name, facts }) => {
    const otherwise = facts.default === null ? (facts.unset ?? 'not set') : `\`${defaultText(facts.default)}\``
    const cells = [
      `\`${name}\``,
      facts.meaning,
      facts.unit,
      otherwise,
      facts.aurora === null ? '' : `\`${facts.aurora}\``,
    ]
    return `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |`
  })
  return `${HEAD}\n${rows.join('\n')}\n`
}

const HEAD = `# Configuration

This page is made from the schema (\`node scripts/config-docs.mjs\`); change \`src/runtime/config-schema.ts\` instead.

One YAML file configures a process, whatever its roles. \`config/local.yaml\` has every key with its comment. Every key is
a flag of \`daybreak start\` too, and wins over the file: \`--http.port 8181\`, \`--log.autoBootstrap\`. Lists and maps are
given as YAML: \`--agent.attributes '{rack: r1}'\`.

- \`daybreak config check FILE\` tells all faults at once, each with its line.
- \`daybreak config show FILE\` tells the effective values and where each comes from; a running node has them in \`/vars\`.
- Durations and sizes carry their unit: \`150ms\`, \`5s\`, \`5min\`, \`2h\`, \`7d\`; \`4KiB\`, \`64MiB\`, \`1GiB\`.
- Relative paths begin at the folder one starts in, so \`config/local.yaml\` keeps its data in \`.daybreak/\` there.
- Without \`cluster.secretFile\` a process binds to loopback addresses only; without \`security.file\` it serves only those.
- The quorum is always floor(members / 2) + 1 and need not be stated; a wrong one is refused.

The last column names the flag of Aurora (one dash), or of Mesos or the executor (two dashes), that a key answers to.

| key | meaning | unit | default | Aurora |
|---|---|---|---|---|`
