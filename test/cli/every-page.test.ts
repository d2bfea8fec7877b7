import { expect, test } from 'vitest'
import { everyPage, type RestClient } from '../../src/cli/rest-client.ts'

interface Page {
  readonly items: readonly number[]
  readonly next?: string | null
  readonly beside: string
}
function serving(pages: Readonly<Record<string, Page>>): { get: RestClient['get']; asked: string[] } {
  const asked: string[] = []
  const get = async <T>(path: string): Promise<T> => {
    asked.push(path)
    return pages[new URL(path, 'http://node').searchParams.get('cursor') ?? ''] as T
  }
  return { get, asked }
}

test('three pages: all items in order, what stands beside them from the last', async () => {
  const client = serving({
    '': { items: [1, 2], next: 'a+b', beside: 'old' },
    'a+b': { items: [3], next: 'c', beside: 'old' },
    c: { items: [4], next: null, beside: 'new' },
  })
  const { items, last } = await everyPage(client, '/list', (page: Page) => page.items, { role: 'a b' })
  expect([items, last.beside]).toEqual([[1, 2, 3, 4], 'new'])
  expect(client.asked[1]).toBe('/list?role=a+b&limit=1000&cursor=a%2Bb')
})

test('a node that knows no pages: its whole list, asked for once', async () => {
  const client = serving({ '': { items: [1], beside: '' } })
  expect((await everyPage(client, '/list', (page: Page) => page.items)).items).toEqual([1])
  expect(client.asked).toHaveLength(1)
})
