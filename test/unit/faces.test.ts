/**
 * The faces of the package: what an ES module imports, and what CommonJS finds. (How compilers see them: `npm run faces`.)
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import ts from 'typescript'
import * as face from '../../src/index.js'

const read = (file: string): string => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8')

test('CommonJS finds all that an ES module can import', () => {
  const { 'module.exports': required, ...names } = face as typeof face & { 'module.exports': Record<string, unknown> }
  assert.equal(required, face.default as unknown)
  for (const [name, value] of Object.entries(names)) assert.equal(required[name], value, name)
})

test('the types of the errors are written out, for what comes of `createError` not every moduleResolution finds', () => {
  const { diagnostics, outputText } = ts.transpileDeclaration(read('src/core/errors.ts'), { reportDiagnostics: true, compilerOptions: { isolatedDeclarations: true, declaration: true } })
  assert.deepEqual(diagnostics?.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n')), [])
  assert.doesNotMatch(outputText, /import createError/)
})

test('the app that is compiled against the packed package names all that it exports', () => {
  const app = read('test/faces/app.ts')
  for (const file of ['src/index.ts', 'src/metrics/collect.ts']) {
    const source = ts.createSourceFile(file, read(file), ts.ScriptTarget.ESNext)
    for (const name of exportsOf(source)) assert.match(app, new RegExp(`\\b${name}\\b`), `${file}: ${name}`)
  }
})

function exportsOf (source: ts.SourceFile): string[] {
  return source.statements.flatMap((statement) => {
    if (ts.isExportDeclaration(statement)) {
      const { exportClause } = statement
      assert.ok(exportClause !== undefined && ts.isNamedExports(exportClause))
      return exportClause.elements.map(({ name }) => name.text).filter((name) => name !== 'module.exports')
    }
    const declares = ts.isFunctionDeclaration(statement) || ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement)
    return declares && statement.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) ? [statement.name!.text] : []
  })
}
