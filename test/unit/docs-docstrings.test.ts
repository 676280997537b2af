/**
 * What an app can name is described where it is declared: an editor shows that, and the reference is made of it. Units, defaults and
 * errors are part of it.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Something public: where it stands, as a path of names. */
interface Public {
  readonly path: string
  readonly symbol: ts.Symbol
}

const CODE = /FST_ERR_LIFELINE_\w+/

describe('docstrings', () => {
  let checker: ts.TypeChecker
  let all: Public[]

  const isOurs = (node: ts.Node): boolean => node.getSourceFile().fileName.startsWith(join(root, 'src'))
  const tagsOf = (symbol: ts.Symbol, name: string): string[] => symbol.getJsDocTags(checker).filter((tag) => tag.name === name).map(({ text }) => ts.displayPartsToString(text))
  const textOf = (symbol: ts.Symbol): string => ts.displayPartsToString(symbol.getDocumentationComment(checker)).trim()
  const isPlain = (name: ts.Node | undefined): boolean => name === undefined || !(ts.isPrivateIdentifier(name) || ts.isComputedPropertyName(name))
  /** A name of its own, as an app writes it: none of JavaScript's symbols, and nothing private. */
  const isPublic = (symbol: ts.Symbol): boolean => !symbol.name.startsWith('__') && tagsOf(symbol, 'internal').length === 0 &&
    (symbol.declarations ?? []).some((node) => isOurs(node) && isPlain(ts.getNameOfDeclaration(node)))

  /** The members of what is declared here, and theirs, where they are written out in the same place. */
  function membersOf ({ path, symbol }: Public): Public[] {
    const declaration = symbol.declarations?.find((node) => isOurs(node))
    if (declaration === undefined) return []
    const type = ts.isTypeAliasDeclaration(declaration) || ts.isInterfaceDeclaration(declaration) || ts.isClassDeclaration(declaration)
      ? checker.getDeclaredTypeOfSymbol(symbol)
      : ts.isPropertySignature(declaration) && declaration.type !== undefined && holdsMembers(declaration.type) ? checker.getNonNullableType(checker.getTypeOfSymbol(symbol)) : null
    if (type === null || (ts.isTypeAliasDeclaration(declaration) && !holdsMembers(declaration.type))) return []
    return type.getProperties().filter(isPublic).map((member) => ({ path: `${path}.${member.name}`, symbol: member }))
  }

  /** What is written on one line is described in one. */
  const holdsMembers = (node: ts.TypeNode): boolean => ts.isTypeLiteralNode(node) ? node.getText().includes('\n') : ts.isIntersectionTypeNode(node) && node.types.some(holdsMembers)

  function withMembers (one: Public, seen: Set<ts.Symbol> = new Set()): Public[] {
    if (seen.has(one.symbol)) return []
    seen.add(one.symbol)
    return [one, ...membersOf(one).flatMap((member) => withMembers(member, seen))]
  }

  before(() => {
    const { options } = ts.parseJsonConfigFileContent(ts.readConfigFile(join(root, 'tsconfig.json'), (file) => readFileSync(file, 'utf8')).config, ts.sys, root)
    const entries = ['src/index.ts', 'src/metrics/collect.ts'].map((file) => join(root, file))
    const augment = join(root, 'src/plugin/augment.ts')
    const program = ts.createProgram([...entries, augment], options)
    checker = program.getTypeChecker()
    const resolve = (symbol: ts.Symbol): ts.Symbol => (symbol.flags & ts.SymbolFlags.Alias) !== 0 ? checker.getAliasedSymbol(symbol) : symbol
    const exported = entries.flatMap((file) => checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(file)!)!))
    all = exported.flatMap((symbol) => {
      const target = resolve(symbol)
      // A file that is exported as a whole is what it exports.
      if ((target.flags & ts.SymbolFlags.ValueModule) !== 0) return checker.getExportsOfModule(target).map((one) => ({ path: `${symbol.name}.${one.name}`, symbol: one }))
      return withMembers({ path: symbol.name, symbol: target })
    })
    const walk = (node: ts.Node): void => {
      if (ts.isInterfaceDeclaration(node)) for (const member of node.members) if (member.name !== undefined && ts.isIdentifier(member.name)) all.push({ path: `${node.name.text}.${member.name.text}`, symbol: checker.getSymbolAtLocation(member.name)! })
      ts.forEachChild(node, walk)
    }
    walk(program.getSourceFile(augment)!)
  })

  test('everything that an app can name has one', () => {
    const names = all.map(({ path }) => path)
    for (const name of ['default', 'Connection.push', 'Lifeline.stats', 'Lifeline.on', 'Group.size', 'LifelineEvents.drop', 'LifelineOptions.shutdown.reconnect.after', 'errors.FST_ERR_LIFELINE_OPTION', 'collectMetrics', 'FastifyInstance.safePush']) assert.ok(names.includes(name), `${name} is not seen`)
    assert.deepEqual(all.filter(({ symbol }) => textOf(symbol) === '').map(({ path }) => path), [])
  })

  const members = (interfaces: RegExp): Public[] => all.filter(({ path }) => interfaces.test(path))
  const typeOf = (symbol: ts.Symbol): string => checker.typeToString(checker.getNonNullableType(checker.getTypeOfSymbol(symbol)))

  test('every option says what it is without: its default, or whose', () => {
    const options = members(/Options\./).filter(({ symbol }) => (symbol.flags & ts.SymbolFlags.Optional) !== 0 && membersOf({ path: '', symbol }).length === 0)
    assert.ok(options.length > 40)
    assert.deepEqual(options.filter(({ symbol }) => tagsOf(symbol, 'default').length === 0 && !/the plugin's/.test(textOf(symbol))).map(({ path }) => path), [])
  })

  test('every number says its unit, or that it is how many', () => {
    const numbers = all.filter(({ path, symbol }) => path.includes('.') && typeOf(symbol) === 'number')
    assert.ok(numbers.length > 40)
    assert.deepEqual(numbers.filter(({ symbol }) => !/\bms\b|\bbytes\b|\bhow (many|often)\b|\bfd\b|\bnumber\b|\bcode\b/i.test(`${textOf(symbol)} ${tagsOf(symbol, 'default').join()}`)).map(({ path }) => path), [])
  })

  test('every error that a call may throw is named', () => {
    const wrong: string[] = []
    for (const { path, symbol } of all) {
      const told = tagsOf(symbol, 'throws').join(' ')
      for (const declaration of symbol.declarations ?? []) {
        if (!isOurs(declaration) || !ts.isFunctionLike(declaration)) continue
        const thrown = new Set<string>()
        const walk = (node: ts.Node): void => {
          if (ts.isFunctionLike(node) && node !== declaration) return
          if (ts.isTryStatement(node)) return
          if (ts.isThrowStatement(node)) for (const code of node.getText().match(new RegExp(CODE, 'g')) ?? []) thrown.add(code)
          if (ts.isCallExpression(node)) {
            const called = checker.getResolvedSignature(node)?.getDeclaration()
            if (called !== undefined && isOurs(called)) {
              for (const tag of ts.getJSDocTags(called).filter(({ tagName }) => tagName.text === 'throws')) {
                const code = CODE.exec(ts.getTextOfJSDocComment(tag.comment) ?? '')
                if (code !== null) thrown.add(code[0])
              }
            }
          }
          ts.forEachChild(node, walk)
        }
        ts.forEachChild(declaration, walk)
        for (const code of thrown) if (!told.includes(code)) wrong.push(`${path}: ${code}`)
      }
    }
    assert.deepEqual(wrong, [])
  })
})
