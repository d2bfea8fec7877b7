/**
 * What an agent may say of its machine: every attribute once, with at least one value, in characters that a constraint
 * can name. Source: the agent spec, section 17; the task life cycle, section 10 (attribute store).
 */
const TEXT = /^[A-Za-z0-9_/.*-]+$/
const SHOWN_MAX = 60

/** The first fault, naming the attribute and the remedy; null when there is none. */
export function attributeFault(
  attributes: readonly { readonly name: string; readonly values: readonly string[] }[],
): string | null {
  const names = new Set<string>()
  for (const { name, values } of attributes) {
    if (!TEXT.test(name)) return `the attribute name ${shown(name)} has characters other than ${ALLOWED}`
    if (names.has(name)) return `attribute ${shown(name)} is there twice: give it all its values in one list`
    names.add(name)
    if (values.length === 0) return `attribute ${shown(name)} has no value: give it one, or leave it out`
    const bad = values.find(value => !TEXT.test(value))
    if (bad !== undefined) return `attribute ${shown(name)} has the value ${shown(bad)}: ${ALLOWED} only`
  }
  return null
}

const ALLOWED = 'letters, digits and _ / . * -'

const shown = (text: string): string => JSON.stringify(text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}…` : text)
