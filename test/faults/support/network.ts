/**
 * A network of a test's own: a namespace for the server and one for each group of clients, each
 * joined to the server's by a cable (a veth pair). Addresses exist inside the namespaces only.
 * Everything is removed when the test ends; what a killed run left behind, by the next one.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import type { TestContext } from 'node:test'

const PREFIX = 'lifeline'
let made = 0

const ip = (...args: string[]): string => execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })

/** Namespaces are named by the process that made them: those of one that is no more are nobody's. */
function removeStale (): void {
  for (const line of ip('netns', 'list').split('\n')) {
    const name = line.split(' ')[0]!
    const pid = new RegExp(`^${PREFIX}-(\\d+)-`).exec(name)?.[1]
    if (pid === undefined) continue
    try {
      process.kill(Number(pid), 0)
    } catch {
      spawnSync('ip', ['netns', 'del', name])
    }
  }
}

export interface Group {
  /** Runs a program among these clients. */
  readonly prefix: string[]
  /** The server's address, as these clients see it. */
  readonly host: string
  /** Their own. */
  readonly client: string
  /** From now on no packet passes, in either direction, and nobody is told. The moment before, ms since the epoch. */
  blackhole: () => number
  /** From now on what comes for these clients is refused: TCP answers with a reset. */
  reject: () => void
  /** From now on so many of a hundred packets are lost, in each direction. */
  lose: (percent: number) => void
  /** The cable is pulled; and put back. */
  plug: (on: boolean) => void
  /** Bytes to these clients, or from them, pass at this rate, in kbit/s, behind a queue of so many bytes. */
  slow: (direction: 'down' | 'up', rate: number, queue: number) => void
}

/** How much the kernel holds for a socket of the server, and of the clients, at most, in bytes: so that what waits, waits in the process. */
const BUFFER_MAX = 32 * 1024

export interface Network<Name extends string> {
  /** From now on the kernel holds little for each socket. */
  readonly shallow: () => void
  /** Runs the server. It listens on all addresses of its namespace: host 0.0.0.0. */
  readonly server: string[]
  readonly groups: Record<Name, Group>
}

export function createNetwork<const Name extends string> (t: TestContext, ...names: Name[]): Network<Name> {
  removeStale()
  const id = `${PREFIX}-${process.pid}-${++made}`
  const server = `${id}-server`
  const add = (namespace: string): void => {
    ip('netns', 'add', namespace)
    // What still runs in it at its removal keeps it alive, unnamed, until it has ended: no order is needed.
    t.after(() => { spawnSync('ip', ['netns', 'del', namespace]) })
    ip('-n', namespace, 'link', 'set', 'lo', 'up')
  }
  add(server)
  const groups = Object.fromEntries(names.map((name, index) => {
    const namespace = `${id}-${name}`
    const host = `10.200.${index + 1}.1`
    add(namespace)
    ip('link', 'add', `v${index}`, 'netns', server, 'type', 'veth', 'peer', 'name', 'v', 'netns', namespace)
    ip('-n', server, 'addr', 'add', `${host}/24`, 'dev', `v${index}`)
    ip('-n', namespace, 'addr', 'add', `10.200.${index + 1}.2/24`, 'dev', 'v')
    ip('-n', server, 'link', 'set', `v${index}`, 'up')
    ip('-n', namespace, 'link', 'set', 'v', 'up')
    const iptables = (chain: string, ...rule: string[]): void => { ip('netns', 'exec', namespace, 'iptables', '-A', chain, ...rule) }
    const group: Group = {
      prefix: ['ip', 'netns', 'exec', namespace],
      host,
      client: `10.200.${index + 1}.2`,
      blackhole: () => {
        const at = Date.now()
        iptables('INPUT', '-j', 'DROP')
        iptables('OUTPUT', '-j', 'DROP')
        return at
      },
      reject: () => { iptables('INPUT', '-p', 'tcp', '-j', 'REJECT', '--reject-with', 'tcp-reset') },
      lose: (percent) => {
        for (const chain of ['INPUT', 'OUTPUT']) iptables(chain, '-m', 'statistic', '--mode', 'random', '--probability', String(percent / 100), '-j', 'DROP')
      },
      plug: (on) => { ip('-n', namespace, 'link', 'set', 'v', on ? 'up' : 'down') },
      slow: (direction, rate, queue) => {
        const [end, device] = direction === 'down' ? [server, `v${index}`] : [namespace, 'v']
        ip('netns', 'exec', end, 'tc', 'qdisc', 'add', 'dev', device, 'root', 'tbf', 'rate', `${rate}kbit`, 'burst', '4kb', 'limit', String(queue))
      }
    }
    return [name, group]
  })) as Record<Name, Group>
  const shallow = (): void => {
    for (const namespace of [server, ...names.map((name) => `${id}-${name}`)]) {
      for (const kind of ['rmem', 'wmem']) {
        ip('netns', 'exec', namespace, 'sysctl', '-q', '-w', `net.ipv4.tcp_${kind}=4096 16384 ${BUFFER_MAX}`)
      }
    }
  }
  return { server: ['ip', 'netns', 'exec', server], groups, shallow }
}
