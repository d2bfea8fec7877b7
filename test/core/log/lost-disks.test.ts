import { expect, test } from 'vitest'
import { disksLost, type ShownDisk } from '../../../src/core/log/lost-disks.ts'
import { descriptorOf } from './log-cluster.ts'

const disk = (memberId: number, change: Partial<ShownDisk> = {}): ShownDisk => ({
  memberId,
  incarnation: `disk-${memberId}`,
  configVersion: 0,
  isOlderCopy: false,
  ...change,
})
const blank = (memberId: number): ShownDisk => disk(memberId, { incarnation: null })

test.each<[string, number, readonly ShownDisk[], RegExp | null]>([
  ['all have theirs', 3, [1, 2, 3].map(id => disk(id)), null],
  ['one of three blank', 3, [disk(1), blank(2), disk(3)], null],
  ['one of three blank, one never seen', 3, [disk(1), blank(2)], null],
  [
    'two of three blank',
    3,
    [disk(1), blank(2), blank(3)],
    /member 2 .* an empty disk, member 3 .* Put one of the lost/,
  ],
  ['two of five blank', 5, [disk(1), blank(2), blank(3)], null],
  [
    'three of five: one blank, one new, one an older copy',
    5,
    [disk(1), blank(2), disk(3, { incarnation: 'other' }), disk(4, { isOlderCopy: true })],
    /2 .* an empty disk, member 3 .* a new disk, member 4 .* an older copy of its disk; 3 of the 5 .* at most 2 are left/,
  ],
  ['all of three blank but the list', 3, [1, 2, 3].map(blank), /at most 0 are left\. .* Put 2 of the lost disks back/],
  [
    'the others know a later list of members',
    3,
    [disk(1), ...[2, 3].map(id => disk(id, { incarnation: 'replaced', configVersion: 9 }))],
    null,
  ],
])('%s', (_case, count, shown, said) => {
  const text = disksLost(descriptorOf(count), shown)
  if (said === null) expect(text).toBeNull()
  else expect(text).toMatch(said)
})
