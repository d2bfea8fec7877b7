/** Wall clock, ms since the Unix epoch. May jump either way: for stamps that people read, never for elapsed time. */
export type Instant = number

/** One reading of both clocks, taken once per message. */
export interface Now {
  readonly wallMs: Instant
  /** Monotonic, ms from an arbitrary start. Only differences within one process mean anything; never stored or sent. */
  readonly monoMs: number
}
