import type { NodeConfig } from './config.ts'

/** The effective config for `/vars`, one line a key. Passwords that stand in URLs are left out. */
export function configFacts(config: NodeConfig): Record<string, string | number> {
  const facts: Record<string, string | number> = {}
  const walk = (value: unknown, path: string): void => {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      for (const [key, inner] of Object.entries(value)) walk(inner, path === '' ? key : `${path}.${key}`)
    } else {
      facts[`config_${path}`] =
        typeof value === 'number' ? value : withoutPasswords(typeof value === 'string' ? value : JSON.stringify(value))
    }
  }
  walk(config, '')
  return facts
}

function withoutPasswords(text: string): string {
  return text.replaceAll(/(\/\/[^/@\s:"]*):[^/@\s"]+@/g, '$1:***@')
}
