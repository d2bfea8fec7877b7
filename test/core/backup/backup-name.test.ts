import { describe, expect, test } from 'vitest'
import { backupName, isLeftOver, readBackupName, temporaryName } from '../../../src/core/backup/backup-name.ts'
import { backupDueInMs, surplusBackups } from '../../../src/core/backup/backup-schedule.ts'

const AT = Date.UTC(2026, 10, 27, 15, 4, 5)
const HOUR = 3_600_000

describe('names of backups', () => {
  test('a moment and a position: UTC with seconds, the position in twelve digits, read back as they were', () => {
    const name = backupName(AT + 789, 123_456)
    expect(name).toBe('scheduler-backup-20261127T150405Z-p000000123456.daybreak')
    expect(readBackupName(name)).toEqual({ name, atMs: AT, position: 123_456 })
  })

  test('two of one minute, and two around a change to winter time: different names, in the order of time', () => {
    const names = [AT, AT + 1_000, AT + HOUR].map(at => backupName(at, 7))
    expect(new Set(names).size).toBe(3)
    expect(names.toSorted()).toEqual(names)
  })

  test.each([
    'scheduler-backup-2026-11-27-15-04',
    'scheduler-backup-20260231T150405Z-p000000123456.daybreak',
    'scheduler-backup-20261127T150405Z-p123456.daybreak',
    'scheduler-backup-20261127T150405Z-p000000123456.daybreak.gz',
    'scheduler-backup-20261127T150405Z-p000000123456',
    '../scheduler-backup-20261127T150405Z-p000000123456.daybreak',
    'temp_scheduler-backup-20261127T150405Z-p000000123456.daybreak',
    'notes.txt',
  ])('%s: not ours', name => {
    expect(readBackupName(name)).toBeNull()
  })

  test('left-overs: only what would have become a backup', () => {
    expect(isLeftOver(temporaryName(backupName(AT, 7)))).toBe(true)
    expect(isLeftOver('temp_notes.txt')).toBe(false)
    expect(isLeftOver(backupName(AT, 7))).toBe(false)
  })
})

describe('when and how many', () => {
  test('life-63: interval 1 h: nothing at 59:59.999, due at 1:00:00; after a gap of 3 h one, the next an hour later', () => {
    expect(backupDueInMs(0, HOUR - 1, HOUR)).toBe(1)
    expect(backupDueInMs(0, HOUR, HOUR)).toBe(0)
    expect(backupDueInMs(0, 3 * HOUR, HOUR)).toBe(0)
    expect(backupDueInMs(3 * HOUR, 3 * HOUR, HOUR)).toBe(HOUR)
  })

  test('life-64: keep 5 of 6: the oldest goes, whatever order they are listed in', () => {
    const six = [3, 0, 5, 1, 4, 2].map(n => ({ name: backupName(AT + n * HOUR, n), atMs: AT + n * HOUR, position: n }))
    expect(surplusBackups(six, 5).map(({ position }) => position)).toEqual([0])
    expect(surplusBackups(six, 6)).toEqual([])
    expect(surplusBackups(six, 4).map(({ position }) => position)).toEqual([0, 1])
  })
})
