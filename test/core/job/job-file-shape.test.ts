/** What editors are told of job files is what the schema reads. The compiler checks most of this file. */
import { expect, expectTypeOf, test } from 'vitest'
import { readJobFile } from '../../../src/core/job/job-file.ts'
import {
  defineJobFile,
  type JobFileContent,
  type WrittenFile,
  type WrittenJob,
  type WrittenJobAlone,
  type WrittenProcess,
  type WrittenTask,
} from '../../../src/core/job/job-file-shape.ts'
import type { Job, Process, Task } from '../../../src/core/job/job-schema.ts'
import type { Tree } from '../../../src/core/job/template.ts'

/** Fields that one has and the other lacks. */
type Differing<A, B> = Exclude<keyof A, keyof B> | Exclude<keyof B, keyof A>
type Inner<K extends keyof Job & keyof WrittenJob> = Differing<
  NonNullable<Job[K]>,
  Extract<NonNullable<WrittenJob[K]>, object>
>

test('the shape has the fields of the schema, and what a file has on top', () => {
  expectTypeOf<Differing<Job, WrittenJob>>().toEqualTypeOf<'environments' | 'profile'>()
  expectTypeOf<Differing<Task, WrittenTask>>().toEqualTypeOf<never>()
  expectTypeOf<Differing<Process, WrittenProcess>>().toEqualTypeOf<never>()
  expectTypeOf<Differing<Task['resources'], WrittenTask['resources']>>().toEqualTypeOf<never>()
  expectTypeOf<Inner<'update_config'>>().toEqualTypeOf<never>()
  expectTypeOf<Inner<'health_check_config'>>().toEqualTypeOf<never>()
  expectTypeOf<Inner<'lifecycle'>>().toEqualTypeOf<never>()
  expectTypeOf<Inner<'announce'>>().toEqualTypeOf<never>()
  expectTypeOf<Inner<'partition_policy'>>().toEqualTypeOf<never>()
  expectTypeOf<Inner<'executor_config'>>().toEqualTypeOf<never>()
})

test('what the schema has read may be written so again', () => {
  expectTypeOf<Omit<Job, 'bind' | 'task'>>().toExtend<Omit<WrittenJob, 'bind' | 'task'>>()
  expectTypeOf<Omit<Process, 'bind'>>().toExtend<Omit<WrittenProcess, 'bind'>>()
  expectTypeOf<Omit<Task, 'bind' | 'processes'>>().toExtend<Omit<WrittenTask, 'bind' | 'processes'>>()
})

test('a mistyped field, a missing one and a wrong kind do not compile', () => {
  const task: WrittenTask = { processes: [{ name: 'a', cmdline: 'x' }], resources: { cpu: 1, ram: '1GB', disk: 1024 } }
  const fine: JobFileContent[] = [
    { task },
    [{ task }],
    { jobs: [{ task, environments: ['devel'] }], bind: { a: 1 }, profiles: { small: { ram: '1MB' } } },
    { task, environments: { prod: { instances: '{{n}}', service: true }, devel: null } },
  ]
  expect(fine).toHaveLength(4)
  // @ts-expect-error instnces is no field
  const mistyped: WrittenJob = { task, instnces: 3 }
  // @ts-expect-error a job has a task
  const missing: WrittenJobAlone = { name: 'x' }
  // @ts-expect-error instances is no list
  const wrong: WrittenFile = { jobs: [{ task, instances: [3] }] }
  // @ts-expect-error instnces is no field here either
  const inCall = defineJobFile({ task, instnces: 3 })
  expect(inCall).toBeTypeOf('object')
  expect([mistyped, missing, wrong].map(file => readJobFile(file as unknown as Tree).ok)).toEqual([false, false, false])
})

test('defineJobFile gives back what it is given', () => {
  const task: WrittenTask = { processes: [{ name: 'a', cmdline: 'x' }], resources: { cpu: 1, ram: '1GB', disk: '1GB' } }
  const file = { jobs: [{ task }] }
  expect(defineJobFile(file)).toBe(file)
  expect(defineJobFile(({ bind, key }) => ({ task, contact: String(bind.who), name: key?.name }))).toBeTypeOf(
    'function',
  )
})
