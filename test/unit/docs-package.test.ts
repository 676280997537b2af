/**
 * What is published: all that is needed, no more than 495 KB of it, and documents whose links lead somewhere.
 */
import assert from 'node:assert/strict'
import { execSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const BUDGET = 495_000

const read = (file: string): string => readFileSync(join(root, file), 'utf8')
const isDocument = (file: string): boolean => file.endsWith('.md')

/** Fences and code are no links. */
const prose = (text: string): string => text.replace(/^```[\s\S]*?^```/gm, '').replace(/`[^`\n]*`/g, (code) => code.replaceAll(/[[\]()<>]/g, ' '))

/** Where the links and pictures of a document lead. */
const linksIn = (text: string): string[] => [
  ...prose(text).matchAll(/\]\(([^()\s]*(?:\([^()\s]*\)[^()\s]*)*)(?: "[^"]*")?\)/g),
  ...prose(text).matchAll(/^\[[^\]]+\]: *(\S+)/gm),
  ...prose(text).matchAll(/<(?:a|img|source)\b[^>]*?\b(?:href|src|srcset)="([^"]*)"/g)
].map(([, target]) => target!)

/** The anchors of a document, as GitHub makes them of its headings. */
function anchorsOf (text: string): Set<string> {
  const headings = [...text.replace(/^```[\s\S]*?^```/gm, '').matchAll(/^#+ +(.*)$/gm)].map(([, heading]) => heading!.toLowerCase().replace(/[^\p{L}\p{N}\p{M} _-]/gu, '').replaceAll(' ', '-'))
  const anchors = new Set<string>()
  for (const heading of headings) {
    let anchor = heading
    for (let i = 1; anchors.has(anchor); i++) anchor = `${heading}-${i}`
    anchors.add(anchor)
  }
  return anchors
}

/** What is wrong with the links of a document. @param exists whether a path, from the root, is there */
function broken (file: string, exists: (path: string) => boolean, text = read(file)): string[] {
  return linksIn(text).filter((link) => {
    if (/^(https?|mailto):/.test(link)) return !URL.canParse(link) || /example\.(com|org)|OWNER|TODO/.test(link)
    const [path, anchor] = decodeURI(link).split('#') as [string, string?]
    const target = path === '' ? file : relative(root, join(root, dirname(file), path)).replaceAll('\\', '/')
    if (path !== '' && !exists(target)) return true
    return anchor !== undefined && (!isDocument(target) || !anchorsOf(path === '' ? text : read(target)).has(anchor))
  })
}

describe('the package', () => {
  let shipped: Map<string, number>
  let unpacked: number

  before(() => {
    // Without scripts: what is in dist is what `npm run build` has left there.
    const [{ files, unpackedSize }] = JSON.parse(execSync('npm pack --dry-run --json --ignore-scripts', { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })) as [{ files: Array<{ path: string, size: number }>, unpackedSize: number }]
    shipped = new Map(files.map(({ path, size }) => [path, size]))
    unpacked = unpackedSize
  })

  test('is at most 495 KB unpacked', (t) => {
    t.diagnostic(`${Math.round(unpacked / 1000)} KB of ${BUDGET / 1000}`)
    const largest = [...shipped].toSorted(([, one], [, other]) => other - one).slice(0, 5).map(([path, size]) => `${path} ${Math.round(size / 1000)} KB`)
    assert.ok(unpacked <= BUDGET, `${unpacked} bytes, of which the largest are ${largest.join(', ')}`)
  })

  test('has what its package.json names, and what goes with every package', () => {
    const { exports, typesVersions } = JSON.parse(read('package.json')) as { exports: Record<string, string | Record<string, string>>, typesVersions: { '*': Record<string, string[]> } }
    const named = [...Object.values(exports).flatMap((entry) => typeof entry === 'string' ? [entry] : Object.values(entry)), ...Object.values(typesVersions['*']).flat()]
    for (const file of ['README.md', 'LICENSE', 'SECURITY.md', ...named.map((path) => path.replace(/^\.\//, ''))]) assert.ok(shipped.has(file), `${file} is not shipped`)
    // Types are found by the same names however they are looked for.
    for (const [name, [file]] of Object.entries(typesVersions['*'])) assert.deepEqual((exports[`./${name}`] as { types: string }).types, file)
  })

  test('has nothing else: scripts, declarations, documents, examples', () => {
    const kinds = [/^dist\/.*\.js$/, /^dist\/.*\.d\.ts$/, /^docs\/[^/]+\.(md|svg)$/, /^examples\/((chat|notifications|progress)\/app|client\/client)\.js$/, /^(README|SECURITY)\.md$/, /^LICENSE$/, /^package\.json$/]
    assert.deepEqual([...shipped.keys()].filter((file) => !kinds.some((kind) => kind.test(file))), [])
  })

  test('has documents whose links lead to what is shipped as well, or to an address', () => {
    // npm shows the pictures of a README from the repository, and nobody looks at them in node_modules.
    const pictures = /^docs\/playground-(light|dark)\.png$/
    const wrong = [...shipped.keys()].filter(isDocument).flatMap((file) => broken(file, (path) => shipped.has(path) || pictures.test(path)).map((link) => `${file}: ${link}`))
    assert.deepEqual(wrong, [])
  })

  test('names an address of its own only if there is one', () => {
    const { repository, bugs, homepage } = JSON.parse(read('package.json')) as Record<string, unknown>
    for (const address of [repository, bugs, homepage].filter((value) => value !== undefined)) assert.doesNotMatch(JSON.stringify(address), /example|OWNER|your-|placeholder|TODO/i)
  })
})

test('the versions that are promised are those that are tested', () => {
  const { engines, peerDependencies } = JSON.parse(read('package.json')) as { engines: { node: string }, peerDependencies: Record<string, string> }
  const table = [...read('docs/compatibility.md').matchAll(/^\| (Node\.js|Fastify|prom-client)\b[^|]*\| `([^`]*)` \|([^|]*)/gm)]
  assert.deepEqual(table.map(([, what, versions]) => [what, versions]), [['Node.js', engines.node], ['Fastify', peerDependencies['fastify']], ['prom-client', peerDependencies['prom-client']]])
  const nodes = [...table[0]![3]!.matchAll(/\b\d\d\b/g)].map(([version]) => version)
  for (const [, matrix] of read('.github/workflows/ci.yml').matchAll(/^ +node: \[(.*)\]$/gm)) assert.deepEqual(matrix!.split(', '), nodes)
  assert.deepEqual([/\d+/.exec(engines.node)![0], ...[...read('scripts/nodes.js').matchAll(/'(\d\d)'/g)].map(([, version]) => version)], nodes)
})

test('npm ci warns of nothing on the oldest Node.js that is promised; the lock names no address', () => {
  // Fails where it would warn. By the Node.js that runs it: 20 is the one of `.ci/run`.
  execSync('npm ci --dry-run --engine-strict --ignore-scripts --offline', { cwd: root, stdio: ['ignore', 'ignore', 'pipe'] })
  assert.doesNotMatch(read('package-lock.json'), /"resolved"/)
})

test('the links of all documents of the repository lead somewhere', () => {
  const skipped = new Set(['node_modules', 'dist', 'coverage', 'reference', '.git'])
  const documentsIn = (folder: string): string[] => readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`
    if (entry.isDirectory()) return skipped.has(entry.name) ? [] : documentsIn(path)
    return isDocument(entry.name) ? [path] : []
  })
  const documents = documentsIn('')
  assert.ok(documents.includes('CONTRIBUTING.md') && documents.includes('bench/README.md'))
  const inside = (path: string): boolean => !path.startsWith('..') && existsSync(join(root, path))
  assert.deepEqual(documents.flatMap((file) => broken(file, inside).map((link) => `${file}: ${link}`)), [])
})

test('links that lead nowhere are found', () => {
  const text = '# One & `two`\n[a](gone.md) [b](#one--two) [c](#three) [d](http://) `[e](code.md)`\n```md\n[f](fence.md)\n```\n<img src="gone.svg">\n[g](LICENSE) [h](docs/causes.md#nothing) [i]: see\n\n[j]: gone.js\n'
  assert.deepEqual(broken('README.md', (path) => existsSync(join(root, path)), text), ['gone.md', '#three', 'http://', 'docs/causes.md#nothing', 'gone.js', 'gone.svg'])
})
