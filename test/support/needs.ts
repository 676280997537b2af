/**
 * What a test from outside needs of the machine: programs, and the right to make network namespaces.
 * On a laptop that lacks it the test is skipped, and says what it lacked; under CI=true it fails.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import type { TestContext } from 'node:test'

const lacks: Record<string, () => string | null> = {
  namespaces: () => {
    if (process.platform !== 'linux') return 'network namespaces (Linux)'
    const name = `lifeline-${process.pid}-probe`
    try {
      execFileSync('ip', ['netns', 'add', name], { stdio: 'pipe' })
      execFileSync('ip', ['netns', 'exec', name, 'iptables', '-L', '-n'], { stdio: 'pipe' })
      return null
    } catch (error) {
      return `network namespaces and iptables, as root (${String((error as Error).message).trim()})`
    } finally {
      spawnSync('ip', ['netns', 'del', name])
    }
  },
  tc: () => spawnSync('tc', ['-V']).status === 0 ? null : 'the program tc (iproute2)',
  chromium: () => spawnSync('chromium', ['--version']).status === 0 ? null : 'the program chromium',
  firefox: () => spawnSync('firefox-esr', ['--version']).status === 0 ? null : 'the program firefox-esr',
  haproxy: () => spawnSync('haproxy', ['-v']).status === 0 ? null : 'the program haproxy',
  nginx: () => spawnSync('nginx', ['-v']).status === 0 ? null : 'the program nginx',
  prometheus: () => spawnSync('prometheus', ['--version']).status === 0 && spawnSync('promtool', ['--version']).status === 0 ? null : 'the programs prometheus and promtool',
  // Debian's own interpreter, for Debian's package: another python3 may come first on the PATH.
  'python3-websockets': () => spawnSync('/usr/bin/python3', ['-c', 'import websockets']).status === 0
    ? null
    : 'Debian\'s package python3-websockets'
}

const known = new Map<string, string | null>()

export type Thing = 'namespaces' | 'tc' | 'chromium' | 'firefox' | 'haproxy' | 'nginx' | 'prometheus' | 'python3-websockets'

/** For the `skip` of a whole suite: why, or false. Throws under CI=true. */
export function lackOf (thing: Thing): string | false {
  if (!known.has(thing)) known.set(thing, lacks[thing]!())
  const lack = known.get(thing)
  if (lack == null) return false
  if (process.env.CI === 'true') throw new Error(`this test needs ${lack}`)
  return `this machine lacks ${lack}`
}

/** False if the test was skipped and must return. */
export function needs (t: TestContext, ...things: Thing[]): boolean {
  for (const thing of things) {
    const lack = lackOf(thing)
    if (lack === false) continue
    t.skip(lack)
    return false
  }
  return true
}
