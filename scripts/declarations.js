// Of declarations, what an app can come to by the names that the entries export: what belongs to the inside alone is not shipped.
// Names are compared by their spelling: what only has the name of something needed stays too.
import { dirname, join } from 'node:path'
import ts from 'typescript'

const isRelative = (specifier) => specifier?.startsWith('.') ?? false
const textOf = (specifier) => specifier?.text

/** Names that a statement makes in its file. */
function declaredBy (statement) {
  if (ts.isVariableStatement(statement)) return statement.declarationList.declarations.map(({ name }) => name.text)
  return statement.name !== undefined && ts.isIdentifier(statement.name) ? [statement.name.text] : []
}

/** `{ local, imported, element }` of each name of an import, or `export … from`; imported is null for the whole file. */
function bindingsOf (statement) {
  const clause = ts.isImportDeclaration(statement) ? statement.importClause : statement
  if (clause === undefined) return []
  const { namedBindings, exportClause } = clause
  const group = namedBindings ?? exportClause
  const named = group === undefined
    ? []
    : ts.isNamedImports(group) || ts.isNamedExports(group)
      ? group.elements.map((element) => ({ local: element.name.text, imported: (element.propertyName ?? element.name).text, element }))
      : [{ local: group.name.text, imported: null, element: group }]
  return ts.isImportDeclaration(statement) && clause.name !== undefined ? [{ local: clause.name.text, imported: 'default', element: clause.name }, ...named] : named
}

const isFrom = (statement) => ts.isImportDeclaration(statement) || (ts.isExportDeclaration(statement) && statement.moduleSpecifier !== undefined)

/** One file: which of its statements and names are kept. */
class File {
  constructor (name, text) {
    this.text = text
    this.source = ts.createSourceFile(name, text, ts.ScriptTarget.ESNext, true)
    this.kept = new Set()
    this.locals = new Set()
  }

  target (statement) {
    return join(dirname(this.source.fileName), textOf(statement.moduleSpecifier).replace(/\.js$/, '.d.ts'))
  }

  /** What is left of it. A statement takes the comments before it along. */
  print () {
    return this.source.statements.filter((statement) => this.kept.has(statement)).map((statement) => {
      const text = statement.getFullText(this.source)
      const bindings = isFrom(statement) ? bindingsOf(statement) : []
      const wanted = bindings.filter(({ local }) => this.locals.has(local))
      if (wanted.length === bindings.length || ts.isExportDeclaration(statement)) return text
      return `${text.slice(0, text.indexOf('{'))}{ ${wanted.map(({ element }) => element.getText(this.source)).join(', ')} } from '${textOf(statement.moduleSpecifier)}';`
    }).join('').trimStart() + '\n'
  }
}

/**
 * @param {Map<string, string>} texts by path
 * @param {string[]} entries paths
 * @returns {Map<string, string>} what is left, without files of which nothing is
 */
export function prune (texts, entries) {
  const files = new Map()
  const open = (name) => {
    if (!files.has(name)) {
      if (!texts.has(name)) throw new Error(`there is no ${name}`)
      files.set(name, new File(name, texts.get(name)))
    }
    return files.get(name)
  }

  /** Everything, or one name, of a file. */
  const want = (name, wanted) => {
    const file = open(name)
    for (const statement of file.source.statements) {
      if (wanted === null) keep(file, statement)
      else if (declaredBy(statement).includes(wanted) || ts.isModuleDeclaration(statement)) keep(file, statement)
      else if (isFrom(statement) && bindingsOf(statement).some(({ local }) => local === wanted)) keep(file, statement)
    }
  }

  const keep = (file, statement) => {
    if (isFrom(statement)) {
      // Of an import only what is used; all that is exported again.
      if (ts.isImportDeclaration(statement) && statement.importClause !== undefined) return
      if (file.kept.has(statement)) return
      file.kept.add(statement)
      if (!isRelative(textOf(statement.moduleSpecifier))) return
      const bindings = bindingsOf(statement)
      if (bindings.length === 0) want(file.target(statement), null)
      for (const { imported } of bindings) want(file.target(statement), imported)
      return
    }
    if (file.kept.has(statement)) return
    file.kept.add(statement)
    walk(file, statement)
  }

  const walk = (file, node) => {
    if (ts.isIdentifier(node)) use(file, node.text)
    if (ts.isImportTypeNode(node)) throw new Error(`${file.source.fileName}: import(…) as a type is not followed`)
    ts.forEachChild(node, (child) => { walk(file, child) })
  }

  /** A name is spoken of in a file: whatever it is there, it is kept. */
  const use = (file, name) => {
    if (file.locals.has(name)) return
    file.locals.add(name)
    for (const statement of file.source.statements) {
      if (ts.isImportDeclaration(statement)) {
        for (const { local, imported } of bindingsOf(statement)) {
          if (local !== name) continue
          file.kept.add(statement)
          if (isRelative(textOf(statement.moduleSpecifier))) want(file.target(statement), imported)
        }
      } else if (declaredBy(statement).includes(name)) keep(file, statement)
    }
  }

  for (const entry of entries) want(entry, null)
  return new Map([...files].filter(([, file]) => file.kept.size > 0).map(([name, file]) => [name, file.print()]))
}
