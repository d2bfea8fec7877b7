/** What many operations of the OpenAPI document have in common: headers, and the forms of refusals. */

export type Json = Record<string, unknown>
export type Refusal = keyof typeof REFUSALS

export const reference = (name: string): Json => ({ $ref: `#/components/schemas/${name}` })

export const REFUSALS = {
  400: { name: 'Malformed', description: 'It cannot be read: broken JSON with its place, a cursor of another list' },
  401: { name: 'Unauthenticated', description: 'Security is on, and who asks has not been shown' },
  403: { name: 'Forbidden', description: 'Who asks may not do this; `detail` names the permission' },
  404: { name: 'NotFound', description: 'There is no such thing' },
  409: { name: 'Conflict', description: 'It does not go with what there is; `code` says why' },
  410: { name: 'Gone', description: 'The log does not reach back that far: list again, and go on from there' },
  412: { name: 'VersionMismatch', description: 'The job is at another version, which `version` and `ETag` name' },
  413: { name: 'TooLarge', description: 'The body is too large' },
  415: { name: 'UnsupportedType', description: 'The body is not application/json' },
  422: { name: 'Invalid', description: 'It is not valid; `faults` has every place' },
  500: { name: 'Internal', description: 'A fault of the node; its log has a line with the same `callId`' },
  503: { name: 'NotNow', description: 'Nobody leads, or there is too much to do; ask again after `Retry-After`' },
} as const

export const NOT_MODIFIED = {
  description: 'The job is at that version still',
  headers: { ETag: { $ref: '#/components/headers/Version' } },
}
export const CALL_ID = { 'X-Request-Id': { $ref: '#/components/headers/CallId' } }

/** A header that may be sent. */
const sent = (name: string, description: string, schema: Json = {}): Json => ({
  name,
  in: 'header',
  required: false,
  description,
  schema: { type: 'string', ...schema },
})
/** A header of an answer. */
const told = (description: string): Json => ({ description, schema: { type: 'string' } })

export const PARAMETERS: Json = {
  CallId: sent(
    'X-Request-Id',
    'The name of this call, said back in the answer and in the log; one is made unless given',
    {
      maxLength: 128,
    },
  ),
  RequestId: sent(
    'Idempotency-Key',
    'The id of this request: a retry under the same id gets the first answer and is not done twice',
    { maxLength: 255 },
  ),
  User: sent('Daybreak-User', 'Who asks; counts only where security is off', { maxLength: 255 }),
  IfMatch: sent('If-Match', 'Only at these versions of the job; `*`: only if there is one'),
  IfNoneMatch: sent('If-None-Match', 'Versions that are known: 304 at one of them'),
  LastEventId: sent('Last-Event-ID', 'The id of the last event that was read: go on behind it'),
}

export const ANSWER_HEADERS: Json = {
  CallId: told('Names this call in the log and in problems'),
  RequestId: told('The request id under which the change was made'),
  Version: told('The version of the job, in quotes'),
}

export function refusedResponses(): Json {
  const content = { 'application/problem+json': { schema: reference('Problem') } }
  const named = Object.entries(REFUSALS).map(([code, { name, description }]) => {
    const headers = {
      ...CALL_ID,
      ...(code === '503' ? { 'Retry-After': told('Seconds') } : {}),
      ...(code === '412' ? { ETag: { $ref: '#/components/headers/Version' } } : {}),
    }
    return [name, { description, headers, content }]
  })
  return {
    ...Object.fromEntries(named),
    Refused: { description: 'Refused', headers: CALL_ID, content },
    AnotherNodeLeads: {
      description: 'Another node leads; ask it the same',
      headers: { ...CALL_ID, Location: told('The same path at the leader') },
    },
  }
}
