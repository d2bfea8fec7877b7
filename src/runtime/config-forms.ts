/** How values of the config are written, and how a key is told of: what `config-schema.ts` is made of. */
import { z } from 'zod'
import { OFFER_ORDERS } from '../core/offers/candidate-order.ts'
import { TASK_STATUSES, type TaskStatus } from '../core/task/status.ts'
import { type Read, readCpus, readDuration, readPortRanges, readSize, shown } from './config-units.ts'

/** What is told about a key, as zod metadata. */
export interface KeyFacts {
  readonly meaning: string
  /** `duration`, `bytes`, `cores`, `port`, …: what a value is, for people. */
  readonly unit: string
  /** As one would write it in the file; null: not set, and then `unset` says what happens. */
  readonly default: string | number | boolean | readonly string[] | Readonly<Record<string, string>> | null
  readonly unset?: string
  /** The flag of Aurora (one dash), Mesos or the executor (two dashes) it answers to; null when there is none. */
  readonly aurora: string | null
}

type Told = Omit<KeyFacts, 'unit' | 'unset' | 'aurora'> & { readonly aurora?: string }
type ToldUnset = { readonly meaning: string; readonly unset: string; readonly aurora?: string }
interface Form<S extends z.ZodType> {
  readonly schema: S
  readonly unit: string
}

export const key = <S extends z.ZodType>({ schema, unit }: Form<S>, told: Told): S =>
  schema.meta({ ...told, unit, aurora: told.aurora ?? null })
/** A key that may stay unset: null in the config then. */
export const optionalKey = <S extends z.ZodType>({ schema, unit }: Form<S>, told: ToldUnset): z.ZodNullable<S> =>
  schema.nullable().meta({ ...told, unit, default: null, aurora: told.aurora ?? null })

const wrong = (expected: string) => ({
  error: (issue: { input?: unknown }) => `must be ${expected}, found ${shown(issue.input)}`,
})

/** `min` is written as in a file, so that a fault can show it. */
function quantity<T>(read: (value: unknown) => Read<T>, min = '0') {
  const least = read(min)
  return z.unknown().transform((value, context): T => {
    const done = read(value)
    const tooSmall = done.ok && least.ok && done.value < least.value
    if (done.ok && !tooSmall) return done.value
    const message = done.ok ? `must be at least ${min}, found ${shown(value)}` : done.text
    context.issues.push({ code: 'custom', message, input: value })
    return z.NEVER
  })
}
export const duration = (min?: string) => ({ schema: quantity(readDuration, min), unit: 'duration' })
export const size = (min?: string) => ({ schema: quantity(readSize, min), unit: 'bytes' })
export const cpus = { schema: quantity(readCpus), unit: 'cores' }
export const portRanges = { schema: quantity(readPortRanges), unit: 'port ranges' }
export const count = (min: number, max: number) => {
  const expected = wrong(`a whole number from ${min} to ${max}`)
  return { schema: z.int(expected).min(min, expected).max(max, expected), unit: 'count' }
}
export const port = { ...count(0, 65_535), unit: 'port, 0 = any free one' }
export const flag = { schema: z.boolean(wrong('true or false')), unit: 'true or false' }
export const text = (unit: string, pattern = /^\P{Cc}{1,1024}$/u, expected = 'a text of one line') => ({
  schema: z.string(wrong(expected)).regex(pattern, wrong(expected)),
  unit,
})
export const name = text('name', /^[A-Za-z0-9][\w.-]{0,254}$/, 'a name of letters, digits, `.`, `-` and `_`')
export const host = text('host', /^[A-Za-z0-9_.:[\]-]{1,253}$/, 'a host name or an address')
export const choice = <const T extends readonly [string, ...string[]]>(...options: T) => ({
  schema: z.enum(options, wrong(`one of ${options.join(', ')}`)),
  unit: options.join(' or '),
})
export const path = text('path')
export const regex = {
  schema: z.string(wrong('a regular expression')).refine(isRegex, wrong('a regular expression that compiles')),
  unit: 'regular expression, whole match',
}

function isRegex(source: string): boolean {
  try {
    return new RegExp(source) instanceof RegExp
  } catch (cause) {
    if (cause instanceof SyntaxError) return false
    throw cause
  }
}

/** `host` or `host:port`: where others reach what is bound here. */
export const advertised = {
  schema: z
    .string(wrong('`host` or `host:port`'))
    .regex(/^(?:[\w.-]{1,253}|\[[0-9a-fA-F:]+\])(?::\d{1,5})?$/, wrong('`host` or `host:port`'))
    .transform(value => {
      const match = /^(.*?)(?::(\d+))?$/.exec(value)
      return { host: match?.[1] ?? value, port: match?.[2] === undefined ? null : Number(match[2]) }
    }),
  unit: 'host or host:port',
}
export const webhookUrl = {
  schema: z
    .string(wrong('an http or https URL'))
    .regex(/^https?:\/\/\S+$/, { ...wrong('an http or https URL'), abort: true })
    .refine(text => URL.canParse(text), wrong('an http or https URL')),
  unit: 'URL',
}
export const statuses = {
  schema: z.array(
    z.enum(Object.keys(TASK_STATUSES) as [TaskStatus, ...TaskStatus[]], wrong('statuses of tasks, such as LOST')),
    wrong('a list of statuses'),
  ),
  unit: 'list of statuses',
}
export const offerOrder = {
  schema: z.array(z.enum(OFFER_ORDERS, wrong(`some of ${OFFER_ORDERS.join(', ')}`)), wrong('a list of orders')),
  unit: `list of ${OFFER_ORDERS.join(', ')}`,
}
export const urls = {
  schema: z.array(
    z
      .string(wrong('a URL'))
      .regex(/^https?:\/\/[^/\s]+\/?$/, { ...wrong('a URL such as `http://10.0.0.1:8081`'), abort: true })
      .refine(text => URL.canParse(text), wrong('a URL such as `http://10.0.0.1:8081`')),
    wrong('a list of URLs'),
  ),
  unit: 'list of URLs',
}
export const origins = {
  schema: z.array(
    z
      .string(wrong('an origin such as `https://ui.example`'))
      .regex(/^https?:\/\/[^/\s*]+$/, { ...wrong('an origin such as `https://ui.example`'), abort: true })
      .refine(text => URL.canParse(text) && new URL(text).origin === text, wrong('an origin in its plain form')),
    wrong('a list of origins'),
  ),
  unit: 'list of origins',
}
export const attributes = {
  schema: z
    .record(
      z.string(),
      z.union(
        [z.string(), z.number(), z.boolean(), z.array(z.union([z.string(), z.number(), z.boolean()]))],
        wrong('a value or a list of values'),
      ),
      wrong('a map of names to values'),
    )
    .transform(map =>
      Object.entries(map)
        .map(([attribute, values]) => ({ name: attribute, values: [...new Set([values].flat().map(String))].sort() }))
        .sort((a, b) => (a.name < b.name ? -1 : 1)),
    ),
  unit: 'map of name to value or values',
}
export const members = {
  schema: z.array(
    z.strictObject(
      {
        id: count(1, 1_000_000).schema,
        host: host.schema,
        port: count(1, 65_535).schema,
        name: name.schema.optional(),
      },
      wrong('a member: {id, host, port, name}'),
    ),
    wrong('a list of members: [{id, host, port}]'),
  ),
  unit: 'list of {id, host, port, name}',
}
export const roles = {
  schema: z
    .array(choice('scheduler', 'agent').schema, wrong('a list of scheduler and agent'))
    .min(1, wrong('at least one of scheduler and agent')),
  unit: 'list of scheduler and agent',
}
