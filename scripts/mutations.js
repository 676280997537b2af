// The one-token mutants of a source text: each a place and what stands there instead.
import ts from 'typescript'

const { SyntaxKind: kind } = ts

const operators = new Map([
  [kind.EqualsEqualsEqualsToken, ['!==']],
  [kind.ExclamationEqualsEqualsToken, ['===']],
  [kind.LessThanToken, ['<=', '>']],
  [kind.LessThanEqualsToken, ['<']],
  [kind.GreaterThanToken, ['>=', '<']],
  [kind.GreaterThanEqualsToken, ['>']],
  [kind.AmpersandAmpersandToken, ['||']],
  [kind.BarBarToken, ['&&']],
  [kind.QuestionQuestionToken, ['&&']],
  [kind.PlusToken, ['-']],
  [kind.MinusToken, ['+']],
  [kind.AsteriskToken, ['/']],
  [kind.SlashToken, ['*']],
  [kind.PlusEqualsToken, ['-=']],
  [kind.MinusEqualsToken, ['+=']]
])

/**
 * @param {string} text of a TypeScript file
 * @returns {Array<{ from: number, to: number, line: number, before: string, after: string }>}
 */
export function mutantsOf (text) {
  const source = ts.createSourceFile('a.ts', text, ts.ScriptTarget.ESNext, true)
  const mutants = []
  const add = (node, after) => {
    const [from, to] = [node.getStart(source), node.getEnd()]
    mutants.push({ from, to, line: source.getLineAndCharacterOfPosition(from).line + 1, before: text.slice(from, to), after })
  }
  const walk = (node) => {
    // Types say nothing at run time.
    if (ts.isTypeNode(node) || ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node) || ts.isImportDeclaration(node)) return
    if (ts.isBinaryExpression(node)) {
      for (const after of operators.get(node.operatorToken.kind) ?? []) {
        // Words that are put together have no difference.
        const words = [node.left, node.right].some((side) => ts.isStringLiteralLike(side) || ts.isTemplateExpression(side))
        if (!(words && node.operatorToken.kind === kind.PlusToken)) add(node.operatorToken, after)
      }
    }
    if ((ts.isPrefixUnaryExpression(node) || ts.isPostfixUnaryExpression(node)) && (node.operator === kind.PlusPlusToken || node.operator === kind.MinusMinusToken)) {
      const sign = node.operator === kind.PlusPlusToken ? '--' : '++'
      const operand = node.operand.getText(source)
      add(node, ts.isPrefixUnaryExpression(node) ? sign + operand : operand + sign)
    }
    if (ts.isPrefixUnaryExpression(node) && node.operator === kind.ExclamationToken) add(node, node.operand.getText(source))
    if (node.kind === kind.TrueKeyword) add(node, 'false')
    if (node.kind === kind.FalseKeyword) add(node, 'true')
    if (ts.isNumericLiteral(node) && !ts.isEnumMember(node.parent)) add(node, node.text === '0' ? '1' : node.text === '1' ? '0' : `(${node.getText(source)} + 1)`)
    if (ts.isExpressionStatement(node) && ts.isCallExpression(node.expression) && node.expression.expression.kind !== kind.SuperKeyword) add(node, ';')
    if (ts.isIfStatement(node)) add(node.expression, `!(${node.expression.getText(source)})`)
    ts.forEachChild(node, walk)
  }
  walk(source)
  return mutants
}

/** The text with one of them in it. */
export const apply = (text, { from, to, after }) => text.slice(0, from) + after + text.slice(to)

/**
 * @param functions what V8 says of a script that was run
 * @returns {boolean} whether what stands there was run: of the ranges around it the narrowest says so
 */
export function comesBy (functions, place) {
  let narrowest
  for (const { ranges } of functions) {
    for (const range of ranges) {
      if (range.startOffset > place || range.endOffset <= place) continue
      if (narrowest === undefined || range.endOffset - range.startOffset <= narrowest.endOffset - narrowest.startOffset) narrowest = range
    }
  }
  return narrowest !== undefined && narrowest.count > 0
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function random (seed) {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6D2B79F5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** So many of a list, the same for the same seed. */
export function sample (list, count, seed) {
  const next = random(seed)
  const rest = [...list]
  return Array.from({ length: Math.min(count, rest.length) }, () => rest.splice(Math.floor(next() * rest.length), 1)[0])
}
