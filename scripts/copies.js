// Copies of the working directory to change things in, gone when the process ends.
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'

const NOT_COPIED = new Set(['node_modules', '.git', 'dist', 'coverage'])

/** @param {string} prefix of the temporary folder's name */
export function copies (prefix) {
  const temporary = mkdtempSync(join(tmpdir(), prefix))
  process.on('exit', () => { rmSync(temporary, { recursive: true, force: true }) })
  return {
    temporary,
    /** A copy of a tree, whose packages are those of this one. */
    copy (from, name) {
      const to = join(temporary, name)
      mkdirSync(to)
      cpSync(from, to, { recursive: true, filter: (path) => !NOT_COPIED.has(basename(path)) })
      symlinkSync(realpathSync(join(process.cwd(), 'node_modules')), join(to, 'node_modules'), 'dir')
      return to
    }
  }
}
