/** Aurora's one envelope for every answer. Source: the outside interfaces, section 4. */
import { REJECTIONS, type Rejection } from '../../core/base/rejection.ts'
import type { Enum } from '../../wire/thrift/enums.ts'
import type { Response, Result } from '../../wire/thrift/types.ts'

/** Before it is told which cluster it comes from. */
export type Answer = Pick<Response, 'responseCode' | 'details' | 'result'>

export const ok = (result?: Result, ...messages: readonly string[]): Answer => ({
  responseCode: 'OK',
  details: messages.map(message => ({ message })),
  ...(result === undefined ? {} : { result }),
})

export const failed = (responseCode: Enum<'ResponseCode'>, ...messages: readonly string[]): Answer => {
  return { responseCode, details: messages.map(message => ({ message })) }
}

/** The text that scripts know comes first, what to do next behind it. */
export function refused({ code, detail, remedy }: Rejection): Answer {
  return failed(REJECTIONS[code].thrift, detail, ...(remedy === undefined ? [] : [remedy]))
}
