/**
 * What `npm run build` makes of sources: declarations of the outside alone, and indentation that changes no string.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const load = async (file: string): Promise<any> => await import(join(root, 'scripts', file))
const { prune } = await load('declarations.js') as { prune: (texts: Map<string, string>, entries: string[]) => Map<string, string> }
const { indentedByTabs, reachable } = await load('build.js') as { indentedByTabs: (text: string) => string, reachable: (entries: string[], texts: Map<string, string>) => Set<string> }

const texts = new Map(Object.entries({
  'index.d.ts': "import './augment.js';\nimport { f } from './f.js';\ndeclare const plugin: typeof f;\nexport default plugin;\nexport type { A } from './a.js';\nexport * as errors from './errors.js';\n",
  'a.d.ts': "import type { Inside } from './inside.js';\nimport type { B as C, Unused } from './b.js';\n/** Of A. */\nexport interface A {\n    c: C;\n}\n/** Of the inside. */\nexport declare function make(inside: Inside): A;\n",
  'b.d.ts': 'export interface B extends Base {\n}\ninterface Base {\n    b: true;\n}\nexport interface Unused {\n}\n',
  'inside.d.ts': 'export interface Inside {\n}\n',
  'f.d.ts': 'export declare function f(): void;\nexport declare function g(): void;\n',
  'errors.d.ts': 'export declare const One: 1, Two: 2;\nexport declare const Three: 3;\n',
  'augment.d.ts': "import type { Unused } from './b.js';\ndeclare module 'fastify' {\n    interface FastifyInstance {\n        unused: Unused;\n    }\n}\n"
}))

test('declarations that no entry leads to are left out, with what only they import', () => {
  const pruned = prune(texts, ['index.d.ts'])
  assert.deepEqual([...pruned.keys()].toSorted(), ['a.d.ts', 'augment.d.ts', 'b.d.ts', 'errors.d.ts', 'f.d.ts', 'index.d.ts'])
  assert.equal(pruned.get('a.d.ts'), "import type { B as C } from './b.js';\n/** Of A. */\nexport interface A {\n    c: C;\n}\n")
  for (const whole of ['index.d.ts', 'b.d.ts', 'errors.d.ts', 'augment.d.ts']) assert.equal(pruned.get(whole), texts.get(whole))
  assert.equal(pruned.get('f.d.ts'), 'export declare function f(): void;\n')
})

test('a declaration that is imported and not there fails the build', () => {
  assert.throws(() => prune(new Map([['index.d.ts', "export type { A } from './gone.js';\n"]]), ['index.d.ts']), /there is no gone\.d\.ts/)
})

test('scripts that an entry leads to are found, however they are imported', () => {
  const scripts = new Map(Object.entries({
    'index.js': "import './one.js';\nexport { two } from './in/two.js';\nexport const later = () => import('./three.js');\nimport 'node:fs';\n",
    'one.js': '',
    'in/two.js': "import { four } from '../four.js';\nexport const two = four;\n",
    'three.js': '',
    'four.js': "import './in/two.js';\n",
    'nobody.js': ''
  }))
  assert.deepEqual([...reachable(['index.js'], scripts)].toSorted(), ['four.js', 'in/two.js', 'index.js', 'one.js', 'three.js'])
  assert.throws(() => reachable(['gone.js'], scripts), /there is no gone\.js/)
})

test('indentation becomes tabs, but in the lines of a template', () => {
  /* eslint-disable no-template-curly-in-string */
  assert.equal(
    indentedByTabs('{\n    a(`one\n    two ${b(\n        1)}\n    three`);\n        c();\n      d();\n}\n'),
    '{\n\ta(`one\n    two ${b(\n\t\t1)}\n    three`);\n\t\tc();\n\t  d();\n}\n')
})
