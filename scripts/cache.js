// Packages that a check needs in several versions, and `npm ci` must not: each version in a folder of its own, outside of the tree, so
// that neither a linter nor npm meets it. It is fetched from npm if it is not there.
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { run } from './run.js'

export const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'fastify-lifeline')
const LIMIT = 5 * 60_000

/**
 * @param {string} kind the folder of all versions @param {string} name of the package @param {string} file in it, which is wanted
 * @returns {Promise<string>} the path of the file
 */
export async function cached (kind, name, version, file) {
  const folder = join(cache, kind, version)
  const path = join(folder, 'node_modules', name, file)
  if (existsSync(path)) return path
  const { output } = await run('npm', ['install', '--prefix', folder, '--no-save', '--no-audit', '--no-fund', `${name}@${version}`], { limit: LIMIT })
  if (!existsSync(path)) throw Object.assign(new Error(`the package ${name}@${version} could not be installed:\n${output}`), { code: 'NOT_INSTALLED' })
  return path
}
