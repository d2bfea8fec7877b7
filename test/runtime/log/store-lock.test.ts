import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, onTestFinished, test } from 'vitest'
import { lockFolder } from '../../../src/runtime/log/store-lock.ts'
import { temporaryFolder } from './log-folders.ts'

/** Of another process: says a line, then waits to be ended. */
async function running(command: string, ...args: string[]): Promise<{ child: ChildProcess; line: string }> {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
  return { child, line }
}

async function holderOf(folder: string): Promise<ChildProcess> {
  const module = new URL('../../../dist/src/runtime/log/store-lock.js', import.meta.url).href
  const script = `const { lockFolder } = await import(${JSON.stringify(module)})
    await lockFolder(${JSON.stringify(folder)})
    process.stdout.write('held\\n')
    process.stdin.resume()`
  return (await running(process.execPath, '--input-type=module', '-e', script)).child
}

test('the holder dies while the next one starts: it waits for that and takes over', async () => {
  const folder = temporaryFolder()
  const holder = await holderOf(folder)
  const lock = lockFolder(folder)
  holder.kill('SIGKILL')
  await (await lock).release()
})

test('the holder lives on: refused by its pid', async () => {
  const folder = temporaryFolder()
  const holder = await holderOf(folder)
  await expect(lockFolder(folder, 50)).rejects.toThrow(`in use by process ${holder.pid}`)
})

/** As a process that runs on a deleted folder, whose number this one has now. */
async function takenName(folder: string): Promise<Server> {
  const { dev, ino } = statSync(folder)
  // The holder of an earlier test may be dying on that very number.
  for (;;) {
    const server = createServer()
    const taken = once(server, 'listening').then(
      () => true,
      () => false,
    )
    server.listen({ path: `\0daybreak-log-${dev}-${ino}` })
    onTestFinished(() => void server.close())
    if (await taken) return server
  }
}

test('the number of the folder is that of a deleted one, on which a node dies: it waits for that and takes over', async () => {
  const folder = temporaryFolder()
  const server = await takenName(folder)
  const lock = lockFolder(folder)
  server.close()
  await (await lock).release()
})

test('the number of the folder is that of a deleted one, on which a node runs: refused, saying what may have happened', async () => {
  const folder = temporaryFolder()
  await takenName(folder)
  await expect(lockFolder(folder, 50)).rejects.toThrow(/has not left its name there.* made anew/)
})

test('the folder was made anew under the holder: what it leaves behind is the name of the next one', async () => {
  const folder = join(temporaryFolder(), 'log')
  const lock = await lockFolder(folder)
  renameSync(folder, `${folder}.gone`)
  const holder = await holderOf(folder)
  await lock.release()
  await expect(lockFolder(folder, 50)).rejects.toThrow(`in use by process ${holder.pid}`)
})

test('the holder is dead and its parent has not taken note of it: not in use', async () => {
  const folder = temporaryFolder()
  const stat = (pid: string): string[] => readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ')
  // The shell becomes a program that never waits for the child that it inherits.
  const { line: pid } = await running('/bin/sh', '-c', 'sleep 60 & echo $!; exec sleep 60')
  const startTicks = stat(pid)[21]
  // A shell that has not become that program yet might still take note.
  const parent = stat(pid)[3] ?? ''
  await expect.poll(() => stat(parent)[1]).toBe('(sleep)')
  process.kill(Number(pid), 'SIGKILL')
  await expect.poll(() => stat(pid)[2]).toBe('Z')
  const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  writeFileSync(join(folder, 'lock'), JSON.stringify({ pid: Number(pid), startTicks, bootId }))
  await (await lockFolder(folder, 0)).release()
})
