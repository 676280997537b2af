// The hooks of typescript.js. What has been stripped is kept by its content, for all processes of a run load the same.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const kept = fileURLToPath(new URL('../node_modules/.cache/fastify-lifeline/', import.meta.url))

/** The TypeScript that `./x.js` stands for, if there is any. @returns {string | undefined} */
export function typescriptOf (specifier, { parentURL }) {
  if (!/^\.{1,2}\/.*\.js(\?|$)/.test(specifier)) return undefined
  const url = new URL(specifier.replace(/js(?=\?|$)/, 'ts'), parentURL)
  return existsSync(url) ? url.href : undefined
}

/** @param text TypeScript @returns {Promise<string>} JavaScript, with blanks where types were */
export async function strip (text) {
  const path = `${kept}${createHash('sha256').update(text).digest('hex')}.js`
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (error.code !== 'ENOENT') throw error
  }
  const { default: blank } = await import('ts-blank-space')
  const source = blank(text, (node) => { throw new SyntaxError(`this TypeScript cannot be struck out: ${text.slice(node.pos, node.end).trim()}`) })
  // Two processes may write the same at a time: none shall read a half.
  mkdirSync(kept, { recursive: true })
  writeFileSync(`${path}.${process.pid}`, source)
  renameSync(`${path}.${process.pid}`, path)
  return source
}

export const resolve = (specifier, context, next) => next(typescriptOf(specifier, context) ?? specifier, context)

export async function load (url, context, next) {
  if (!url.startsWith('file:') || !new URL(url).pathname.endsWith('.ts')) return next(url, context)
  return { format: 'module', shortCircuit: true, source: await strip(readFileSync(new URL(url), 'utf8')) }
}
