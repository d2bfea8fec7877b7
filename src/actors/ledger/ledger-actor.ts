/**
 * The body of the Ledger: rows in memory over the log of the other thread. Calls of actors (`stage`, `whenCommitted`)
 * are plain and synchronous; everything that arrives later (results of appends, views of leadership, entries that
 * others wrote, timers) goes through one actor, so it is handled one at a time and shows in the inspector.
 *
 * Phases: `cold` (no rows), `loading` (tables being read, page by page), `warm` (rows follow the log; another node
 * leads), `open` (this node leads). An append that does not succeed, or a view in which this node no longer leads under
 * the same ballot, closes the ledger: whoever waits is told why, and the rows are read again from the log once the fate
 * of every append is known. A failure here ends the process: a node must not go on with rows it is unsure of.
 */
import { assertNever } from '../../core/base/assert.ts'
import { type Rejection, rejected } from '../../core/base/rejection.ts'
import { netChanges } from '../../core/ledger/net-changes.ts'
import { encodeTransaction } from '../../core/ledger/payload.ts'
import { type Entry, Pipeline } from '../../core/ledger/pipeline.ts'
import { EXPIRED_REQUESTS_MAX, expiredRequests, type RequestLimits } from '../../core/ledger/request-outcomes.ts'
import { Tables } from '../../core/ledger/tables.ts'
import type { Transaction } from '../../core/ledger/transaction.ts'
import { sameBallot } from '../../core/log/ballot.ts'
import { LOG_TIMING } from '../../core/log/timing.ts'
import { changeBytes } from '../../wire/ledger-rows.ts'
import type { ActorSystem, Behaviour, Context, Ref } from '../actor.ts'
import type { Ledger, LedgerChange } from '../ledger.ts'
import type {
  AppendResult,
  Ballot,
  Clock,
  LeaderView,
  LogEntryView,
  Logger,
  LogListener,
  LogPort,
  LogStatusReport,
  Metrics,
} from '../ports.ts'
import { type Appended, Appends } from './appends.ts'
import { Audience } from './audience.ts'
import { LeasedOutputs, type LeaseLook } from './leased-outputs.ts'
import { Loader, type LoaderMessage } from './loader.ts'
import { type Leadership, notReady, whyClosed } from './refusals.ts'

export interface LedgerOptions {
  readonly system: ActorSystem
  readonly log: LogPort
  readonly clock: Clock
  readonly metrics: Metrics
  readonly logger: Logger
  /** Rows asked of the log thread at a time while loading. Default 2,000. */
  readonly pageRowsMax?: number
  /** How often outcomes of old requests are looked for. Default 60,000. */
  readonly pruneEveryMs?: number
  /** Which outcomes of requests are kept. Default: 24 h, 100,000. */
  readonly requestLimits?: RequestLimits
  /** `log.lease` of the config, ms: how long answers wait for the log to confirm that this node leads follows from it. */
  readonly leaseMs?: number
}

export interface LedgerActor extends Ledger {
  /** Hand this to `LogPort.start`: everything the log says goes to the ledger through it. */
  readonly listener: LogListener
  readonly ref: Ref<LedgerMessage>
  /** The newest view of leadership and report of the log; null before the first. */
  readonly leadership: Leadership | null
  /** What `LogPort.start` answered: until the first view of leadership it says why nothing can be staged. */
  began(report: LogStatusReport): void
  /** Told when this node leads and its rows are loaded: the leader's actors may start. Not told of the present. */
  onOpen(listener: (view: LeaderView) => void): () => void
  /** Told before anyone's `lost`: the leader's actors must stop. The rows stay readable until they are read again. */
  onClose(listener: (reason: Rejection) => void): () => void
}

export type LedgerMessage =
  | { readonly type: 'viewChanged'; readonly view: LeaderView; readonly report: LogStatusReport }
  | { readonly type: 'committed'; readonly entries: readonly LogEntryView[] }
  | { readonly type: 'writable'; readonly reason: string | null }
  | { readonly type: 'flush' }
  | { readonly type: 'lingerExpired' }
  | Appended
  | { readonly type: 'pruneRequests' }
  | LeaseLook
  | LoaderMessage

export function createLedger(options: LedgerOptions): LedgerActor {
  const ledger = new LedgerBody(options)
  ledger.ref = options.system.spawn<LedgerMessage>({
    name: 'ledger',
    kind: 'Ledger',
    start: context => ledger.start(context),
    supervision: { type: 'endProcess' },
    // Appends in flight are bounded by the pipeline; a feed that finds no room leaves a gap, which is read again.
    mailbox: { capacity: 1_000_000, onRefused: message => options.logger.error('ledger-mailbox-full', message) },
  })
  return ledger
}

class LedgerBody implements LedgerActor {
  readonly listener: LogListener
  leadership: Leadership | null = null
  open = false
  ref!: Ref<LedgerMessage>

  readonly #options: LedgerOptions
  readonly #tables = new Tables()
  readonly #loader: Loader
  readonly #audience: Audience
  readonly #appends: Appends
  readonly #leased: LeasedOutputs
  #pipeline = new Pipeline()
  #context: Context<LedgerMessage> | null = null
  /** Counts openings: results of appends of an earlier one are only waited for. */
  #term = 0
  #isFlushDue = false
  #notWritable: string | null = null
  #viewTaken = -1
  #isLoadedTold: boolean | null = null
  /** The ballot under which this node leads, by the last view taken. */
  #reign: Ballot | null = null
  /** While outputs of a batch run, further ones that wait for nothing else queue up behind them. */
  #delivering: Entry[] | null = null

  constructor(options: LedgerOptions) {
    this.#options = options
    this.#audience = new Audience(options.logger, options.metrics)
    this.#appends = new Appends(options.log, options.metrics)
    this.#leased = new LeasedOutputs({
      lease: options.log.lease,
      leaseMs: options.leaseMs ?? LOG_TIMING.leaseMs,
      metrics: options.metrics,
      run: output => this.#audience.output(output),
    })
    this.#loader = new Loader(this.#tables, options.log, options.pageRowsMax ?? 2_000)
    this.listener = {
      viewChanged: (view, report) => this.#tell({ type: 'viewChanged', view, report }),
      committed: entries => this.#tell({ type: 'committed', entries }),
      writable: reason => this.#tell({ type: 'writable', reason }),
    }
  }

  // ---- What actors call ----

  get view(): Tables {
    return this.#tables
  }

  get applied(): number {
    return this.#loader.applied
  }

  refusal(): Rejection | null {
    if (!this.open) return this.#whyClosed()
    if (this.#notWritable !== null) return notReady(this.#notWritable)
    const full = this.#pipeline.full
    return full === null ? null : rejected('BUSY', `The ledger has more work than it can take in: ${full}`)
  }

  stage(transaction: Transaction, then?: () => void, lost?: (reason: Rejection) => void): void {
    if (!this.open) {
      lost?.(this.#whyClosed())
      return
    }
    const net = netChanges(this.#tables, transaction.changes)
    if (net.length === 0) {
      this.whenCommitted(then ?? nothing, lost)
      return
    }
    const bytes = encodeTransaction(transaction.cause, net.map(changeBytes))
    // Whatever could throw is behind us: from here on the transaction is staged.
    const changes = this.#tables.apply(net)
    const staged: Transaction = { cause: transaction.cause, changes: net }
    this.#pipeline.add({ bytes, transaction: staged, changes, output: then, lost }, this.#monoMs())
    this.#flushLater()
    this.#audience.staged.tell({ position: 0, transaction: staged, changes })
  }

  whenCommitted(output: () => void, lost?: (reason: Rejection) => void): void {
    if (!this.open) {
      lost?.(this.#whyClosed())
      return
    }
    const entry: Entry = { bytes: null, transaction: null, changes: [], output, lost }
    if (this.#pipeline.add(entry, this.#monoMs())) return
    if (this.#delivering !== null) this.#delivering.push(entry)
    else output()
  }

  whenLeased(output: () => void, lost?: (reason: Rejection) => void): void {
    // Run only while it is open, so the actor has started.
    const look = (): void => this.#leased.add(this.#context!, this.#reign, { output, lost }, this.#monoMs())
    // What it waited for may yet be committed; it has changed nothing itself.
    this.whenCommitted(look, reason =>
      lost?.(reason.code === 'OUTCOME_UNKNOWN' ? this.#whyClosed('NOT_LEADER') : reason),
    )
  }

  subscribe(moment: 'staged' | 'committed', listener: (change: LedgerChange) => void): () => void {
    return this.#audience[moment].add(listener)
  }
  began(report: LogStatusReport): void {
    this.leadership ??= { view: report.view, report }
  }
  onOpen(listener: (view: LeaderView) => void): () => void {
    return this.#audience.opened.add(listener)
  }
  onClose(listener: (reason: Rejection) => void): () => void {
    return this.#audience.closed.add(listener)
  }

  // ---- The actor ----

  start(context: Context<LedgerMessage>): Behaviour<LedgerMessage> {
    this.#context = context
    this.#tellLoaded()
    context.startPeriodicTimer('pruneRequests', this.#options.pruneEveryMs ?? 60_000, { type: 'pruneRequests' })
    return {
      receive: message => this.#receive(message, context),
      stopping: () => this.#close(rejected('NOT_LEADER', 'This node is stopping'), 'perhaps'),
      summary: () => ({
        phase: this.open ? 'open' : this.#loader.phase,
        open: this.open,
        applied: this.applied,
        staged: this.#pipeline.staged,
        batchesInFlight: this.#pipeline.batchesInFlight,
        waitingForLease: this.#leased.waiting,
        notWritable: this.#notWritable,
        ...this.#tables.counts,
      }),
    }
  }

  #receive(message: LedgerMessage, context: Context<LedgerMessage>): void {
    switch (message.type) {
      case 'viewChanged':
        return this.#onView(message.view, message.report)
      case 'committed':
        if (this.open) return
        this.#loader.feed(message.entries)
        return this.#load(context)
      case 'writable':
        this.#notWritable = message.reason
        return this.#load(context)
      case 'flush':
        this.#isFlushDue = false
        return this.#flush(context)
      case 'lingerExpired':
        return this.#flush(context)
      case 'appended':
        return this.#onAppended(message.term, message.batch, message.result, context)
      case 'lookAtLease':
        return this.#leased.look(context, this.#reign, this.#monoMs())
      case 'pruneRequests':
        return this.#pruneRequests(context)
      case 'page':
      case 'tail':
      case 'loadFailed':
      case 'retryLoad':
        this.#loader.receive(message)
        if (message.type === 'loadFailed') {
          context.log.warn('ledger-load-failed', { cause: message.cause })
          context.startTimer('retryLoad', LOAD_RETRY_MS, { type: 'retryLoad' })
        }
        return this.#load(context)
      default:
        assertNever(message)
    }
  }

  #onView(view: LeaderView, report: LogStatusReport): void {
    const known = this.leadership
    if (known !== null && view.version < known.view.version) return
    this.leadership = { view, report }
    this.#notWritable = report.notWritable
    if (this.#viewTaken === view.version) return
    this.#viewTaken = view.version
    const leads = view.role === 'LEADER'
    const reign = this.#reign
    this.#reign = leads ? view.ballot : null
    if (leads && reign !== null && view.ballot !== null && sameBallot(reign, view.ballot)) return
    if (this.open) this.#close(this.#whyClosed(), 'perhaps')
    if (leads) this.#loader.confirm()
    if (this.#context !== null) this.#load(this.#context)
  }

  #onAppended(term: number, batch: number, result: AppendResult, context: Context<LedgerMessage>): void {
    this.#appends.outstanding--
    if (result.type === 'ok') this.#loader.committed(result.position)
    if (term !== this.#term || !this.open) return this.#load(context)
    if (result.type !== 'ok') return this.#onRefused(result, batch, context)
    const committed = this.#pipeline.committed(batch, result.position)
    if (committed !== null) {
      this.#loader.appended(result.position)
      this.#appends.committed(batch, this.#monoMs())
      this.#deliver(committed.position, committed.entries)
    }
    this.#flush(context)
  }

  /** Rows that were shown will not be stored: they are dropped whole and read again. */
  #onRefused(result: Exclude<AppendResult, { type: 'ok' }>, batch: number, context: Context<LedgerMessage>): void {
    context.log.warn('ledger-append-refused', { ...result })
    const isCertain = result.type !== 'unknown' && this.#pipeline.isFirst(batch)
    const why = result.type === 'noSpace' ? notReady(`${result.freeBytes} bytes free`) : this.#whyClosed('NOT_LEADER')
    this.#close(why, isCertain ? 'no' : 'perhaps')
    this.#load(context)
  }

  #flush(context: Context<LedgerMessage>): void {
    if (!this.open) return
    const nowMs = this.#monoMs()
    this.#appends.send(context, this.#pipeline, { ballot: this.#reign, term: this.#term }, nowMs)
    const lingerMs = this.#pipeline.lingerMs(nowMs)
    if (lingerMs !== null) context.startTimer('linger', lingerMs, { type: 'lingerExpired' })
  }

  #deliver(position: number, entries: readonly Entry[]): void {
    const delivering = [...entries]
    this.#delivering = delivering
    for (let i = 0; i < delivering.length; i++) {
      const { transaction, changes, output } = delivering[i] as Entry
      if (transaction !== null) this.#audience.committed.tell({ position, transaction, changes })
      if (output !== undefined) this.#audience.output(output)
    }
    this.#delivering = null
  }

  #close(reason: Rejection, isFirstWritten: 'perhaps' | 'no'): void {
    if (!this.open) return
    this.open = false
    this.#appends.forget()
    this.#context?.cancelTimer('linger')
    const lost = this.#pipeline.drop(reason, isFirstWritten)
    this.#pipeline = new Pipeline()
    this.#options.logger.info('ledger-closed', { why: reason.detail, applied: this.applied, lost: lost.length })
    this.#options.metrics.count('ledger_lost', lost.length)
    this.#audience.closed.tellPresent(reason)
    for (const { entry, reason: why } of lost) {
      const { lost: told } = entry
      if (told !== undefined) this.#audience.output(() => told(why))
    }
    this.#leased.drop(reason)
    this.#loader.forget()
  }

  /** Goes on with whatever brings the rows up to the log, and opens when this node leads and they are. */
  #load(context: Context<LedgerMessage>): void {
    this.#loadOn(context)
    this.#tellLoaded()
  }

  /** Who is asked to lead is chosen in the log, among those who have their rows. */
  #tellLoaded(): void {
    const isLoaded = this.open || this.#loader.isLoaded
    if (isLoaded === this.#isLoadedTold) return
    this.#isLoadedTold = isLoaded
    this.#options.log.rowsLoaded(isLoaded)
  }

  #loadOn(context: Context<LedgerMessage>): void {
    const role = this.leadership?.view.role
    if (this.open || role === undefined || role === 'NONE' || role === 'CANDIDATE') return
    if (this.#appends.outstanding > 0) return
    const isLeader = role === 'LEADER'
    if (this.#loader.ask(isLeader, context)) return
    if (isLeader && this.#loader.isCurrent && this.leadership !== null) this.#open(this.leadership.view)
  }

  #open(view: LeaderView): void {
    this.open = true
    this.#term++
    this.#options.logger.info('ledger-opened', { applied: this.applied, ...this.#tables.counts })
    this.#audience.opened.tellPresent(view)
  }

  #pruneRequests(context: Context<LedgerMessage>): void {
    if (this.refusal() !== null) return
    const { wallMs } = context.now()
    const changesMax = this.#options.requestLimits?.changesMax ?? EXPIRED_REQUESTS_MAX
    const changes = expiredRequests(this.#tables.requests(), wallMs, { ...this.#options.requestLimits, changesMax })
    if (changes.length === 0) return
    // More may be due: they go before the next look, or a busy cluster would keep ever more of them.
    const more = (): void => this.#tell({ type: 'pruneRequests' })
    const cause = { who: 'ledger', why: 'request outcomes expired', wallMs }
    this.stage({ cause, changes }, changes.length < changesMax ? undefined : more)
  }

  // ---- Details ----

  #whyClosed(code?: 'NOT_LEADER'): Rejection {
    return whyClosed(this.leadership, code)
  }

  #flushLater(): void {
    if (this.#isFlushDue) return
    this.#isFlushDue = true
    this.#tell({ type: 'flush' })
  }

  #tell(message: LedgerMessage): void {
    this.ref.tell(message)
  }

  #monoMs(): number {
    return this.#options.clock.read().monoMs
  }
}

const LOAD_RETRY_MS = 500
const nothing = (): void => {}
