/** Errors as RFC 9457 problem documents: one form for every refusal, made from the rejection table. */
import type { FastifyReply } from 'fastify'
import { REJECTIONS, type Rejection } from '../../core/base/rejection.ts'
import type { Problem } from '../../wire/rest.ts'

const RETRY_AFTER_SECONDS = 1

/** `status` where HTTP is more exact than the table: 405, 413, 415. */
export function sendProblem(reply: FastifyReply, rejection: Rejection, status?: number): void {
  const problem = { ...problemOf(rejection, status), callId: reply.request.id }
  if (problem.status === 503) reply.header('retry-after', String(RETRY_AFTER_SECONDS))
  if (rejection.version !== undefined) reply.header('etag', `"${rejection.version}"`)
  reply
    .code(problem.status)
    .header('content-type', 'application/problem+json')
    .send(Buffer.from(JSON.stringify(problem)))
}

export function problemOf(rejection: Rejection, status?: number): Omit<Problem, 'callId'> {
  const row = REJECTIONS[rejection.code]
  return {
    type: `urn:daybreak:error:${rejection.code}`,
    title: row.text,
    status: status ?? row.http,
    code: rejection.code,
    detail: rejection.detail,
    ...(rejection.remedy === undefined ? {} : { remedy: rejection.remedy }),
    ...(rejection.version === undefined ? {} : { version: rejection.version }),
    ...(rejection.faults === undefined
      ? {}
      : {
          faults: rejection.faults.map(({ path, text, line }) => ({
            path,
            text,
            ...(line === undefined ? {} : { line }),
          })),
        }),
  }
}

/** JSON text to a value, or a sentence that names the place of the first fault. */
export function readJsonBody(
  text: string,
): { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly detail: string } {
  if (text.trim() === '') return { ok: true, value: undefined }
  try {
    return { ok: true, value: JSON.parse(text) as unknown }
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause
    const offset = jsonFaultAt(text)
    const before = text.slice(0, offset)
    const line = before.split('\n').length
    const column = offset - before.lastIndexOf('\n')
    const what =
      offset >= text.length ? 'it ends too early' : `unexpected ${JSON.stringify(text.slice(offset, offset + 20))}`
    return { ok: false, detail: `The body is not JSON: line ${line}, column ${column}: ${what}` }
  }
}

const NESTING_MAX = 500
const BLANKS = /[ \t\n\r]*/y
const STRING = /"(?:[^"\\\p{Cc}]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/uy
const SCALAR = /(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.])/y

/** Where a text stops being JSON; its length when only the end is missing. The parser of Node does not always say. */
export function jsonFaultAt(text: string): number {
  let at = 0
  let depth = 0
  const take = (token: RegExp): boolean => {
    token.lastIndex = at
    if (!token.test(text)) return false
    at = token.lastIndex
    return true
  }
  const takeMark = (mark: string): boolean => {
    take(BLANKS)
    if (text[at] !== mark) return false
    at += 1
    return true
  }
  /** False where it is broken; `at` stays there. Nothing that is asked of a node nests deeper than the limit. */
  const takeValue = (): boolean => {
    if (takeMark('[')) return nested(() => takeMark(']') || takeList(takeValue, ']'))
    if (takeMark('{')) return nested(() => takeMark('}') || takeList(takePair, '}'))
    return take(STRING) || take(SCALAR)
  }
  const nested = (inside: () => boolean): boolean => {
    depth += 1
    const good = depth <= NESTING_MAX && inside()
    depth -= 1
    return good
  }
  const takePair = (): boolean => {
    take(BLANKS)
    return take(STRING) && takeMark(':') && takeValue()
  }
  const takeList = (takeItem: () => boolean, end: string): boolean => {
    do if (!takeItem()) return false
    while (takeMark(','))
    return takeMark(end)
  }
  if (takeValue()) take(BLANKS)
  return at
}
