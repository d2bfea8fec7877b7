/** What went wrong, for people. Whatever was thrown or rejected comes as `unknown`, and it need not be an Error. */
export function textOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}
