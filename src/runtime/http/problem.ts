/** Errors as RFC 9457 problem documents: one form for every refusal, made from the rejection table. */
import type { FastifyReply } from 'fastify'
import { REJECTIONS, type Rejection } from '../../core/base/rejection.ts'
import type { Problem } from '../../wire/rest.ts'

const RETRY_AFTER_SECONDS = 1

/** `status` where HTTP is more exact than the table: 405, 413, 415. */
export function sendProblem(reply: FastifyReply, rejection: Rejection, status?: number): void {
  const problem = problemOf(rejection, status)
  if (problem.status === 503) reply.header('retry-after', String(RETRY_AFTER_SECONDS))
  reply.code(problem.status).header('content-type', 'application/problem+json').send(JSON.stringify(problem))
}

export function problemOf(rejection: Rejection, status?: number): Problem {
  const row = REJECTIONS[rejection.code]
  return {
    type: `urn:daybreak:error:${rejection.code}`,
    title: row.text,
    status: status ?? row.http,
    code: rejection.code,
    detail: rejection.detail,
    ...(rejection.remedy === undefined ? {} : { remedy: rejection.remedy }),
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
    const at = /at position (\d+)/.exec(cause.message)
    const offset = at === null ? text.length : Number(at[1])
    const before = text.slice(0, offset)
    const line = before.split('\n').length
    const column = offset - before.lastIndexOf('\n')
    return { ok: false, detail: `The body is not JSON: ${cause.message} (line ${line}, column ${column})` }
  }
}
