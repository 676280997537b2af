/**
 * The arrows of ARCHITECTURE.md: who may import whom, types included. The checker reads source text,
 * so that a tree which breaks a rule can be written down here.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

type Tree = Record<string, string>

const architecture = readFileSync(fileURLToPath(new URL('../../ARCHITECTURE.md', import.meta.url)), 'utf8').split(/^## /m).find((part) => part.startsWith('Rooms'))!

/** Who may import whom, by the table of ARCHITECTURE.md. */
const ROOMS = new Map([...architecture.matchAll(/^\| `([\w.]+)` \|([^|]*)\|/gm)].map(([, room, others]) => [room!, Array.from(others!.matchAll(/`(\w+)`/g), ([, other]) => other!)]))
const LINES_MAX = 300
const PORTS_MAX = 2

interface Import { to: string, type: boolean }

const STATEMENT = /^\s*(import|export)\s+(type\s)?([^'"]*?\sfrom\s+)?['"]([^'"]+)['"]/gm
const CALL = /\b(?:import|require)\s*\(\s*['"]([^'"]+)['"]/g

function importsOf (text: string): Import[] {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '')
  return [
    ...Array.from(code.matchAll(STATEMENT), ([, , type, , to]) => ({ to: to!, type: type !== undefined })),
    ...Array.from(code.matchAll(CALL), ([, to]) => ({ to: to!, type: false }))
  ]
}

const folderOf = (file: string): string => file.split('/')[0]!

function check (tree: Tree): string[] {
  const wrong: string[] = []
  const graph = new Map<string, string[]>()
  for (const [file, text] of Object.entries(tree)) {
    const lines = text.split('\n').length - 1
    if (lines > LINES_MAX) wrong.push(`${file} has ${lines} lines`)
    // TurnEnd is a callback of the loop, and no port.
    const ports = new Set([...text.matchAll(/^(?:export )?(?:abstract )?class [^{]*? implements ([^{]*) \{$/gm)].flatMap(([, list]) => list!.split(/,\s*(?![^<]*>)/)).filter((port) => port !== 'TurnEnd'))
    if (ports.size > PORTS_MAX) wrong.push(`${file} implements ${[...ports].join(', ')}`)
    const folder = folderOf(file)
    if (!ROOMS.has(folder)) wrong.push(`${file} is in no folder of the design`)
    const targets: string[] = []
    for (const { to, type } of importsOf(text)) {
      if (to.startsWith('.')) {
        const target = normalize(join(dirname(file), to)).replace(/\.js$/, '.ts')
        targets.push(target)
        if (!(target in tree)) wrong.push(`${file} imports ${to}, which is not there`)
        const other = folderOf(target)
        if (other !== folder && ROOMS.get(folder)?.includes(other) !== true) wrong.push(`${file} imports ${other}`)
      } else if (to === 'ws' && !type) {
        wrong.push(`${file} imports ws at runtime`)
      } else if (to === 'fastify' && !type) {
        wrong.push(`${file} imports fastify at runtime`)
      } else if (to === '@fastify/websocket' && folder !== 'plugin') {
        wrong.push(`${file} imports @fastify/websocket`)
      } else if (/^(ws|fastify|@fastify\/websocket)\//.test(to)) {
        wrong.push(`${file} imports the inside of ${to}`)
      } else if (folder === 'core' && (to === 'fastify' || to === 'ws' || /^(node:)?(net|http|https|tls)$/.test(to))) {
        wrong.push(`${file} is core and knows ${to}`)
      } else if (folder === 'protocol') {
        wrong.push(`${file} is browser-safe and imports ${to}`)
      }
    }
    graph.set(file, targets)
  }
  return [...wrong, ...circles(graph)]
}

function circles (graph: Map<string, string[]>): string[] {
  const found = new Set<string>()
  const done = new Set<string>()
  const walk = (file: string, path: string[]): void => {
    const at = path.indexOf(file)
    if (at !== -1) {
      found.add(`circle: ${[...path.slice(at), file].join(' -> ')}`)
      return
    }
    if (done.has(file)) return
    for (const target of graph.get(file) ?? []) walk(target, [...path, file])
    done.add(file)
  }
  for (const file of graph.keys()) walk(file, [])
  return [...found]
}

function readTree (root: string): Tree {
  const entries = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
  return Object.fromEntries(entries.map((entry) => {
    const file = join(entry.parentPath, entry.name)
    return [relative(root, file), readFileSync(file, 'utf8')]
  }))
}

test('src keeps the arrows of the design, has no circles, and no file that is too long to read in one sitting', () => {
  const tree = readTree(fileURLToPath(new URL('../../src', import.meta.url)))
  assert.ok(Object.keys(tree).length > 20)
  assert.deepEqual(check(tree), [])
})

test('ARCHITECTURE.md has a row for each room of src, in one order: nobody may import who comes later', () => {
  const rooms = [...ROOMS.keys()]
  assert.deepEqual(rooms.toSorted(), [...new Set(Object.keys(readTree(fileURLToPath(new URL('../../src', import.meta.url)))).map(folderOf))].toSorted())
  for (const [i, room] of rooms.entries()) for (const other of ROOMS.get(room)!) assert.ok(rooms.indexOf(other) !== -1 && rooms.indexOf(other) < i, `${room} may import ${other}`)
})

test('the imports of src are found, all of them', () => {
  const imports = importsOf([
    "import a from 'a'", "import type { B } from 'b'", 'import {', '  c,', '  d', "} from 'c'", "export * from 'd'", "export type { E } from 'e'",
    "import 'f'", "const g = await import('g')", "const h = require('h')", "// import i from 'i'", "/* import j from 'j' */", "export { k } from './k.js'",
    "import l, { type M } from 'l'", "import type {} from './n.js'"
  ].join('\n'))
  assert.deepEqual(imports.filter(({ type }) => type).map(({ to }) => to), ['b', 'e', './n.js'])
  assert.deepEqual(imports.filter(({ type }) => !type).map(({ to }) => to), ['a', 'c', 'd', 'f', './k.js', 'l', 'g', 'h'])
})

const good: Tree = {
  'index.ts': "import { p } from './plugin/p.js'",
  'plugin/p.ts': "import x from '@fastify/websocket'\nimport type { FastifyInstance } from 'fastify'\nimport { a } from '../api/a.js'",
  'api/a.ts': "import { t } from '../transports/t.js'\nimport { c } from '../core/c.js'",
  'transports/t.ts': "import type WebSocket from 'ws'\nimport type { C } from '../core/c.js'",
  'observe/o.ts': "import { c } from '../core/c.js'",
  'core/c.ts': "import { q } from '../protocol/q.js'\nimport { randomBytes } from 'node:crypto'",
  'protocol/q.ts': 'export const q = 1'
}

test('a tree that keeps the rules passes', () => {
  assert.deepEqual(check(good), [])
})

const bad: Record<string, [Tree, string]> = {
  'core that imports a transport': [{ 'core/c.ts': "import { t } from '../transports/t.js'", 'transports/t.ts': '' }, 'core/c.ts imports transports'],
  'core that imports a type of the api': [{ 'core/c.ts': "import type { A } from '../api/a.js'", 'api/a.ts': '' }, 'core/c.ts imports api'],
  'a transport that imports its sibling': [{ 'transports/t.ts': "import { o } from '../observe/o.js'" }, 'transports/t.ts imports observe'],
  'the api that imports the plugin': [{ 'api/a.ts': "import type { P } from '../plugin/p.js'" }, 'api/a.ts imports plugin'],
  'the plugin that imports the index': [{ 'plugin/p.ts': "export * from '../index.js'" }, 'plugin/p.ts imports index.ts'],
  'protocol that imports core': [{ 'protocol/q.ts': "import { c } from '../core/c.js'", 'core/c.ts': '' }, 'protocol/q.ts imports core'],
  'protocol that imports anything': [{ 'protocol/q.ts': "import { randomBytes } from 'node:crypto'" }, 'protocol/q.ts is browser-safe and imports node:crypto'],
  'ws at runtime': [{ 'transports/t.ts': "import WebSocket from 'ws'" }, 'transports/t.ts imports ws at runtime'],
  'ws at runtime, by a mixed import': [{ 'transports/t.ts': "import { WebSocket, type Data } from 'ws'" }, 'transports/t.ts imports ws at runtime'],
  'the inside of ws': [{ 'transports/t.ts': "import Sender from 'ws/lib/sender.js'" }, 'transports/t.ts imports the inside of ws/lib/sender.js'],
  'fastify at runtime': [{ 'plugin/p.ts': "import fastify from 'fastify'" }, 'plugin/p.ts imports fastify at runtime'],
  '@fastify/websocket outside of plugin, types too': [{ 'api/a.ts': "import type { WebSocket } from '@fastify/websocket'" }, 'api/a.ts imports @fastify/websocket'],
  'core that knows sockets': [{ 'core/c.ts': "import type { Socket } from 'node:net'" }, 'core/c.ts is core and knows node:net'],
  'core that knows fastify': [{ 'core/c.ts': "import type { FastifyRequest } from 'fastify'" }, 'core/c.ts is core and knows fastify'],
  'a circle of types': [{ 'api/a.ts': "import type { B } from './b.js'", 'api/b.ts': "import type { C } from './d.js'", 'api/d.ts': "import { a } from './a.js'" }, 'circle: api/a.ts -> api/b.ts -> api/d.ts -> api/a.ts'],
  'a file of 301 lines': [{ 'core/c.ts': '\n'.repeat(301) }, 'core/c.ts has 301 lines'],
  'a file that implements three ports': [{ 'core/c.ts': 'class A implements B {\n}\nexport class C<T extends D> extends E<T> implements F<T, G>, H, TurnEnd {\n}' }, 'core/c.ts implements B, F<T, G>, H'],
  'an import of what is not there': [{ 'core/c.ts': "import './gone.js'" }, 'core/c.ts imports ./gone.js, which is not there'],
  'a folder that the design does not know': [{ 'utils/u.ts': '' }, 'utils/u.ts is in no folder of the design']
}

for (const [name, [change, expected]] of Object.entries(bad)) {
  test(`${name} is found`, () => {
    assert.deepEqual(check({ ...good, ...change }).filter((wrong) => wrong === expected), [expected])
  })
}
