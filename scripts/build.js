// Makes dist/ of src/: what is shipped, and no more. Each source file is a file there, so that a stack trace names it; JavaScript
// without comments, declarations with all docstrings, and only those that an app can come to. There are no maps: they would be as
// large as the code, and nothing without the sources, which are as large again.
// With `--scripts` nothing is checked, and no declarations are made: enough to run, in a quarter of the time. Those that are there stay,
// for npm runs `prepare` after `prepack`.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { prune } from './declarations.js'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Where a text goes on in a new line within a template: what stands there is the program's. */
function linesOfTemplates (source) {
  const lines = new Set()
  const lineAt = (position) => source.getLineAndCharacterOfPosition(position).line
  const walk = (node) => {
    const isTemplate = ts.isNoSubstitutionTemplateLiteral(node) || ts.isTemplateHead(node) || ts.isTemplateMiddle(node) || ts.isTemplateTail(node)
    if (isTemplate) for (let line = lineAt(node.getStart(source)) + 1; line <= lineAt(node.getEnd()); line++) lines.add(line)
    ts.forEachChild(node, walk)
  }
  walk(source)
  return lines
}

/** TypeScript indents by four spaces: a tenth of what is shipped. */
export function indentedByTabs (text) {
  const kept = linesOfTemplates(ts.createSourceFile('a.ts', text, ts.ScriptTarget.ESNext, true))
  return text.split('\n').map((line, i) => kept.has(i) ? line : line.replace(/^(?: {4})+/, (spaces) => '\t'.repeat(spaces.length / 4))).join('\n')
}

/** The files that these lead to by their imports, themselves among them. */
export function reachable (entries, texts) {
  const found = new Set()
  const rest = [...entries]
  while (rest.length > 0) {
    const file = rest.pop()
    if (found.has(file)) continue
    if (!texts.has(file)) throw new Error(`there is no ${file}`)
    found.add(file)
    const walk = (node) => {
      const isFrom = ts.isImportDeclaration(node) || ts.isExportDeclaration(node)
      const specifier = isFrom ? node.moduleSpecifier : ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword ? node.arguments[0] : undefined
      if (specifier?.text?.startsWith('.')) rest.push(join(dirname(file), specifier.text))
      ts.forEachChild(node, walk)
    }
    walk(ts.createSourceFile(file, texts.get(file), ts.ScriptTarget.ESNext, true))
  }
  return found
}

function stop (diagnostics) {
  const host = { getCanonicalFileName: (name) => name, getCurrentDirectory: () => root, getNewLine: () => '\n' }
  console.error(ts.formatDiagnostics(diagnostics, host))
  process.exit(1)
}

/** What is checked on the way. @returns the declarations, by path */
function declare (config) {
  const declarations = new Map()
  const program = ts.createProgram(config.fileNames, config.options)
  const { diagnostics } = program.emit(undefined, (file, text) => { declarations.set(relative(config.options.outDir, file), text) }, undefined, true)
  const wrong = ts.sortAndDeduplicateDiagnostics([...ts.getPreEmitDiagnostics(program), ...diagnostics])
  if (wrong.length > 0) stop(wrong)
  return declarations
}

/** A file by itself: the options have types that can be erased, and imports that stay as they are. @returns the scripts, by path */
function transpile ({ fileNames, options }) {
  const compilerOptions = { ...options, module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler, removeComments: true }
  return new Map(fileNames.map((fileName) => {
    const { outputText } = ts.transpileModule(readFileSync(fileName, 'utf8'), { compilerOptions, fileName })
    return [relative(options.rootDir, fileName).replace(/\.ts$/, '.js'), outputText]
  }))
}

function build (scriptsAlone) {
  const config = ts.getParsedCommandLineOfConfigFile(join(root, 'tsconfig.build.json'), {}, { ...ts.sys, onUnRecoverableConfigFileDiagnostic: (diagnostic) => { stop([diagnostic]) } })
  const dist = config.options.outDir
  const scripts = transpile(config)
  const entries = Object.values(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).exports).filter((entry) => typeof entry === 'object')
  const shipped = scriptsAlone ? new Map() : prune(declare(config), entries.map((entry) => relative('dist', entry.types)))
  for (const file of reachable(entries.map((entry) => relative('dist', entry.default)), scripts)) shipped.set(file, scripts.get(file))
  if (!scriptsAlone) rmSync(dist, { recursive: true, force: true })
  for (const [file, text] of shipped) {
    mkdirSync(dirname(join(dist, file)), { recursive: true })
    writeFileSync(join(dist, file), indentedByTabs(text))
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) build(process.argv.includes('--scripts'))
