import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  assignedPortmap,
  portNamesIn,
  requestedPorts,
  resolvePortmap,
  staticPorts,
} from '../../../src/core/job/ports.ts'

const using = (...names: string[]) => ({
  processes: names.map(name => ({ cmdline: `run {{thermos.ports[${name}]}}` })),
})

describe('requested ports', () => {
  test.each([
    ['a static port is not requested', using('http'), { http: 80 }, []],
    ['nor one written as text', using('http'), { http: '80' }, []],
    ['an alias requests its end', using('http'), { http: 'aurora' }, ['aurora']],
    ['the default map and a used name', using('thrift'), { aurora: 'http' }, ['http', 'thrift']],
    ['without a map, what is used', using('b', 'a', 'b'), {}, ['a', 'b']],
    ['a chain of aliases', using('a'), { a: 'b', b: 'c', c: 'd' }, ['d']],
    ['a chain that ends in a number', using('a'), { a: 'b', b: '8080' }, []],
    ['nothing', {}, {}, []],
  ])('%s', (_, tree, portmap, expected) => {
    expect(requestedPorts(tree, portmap)).toEqual(expected)
  })

  test('a circle of aliases is found', () => {
    expect(requestedPorts({}, { a: 'b', b: 'a' })).toBeNull()
    expect(requestedPorts({}, { a: 'a' })).toBeNull()
    expect(resolvePortmap({ x: 'a', a: 'b', b: 'c', c: 'a' })).toBeNull()
  })

  test('every text counts, not the processes alone; escaped refs do not', () => {
    const tree = {
      health: { shell: 'curl :{{thermos.ports[health]}}' },
      list: ['{{&thermos.ports[no]}}', '{{thermos.task_id}}'],
    }
    expect(portNamesIn(tree)).toEqual(['health'])
  })
})

describe('on the machine', () => {
  test('assigned numbers lie over the map, aliases follow, names without a number are dropped', () => {
    const found = assignedPortmap({ aurora: 'http', admin: 8080, lost: 'nowhere' }, { http: 31_000 })
    expect(found).toEqual({ ports: { aurora: 31_000, admin: 8080, http: 31_000 }, dropped: ['lost'] })
  })

  test('static ports are named', () => {
    expect(staticPorts({ http: 80, a: 'http', b: 'c' })).toEqual(['a', 'http'])
  })
})

test('whatever the map: a request is never the name of a map entry nor a number', () => {
  const name = fc.constantFrom('a', 'b', 'c', 'd', 'e')
  const map = fc.dictionary(name, fc.oneof(name, fc.integer({ min: 1, max: 65_535 })))
  fc.assert(
    fc.property(map, fc.array(name), (portmap, used) => {
      const ports = requestedPorts(using(...used), portmap)
      if (ports === null) return
      for (const port of ports) {
        expect(Object.hasOwn(portmap, port)).toBe(false)
        expect(port).not.toMatch(/^\d+$/)
      }
    }),
  )
})
