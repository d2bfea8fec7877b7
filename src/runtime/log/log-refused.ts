/** Why a log cannot be opened, for operators: what is wrong, where, and what to do. The process ends with status 75. */
export class LogRefused extends Error {
  override readonly name = 'LogRefused'
}

/** As the errors of worker threads and of comlink arrive: an Error with the name, no longer of the class. */
export function isLogRefused(cause: unknown): cause is Error {
  return cause instanceof Error && cause.name === 'LogRefused'
}
