/**
 * The documentation is held against the code: what it says of options, errors and causes, and that
 * its examples compile.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import Fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import ts from 'typescript'
import lifeline, { causes, errors } from '../../src/index.js'
import { MORE } from '../../src/core/outbox.js'
import { closeCode, closeCodes } from '../../src/protocol/close-codes.js'
import type { CloseCodeName } from '../../src/protocol/close-codes.js'
import { outcomes } from '../../src/core/receipts.js'
import type { Outcome } from '../../src/core/receipts.js'
import { metrics } from '../../src/metrics/metrics.js'
import { defaults } from '../../src/plugin/options.js'
import { READ_ON_MAX } from '../../src/transports/websocket/inbox.js'
import { clientNames } from '../browser/support/clients.js'
import { clientFaults, serverFaults } from '../faults/support/faults.js'
import { claims } from '../support/proof.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const read = (file: string): string => readFileSync(join(root, file), 'utf8')

/** The rows of the tables in a document, cell by cell. */
const rows = (file: string): string[][] => read(file).split('\n')
  .filter((line) => line.startsWith('| '))
  .map((line) => line.slice(1, -1).split(' | ').map((cell) => cell.trim()))

function flatten (object: object, path = ''): Array<[string, unknown]> {
  return Object.entries(object).flatMap(([name, value]) => typeof value === 'object' && Object.keys(value).length > 0
    ? flatten(value, `${path}${name}.`)
    : [[`${path}${name}`, value] as [string, unknown]])
}

/** A default as the documentation writes it. */
const show = (value: unknown): string => typeof value === 'string' ? `'${value}'` : typeof value === 'object' ? JSON.stringify(value) : String(value)

/** The options that a document has in its tables, with their defaults. */
const optionsIn = (file: string): Record<string, string> => Object.fromEntries(rows(file)
  .filter(([, value]) => value !== undefined && /^`(\d+|{}|Infinity|true|false|'\w+')`$/.test(value))
  .map(([name, value]) => [name!.replaceAll('`', ''), value!.replaceAll('`', '')]))

test('docs/options.md names every option with its default, and no other; README some of them', () => {
  const all = Object.fromEntries(flatten(defaults).map(([name, value]) => [name, show(value)]))
  assert.deepEqual(optionsIn('docs/options.md'), all)
  const some = optionsIn('README.md')
  assert.equal(Object.keys(some).length, 6)
  for (const [name, value] of Object.entries(some)) assert.equal(value, all[name], name)
})

test('README says how late a dead peer is found by default', async (t) => {
  const app = Fastify()
  t.after(() => app.close())
  await app.register(lifeline)
  await app.ready()
  assert.ok(read('README.md').includes(`a dead peer is found within ${app.lifeline.heartbeat.bound / 1000} s of its last sign of life`), String(app.lifeline.heartbeat.bound))
})

test('README is read in five minutes: at most 1,100 words beside its code', () => {
  const words = read('README.md').replace(/^```[\s\S]*?^```/gm, '').split(/\s+/).filter((word) => /\w/.test(word))
  assert.ok(words.length <= 1100, String(words.length))
})

test('the docstrings of the options give the defaults of the code', () => {
  const source = read('src/plugin/options.ts')
  for (const [path, value] of flatten(defaults)) {
    const name = path.split('.').at(-1)!
    const docstring = new RegExp(`@default ([\\d_]+|{}|Infinity|true|false|'\\w+')[^*]*\\*/\\s+${name}\\?:`, 'g')
    const given = [...source.matchAll(docstring)].map(([, text]) => text!.replaceAll('_', ''))
    assert.ok(given.includes(show(value)), `${path}: ${show(value)} is not among the docstrings of ${name}: ${given.join(', ')}`)
  }
})

test('docs/errors.md lists every error code, and no other', () => {
  const documented = rows('docs/errors.md').map(([code]) => code!.replaceAll('`', '')).filter((code) => code.startsWith('FST_'))
  assert.deepEqual(documented.toSorted(), Object.keys(errors).toSorted())
  for (const [name, create] of Object.entries(errors)) assert.equal((create as unknown as () => { code: string })().code, name)
})

test('docs/causes.md is the table of the code', () => {
  const documented = rows('docs/causes.md').filter(([cause]) => cause!.startsWith('`'))
  assert.deepEqual(documented.map(([cause]) => cause!.replaceAll('`', '')), Object.keys(causes))
  for (const [cause, code, meaning, client] of documented) {
    const row = causes[cause!.replaceAll('`', '') as keyof typeof causes]
    assert.equal(meaning, row.meaning)
    assert.equal(client, row.client)
    if (row.code !== null) assert.equal(code, String(row.code))
    else assert.ok(Number.isNaN(Number(code)))
  }
})

test('docs/causes.md has the close codes of the code, and what a client does about each', () => {
  const documented = rows('docs/causes.md').filter(([code]) => /^\d{4}$/.test(code!))
  assert.deepEqual(documented, Object.entries(closeCode).map(([name, code]) => {
    const { cause, advice } = closeCodes[name as CloseCodeName]
    return [String(code), name, cause === null ? '' : `\`${cause}\``, advice]
  }).toSorted())
})

/** The examples in a document. */
const examplesIn = (file: string): string[] => [...read(file).matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code!)

test('the examples of README and of the documents compile, strictly, with the types that are shipped', (t) => {
  const examples = ['README.md', ...readdirSync(join(root, 'docs')).filter((file) => file.endsWith('.md')).map((file) => `docs/${file}`)].flatMap(examplesIn)
  assert.ok(examples.length >= 7)
  // Inside the package, so that its own name is found.
  const folder = mkdtempSync(join(root, 'test', 'readme-'))
  t.after(() => { rmSync(folder, { recursive: true }) })
  const files = examples.map((code, i) => {
    const file = join(folder, `example-${i}.ts`)
    writeFileSync(file, code)
    return file
  })
  const { options } = ts.parseJsonConfigFileContent(ts.readConfigFile(join(root, 'tsconfig.json'), (file) => readFileSync(file, 'utf8')).config, ts.sys, root)
  const program = ts.createProgram(files, { ...options, noUnusedParameters: false, skipLibCheck: false })
  // What we ship is checked as well; the types of others, with all that they import, are theirs.
  const shipped = program.getSourceFiles().filter(({ fileName }) => fileName.startsWith(join(root, 'dist')))
  assert.ok(shipped.length > 0)
  const diagnostics = [...program.getOptionsDiagnostics(), ...program.getGlobalDiagnostics(), ...[...shipped, ...files.map((file) => program.getSourceFile(file)!)]
    .flatMap((file) => [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)])]
  assert.deepEqual(diagnostics.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n')), [])
})

test('docs/metrics.md lists every metric as the code has it, and no other; its alerts ask for none that is not there', () => {
  const documented = rows('docs/metrics.md').slice(2)
  assert.deepEqual(documented, metrics.map(({ name, type, label, help }) => [`\`lifeline_${name}\``, type, label === null ? '' : `\`${label}\``, help]))
  const names = new Set(metrics.flatMap(({ name, type }) => type === 'histogram' ? [`lifeline_${name}_bucket`] : [`lifeline_${name}`]))
  const asked = [...read('docs/metrics.md').matchAll(/(lifeline_\w+)(?:\{\w+=~?"([\w|]+)"\})?\[\d+m\]/g)]
  assert.ok(asked.length >= 6)
  for (const [, name, values] of asked) {
    assert.ok(names.has(name!), name)
    if (name === 'lifeline_connections_closed_total') for (const cause of values?.split('|') ?? []) assert.ok(cause in causes, cause)
  }
})

test('the example of docs/metrics.md runs', async (t) => {
  const [example] = examplesIn('docs/metrics.md')
  const folder = mkdtempSync(join(root, 'test', 'metrics-'))
  t.after(() => { rmSync(folder, { recursive: true }) })
  const file = join(folder, 'example.ts')
  writeFileSync(file, `${example!.replace('port: 3000', 'port: 0')}\nexport { fastify }\n`)
  const { fastify } = await import(file) as { fastify: FastifyInstance }
  t.after(() => fastify.close())
  const { statusCode, headers, body } = await fastify.inject('/metrics')
  assert.deepEqual([statusCode, headers['content-type']], [200, 'text/plain; version=0.0.4; charset=utf-8'])
  assert.match(body, /^lifeline_connections 0$/m)
})

test('the first example of README runs, and so does the one in CommonJS', async (t) => {
  const [example] = examplesIn('README.md')
  const [, common] = /```js\n(const Fastify = require[\s\S]*?)```/.exec(read('README.md'))!
  const folder = mkdtempSync(join(root, 'test', 'first-'))
  t.after(() => { rmSync(folder, { recursive: true }) })
  const adapt = (text: string): string => text.replace('logger: true', 'logger: false').replace('port: 3000', 'port: 0')
  writeFileSync(join(folder, 'example.ts'), `${adapt(example!)}\nexport { fastify }\n`)
  writeFileSync(join(folder, 'example.cjs'), adapt(common!).replace(/^ {2}await fastify.listen.*\n/m, '$&  return fastify\n').replace(/^start\(\)$/m, 'module.exports = start()'))
  for (const [name, said] of [['example.ts', { question: 'why', answer: 42 }], ['example.cjs', 'why']] as const) {
    const module = await import(join(folder, name)) as { fastify?: FastifyInstance, default?: Promise<FastifyInstance> }
    const fastify = module.fastify ?? await module.default!
    t.after(() => fastify.close())
    const socket = await fastify.injectWS('/live')
    socket.send('why')
    const [data] = await once(socket, 'message')
    assert.equal(String(data), typeof said === 'string' ? said : JSON.stringify(said))
    socket.terminate()
  }
})

test('the test in docs/testing.md passes', (t) => {
  const [example] = examplesIn('docs/testing.md')
  const folder = mkdtempSync(join(root, 'test', 'testing-'))
  t.after(() => { rmSync(folder, { recursive: true }) })
  const file = join(folder, 'example.ts')
  writeFileSync(file, example!)
  const { NODE_TEST_CONTEXT, NODE_V8_COVERAGE, ...env } = process.env
  const { status, stdout } = spawnSync(process.execPath, ['--import', './scripts/typescript.js', file], { cwd: root, env, encoding: 'utf8', timeout: 60_000 })
  assert.equal(status, 0, stdout)
  assert.match(stdout, /^(# |ℹ )pass 1$/m)
})

test('the first example of docs/messages.md runs, and the client of its requests and responses', async (t) => {
  const [example] = examplesIn('docs/messages.md')
  const folder = mkdtempSync(join(root, 'test', 'messages-'))
  t.after(() => { rmSync(folder, { recursive: true }) })
  const file = join(folder, 'example.ts')
  writeFileSync(file, `${example!}\nexport { fastify }\n`)
  const { fastify } = await import(file) as { fastify: FastifyInstance }
  t.after(() => fastify.close())
  fastify.get('/ask', { websocket: true, config: { lifeline: { codec: 'json' } } }, (_socket, request) => {
    const connection = fastify.lifeline.of(request)
    connection.onMessage(({ value }) => {
      const { ref, city } = value as { ref: number, city: string }
      if (city === 'Rome') connection.push({ ref, result: 'sunny' })
      else if (city !== 'nowhere') connection.push({ ref, error: 'the weather is not known' })
    })
  })
  await fastify.ready()
  const game = await fastify.injectWS('/game')
  game.send('{"from":"e2","to":"e4"}')
  const [moved] = await once(game, 'message')
  assert.deepEqual(JSON.parse(String(moved)), { moved: 'e4', times: 1 })
  game.terminate()

  const [, client] = /```js\n(const waiting[\s\S]*?)```/.exec(read('docs/messages.md'))!
  const socket = await fastify.injectWS('/ask')
  const script = join(folder, 'client.js')
  writeFileSync(script, `export function start (socket) {\n${client!}\nreturn ask\n}\n`)
  const { start } = await import(script) as { start: (given: typeof socket) => (question: object, ms?: number) => Promise<unknown> }
  const ask = start(socket)
  const asked = await Promise.allSettled([ask({ city: 'Paris' }), ask({ city: 'nowhere' }, 20), ask({ city: 'Rome' })])
  assert.deepEqual(asked.map((one) => one.status === 'fulfilled' ? one.value : one.reason.message), ['the weather is not known', 'timeout', 'sunny'])
  const last = ask({ city: 'nowhere' })
  socket.close()
  await assert.rejects(last, { message: 'closed' })
})

test('what the package imports it also declares', () => {
  const { dependencies, peerDependencies } = JSON.parse(read('package.json'))
  const declared = Object.keys({ ...dependencies, ...peerDependencies })
  for (const file of readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'))) {
    for (const [, name] of read(join('src', file)).matchAll(/ from '([^'.][^']*)'/g)) {
      if (name!.startsWith('node:')) continue
      const known = declared.includes(name!) || declared.includes(`@types/${name!}`)
      assert.ok(known, `${file} imports ${name}`)
    }
  }
})

test('docs/reliability.md has a row for every fault of the laboratory', () => {
  const documented = rows('docs/reliability.md').filter((cells) => cells.length === 5).map(([what]) => what).slice(2)
  assert.deepEqual(documented, [...Object.values(clientFaults).map(({ what }) => what), ...Object.values(serverFaults)])
})

test('docs/reliability.md says how often each claim is tried, and a test tries it', () => {
  const documented = rows('docs/reliability.md').filter((cells) => cells.length === 2).slice(2)
  assert.deepEqual(documented, Object.values(claims).map(({ what, tries }) => [what, tries.toLocaleString('en-US')]))
  const tests = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.test.ts')).map((file) => read(join('test', file)))
  for (const claim of Object.keys(claims)) assert.ok(tests.some((text) => text.includes(`tries('${claim}')`)), `no test tries "${claim}"`)
})

test('docs/receipts.md has a row for every client that was tried, and for every outcome', () => {
  const table = rows('docs/receipts.md')
  const tried = table.filter((cells) => cells.length === 4).slice(2)
  assert.deepEqual(tried.map(([name]) => name), clientNames)
  assert.deepEqual(new Set(tried.map(([, , answers]) => answers)), new Set(['yes']))
  assert.deepEqual(table.map(([outcome]) => outcome!.replaceAll('`', '')).filter((name) => outcomes.includes(name as Outcome)), outcomes)
})

test('every number of docs/reliability.md is carried by a test', () => {
  const numbers = rows('docs/reliability.md').filter((cells) => cells.length === 3).map(([number]) => Number(number)).filter((number) => !Number.isNaN(number))
  assert.deepEqual(numbers, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 15, 16, 19, 22, 23, 24])
  const titles = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.ts'))
    .flatMap((file) => [...read(join('test', file)).matchAll(/\(field ([\d, ]+)\)['`]/g)].flatMap(([, list]) => list!.split(', ').map(Number)))
  for (const number of numbers) assert.ok(titles.includes(number), `no test carries "field ${number}"`)
})

test('the figures in docs/how-it-works.md, in bench/RESULTS.md and in the picture are those that were measured', async () => {
  const results = JSON.parse(read('bench/results.json'))
  const load = async (file: string): Promise<any> => await import(join(root, 'bench', file))
  const [{ draw }, { asMarkdown, intoDocument }] = [await load('draw.js'), await load('report.js')]
  assert.equal(read('docs/bench.svg'), draw(results))
  assert.equal(read('bench/RESULTS.md'), asMarkdown(results))
  assert.equal(read('docs/how-it-works.md'), intoDocument(read('docs/how-it-works.md'), results))
})

test('what may be kept while receipts cannot be seen is what the documentation says', () => {
  const mib = (bytes: number): string => `${bytes / 1024 / 1024} MiB`
  const bounds = rows('docs/receipts.md').flatMap(([what, most]) => /^(messages of the client|unconfirmed messages)/.test(what!) ? [/^\d+ MiB/.exec(most!)![0]] : [])
  assert.deepEqual(bounds, [mib(READ_ON_MAX), mib(MORE)])
  for (const file of ['docs/operations.md', 'docs/api.md']) assert.ok(read(file).includes(mib(READ_ON_MAX)), file)
})
