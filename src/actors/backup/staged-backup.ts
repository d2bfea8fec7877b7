/** The rows of a backup in memory, beside the ledger's: to be looked at, to be made less, and then to take their place. */
import { withConfigSweep } from '../../core/ledger/net-changes.ts'
import type { TaskRow } from '../../core/ledger/rows.ts'
import { Tables } from '../../core/ledger/tables.ts'
import type { RowChange } from '../../core/ledger/transaction.ts'
import type { LedgerView } from '../../core/ledger/view.ts'
import { BadRow, RowReader } from '../../wire/ledger-rows.ts'
import { type BackupFolder, BackupTrouble } from '../backup-ports.ts'

export class StagedBackup {
  readonly name: string
  dropped = 0
  readonly #tables: Tables

  private constructor(name: string, tables: Tables) {
    this.name = name
    this.#tables = tables
  }

  /** Rejects with BackupTrouble. Other work goes on between the pages. */
  static async read(folder: BackupFolder, name: string): Promise<StagedBackup> {
    const tables = new Tables()
    const reader = new RowReader()
    tables.beginLoading()
    try {
      await folder.read(name, rows => void tables.apply(rows.map(row => reader.read(row.table, row.key, row.bytes))))
    } catch (cause) {
      if (cause instanceof BadRow) {
        throw new BackupTrouble('damaged', `Failed to decode backup ${name}: ${cause.message}`, { cause })
      }
      throw cause
    }
    tables.endLoading()
    return new StagedBackup(name, tables)
  }

  get view(): LedgerView {
    return this.#tables
  }

  drop(tasks: readonly TaskRow[]): void {
    const deletes = tasks.map((task): RowChange => ({ type: 'delete', table: 'task', key: task.taskId }))
    this.#tables.apply(withConfigSweep(this.#tables, deletes))
    this.dropped += tasks.length
  }
}
