// The package as it is packed, as apps see it: test/faces is compiled against it by several versions of TypeScript, which come from
// npm, with each moduleResolution, with and without the DOM's types, and our own types are checked along; and its CommonJS part is run.
// `npm run faces` tries all versions, `npm run faces -- 5.6 7.0` some. Without a network they are skipped, but fail under CI=true.
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cached } from './cache.js'
import { packInto } from './packed.js'
import { run } from './run.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const given = process.argv.slice(2)
const versions = given.length > 0 ? given : ['5.6', '5.9', '6.0', '7.0']
/** The compilers share two cores. */
const AT_ONCE = 2
const LIMIT = 3 * 60_000

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'lifeline-faces-')))
process.on('exit', () => { rmSync(folder, { recursive: true, force: true }) })

/** A project that has the packed package, and of all others just those that it asks for, beside those of its own. */
function project () {
  const packed = join(folder, 'node_modules', 'fastify-lifeline')
  mkdirSync(packed, { recursive: true })
  const unpacked = spawnSync('tar', ['xzf', packInto(folder), '-C', packed, '--strip-components=1'])
  if (unpacked.status !== 0) throw new Error(`tar failed: ${unpacked.stderr}`)
  const { dependencies, peerDependencies } = JSON.parse(readFileSync(join(packed, 'package.json'), 'utf8'))
  for (const name of [...Object.keys({ ...dependencies, ...peerDependencies }), '@types/node']) {
    const link = join(folder, 'node_modules', name)
    mkdirSync(dirname(link), { recursive: true })
    symlinkSync(realpathSync(join(root, 'node_modules', name)), link, 'dir')
  }
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  for (const file of readdirSync(join(root, 'test/faces'))) copyFileSync(join(root, 'test/faces', file), join(folder, file))
}

/** From 5.8 on TypeScript knows that CommonJS may require an ES module; as nodenext alone. */
const takesRequire = (version, moduleResolution) => moduleResolution === 'nodenext' && version !== '5.6'

/** One compilation each. */
function * compilations (version) {
  for (const [module, moduleResolution] of [['node16', 'node16'], ['nodenext', 'nodenext'], ['esnext', 'bundler']]) {
    for (const lib of [['es2023'], ['es2023', 'dom']]) {
      const files = takesRequire(version, moduleResolution) ? ['app.ts', 'app.cts'] : ['app.ts']
      const options = { noEmit: true, strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, target: 'es2022', module, moduleResolution, lib, types: ['node'], skipLibCheck: false }
      yield { name: `TypeScript ${version}, ${moduleResolution}, ${lib.join(' and ')}`, files, options }
    }
  }
}

/** What is wrong with all that are tried with one version, in words. */
async function wrongWith (version) {
  const compiler = await cached('typescript', 'typescript', version, 'bin/tsc')
  const wrong = []
  const tried = [...compilations(version)]
  if (Number.parseInt(version) < 7) {
    // Those of one version in one process: what they all read is read once.
    const { status, output } = await run(process.execPath, [join(root, 'scripts/compile.js'), join(dirname(compiler), '../lib/typescript.js'), JSON.stringify(tried)], { cwd: folder, limit: LIMIT })
    if (status !== 0) wrong.push(output)
  } else {
    // It has no programming interface, and is quick enough for the types of all others.
    for (const { name, files, options } of tried) {
      const args = Object.entries(options).flatMap(([option, value]) => [`--${option}`, String(value)])
      const { status, output } = await run(process.execPath, [compiler, ...args, ...files], { cwd: folder, limit: LIMIT })
      if (status !== 0) wrong.push(`${name}: ${output}`)
    }
  }
  return { wrong: wrong.join('\n'), count: tried.length }
}

async function attempt (version) {
  const began = performance.now()
  try {
    const { wrong, count } = await wrongWith(version)
    if (wrong !== '') throw new Error(wrong)
    console.log(`TypeScript ${version}: ${count} compilations, in ${Math.round((performance.now() - began) / 1000)} s`)
  } catch (error) {
    const skipped = error.code === 'NOT_INSTALLED' && process.env.CI !== 'true'
    console.log(`TypeScript ${version} ${skipped ? 'skipped' : 'FAILED'}: ${error.message}`)
    if (!skipped) process.exitCode = 1
  }
}

/** The CommonJS part, as it is compiled, on the Node.js that runs this. */
async function require () {
  const { default: ts } = await import('typescript')
  const source = readFileSync(join(folder, 'app.cts'), 'utf8')
  writeFileSync(join(folder, 'app.cjs'), ts.transpileModule(source, { fileName: 'app.cts', compilerOptions: { module: ts.ModuleKind.NodeNext, target: ts.ScriptTarget.ES2022 } }).outputText)
  const { status, output } = await run(process.execPath, ['app.cjs'], { cwd: folder, limit: LIMIT })
  console.log(`CommonJS on Node.js ${process.version}: ${status === 0 ? 'well' : `FAILED: ${output}`}`)
  if (status !== 0) process.exitCode = 1
}

project()
await require()
const queue = versions.values()
await Promise.all(Array.from({ length: AT_ONCE }, async () => { for (const version of queue) await attempt(version) }))
