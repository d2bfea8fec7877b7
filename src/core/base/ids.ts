/** Identifiers, branded so that one kind cannot be passed for another, and the one order used wherever order matters. */
declare const brand: unique symbol
type Branded<T, B extends string> = T & { readonly [brand]: B }

/** `role-env-name-instance-<uuid>`, at most 255 characters of `[A-Za-z0-9_-]`. Opaque: never parsed. */
export type TaskId = Branded<string, 'TaskId'>
/** UUID given to an agent by the leader at its first registration. */
export type AgentId = Branded<string, 'AgentId'>
/** SHA-256 (hex) of the canonical form of a task configuration: the key of its row. */
export type ConfigId = Branded<string, 'ConfigId'>
/** A slot of the replicated log: 1..2^53-1; 0 means "before the log". */
export type Position = Branded<number, 'Position'>
/** The number 0..N-1 of an instance within its job. */
export type InstanceId = number

export const taskId = (text: string): TaskId => text as TaskId
export const agentId = (text: string): AgentId => text as AgentId
export const configId = (text: string): ConfigId => text as ConfigId
export const position = (value: number): Position => value as Position

export interface JobKey {
  readonly role: string
  readonly environment: string
  readonly name: string
}

/** `role/env/name`: how a job is written everywhere (a client puts `cluster/` in front). Also the key of its row. */
export function jobKeyText(key: JobKey): string {
  if (key !== lastKey) {
    lastKey = key
    lastText = `${key.role}/${key.environment}/${key.name}`
  }
  return lastText
}

// Rows of one job share its key, and who handles one asks for its text several times: a text that is the same string
// has its hash already, which is most of what an index costs.
let lastKey: JobKey = { role: '', environment: '', name: '' }
let lastText = '//'

/** Byte order of UTF-16 units; never the locale's. */
export function compareIds(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** The identifier rule of the job schema: role, environment, name, user, tier. */
export const IDENTIFIER = /^[\w\-.]+$/
export const IDENTIFIER_CHARACTERS_MAX = 255

export function isIdentifier(text: string): boolean {
  return text.length > 0 && text.length <= IDENTIFIER_CHARACTERS_MAX && IDENTIFIER.test(text) && !text.endsWith('\n')
}
