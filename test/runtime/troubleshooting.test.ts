import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const folder = async (path: string): Promise<string> => {
  const entries = await readdir(path, { recursive: true, withFileTypes: true })
  const files = entries.filter(entry => entry.isFile() && entry.name.endsWith('.ts'))
  return (await Promise.all(files.map(file => readFile(join(file.parentPath, file.name), 'utf8')))).join('\n')
}

/** A message as the source writes it: names that are filled in stand as `${…}` there. */
const asWritten = (message: string): RegExp => {
  const escaped = message.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  return new RegExp(
    escaped
      .replace(/(Insufficient: )CPU/, '$1(?:CPU|\\$\\{[^}]*\\})')
      .replace(/((?:Constraint|Limit) not satisfied: )(?:rack|host)/, '$1\\$\\{[^}]*\\}')
      .replace(/(attribute )rack/, '$1\\$\\{[^}]*\\}')
      .replace(/Only www-data/, 'Only \\$\\{[^}]*\\}'),
  )
}

test('docs/operating/troubleshooting.md: every message that it names stands in the program', async () => {
  const page = await readFile('docs/operating/troubleshooting.md', 'utf8')
  const bold = [...page.matchAll(/^\*\*`([^`]+)`\*\*/gm)].map(([, text]) => text!)
  const cells = [...page.matchAll(/^\| `([^`]+)`/gm)].map(([, text]) => text!)
  const told = [...page.matchAll(/`(Nothing was heard of|has come back with an empty work folder)`/g)].map(
    ([, text]) => text!,
  )
  const source = await folder('src')
  const missing = [...bold, ...cells, ...told].filter(message => !asWritten(message).test(source))
  expect(missing).toEqual([])
  expect(bold.length + cells.length).toBeGreaterThan(15)
})

test('docs/operating/troubleshooting.md: every command and config key that it names is there', async () => {
  const page = await readFile('docs/operating/troubleshooting.md', 'utf8')
  const keys = await readFile('docs/operating/configuration.md', 'utf8')
  for (const [, key] of page.matchAll(/`((?:scheduler|agent)\.[\w.]+)`/g)) {
    // Attributes are named by the operator.
    const known = key!.startsWith('agent.attributes.') ? 'agent.attributes' : key!
    expect(keys, known).toContain(known)
  }
  const client = await folder('src/cli')
  for (const [, noun, verb] of page.matchAll(/`daybreak (\w[\w-]*) (\w[\w-]*)?/g)) {
    expect(client, noun).toMatch(new RegExp(`command\\('${noun}'\\)|'${noun}'`))
    if (verb !== undefined && /^[a-z]/.test(verb)) expect(client, `${noun} ${verb}`).toContain(`'${verb}'`)
  }
})
