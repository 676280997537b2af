/**
 * What can happen to connections: the rows of docs/reliability.md, and what the laboratory expects of each.
 */
import type { Cause } from '../../../src/index.js'
import type { Fleet } from './fleet.js'
import type { Group } from './network.js'
import type { Proxy } from './proxies.js'

/** How many clients each fault hits. */
export const CLIENTS = 20

/** What a fault has at hand. */
export interface Site {
  readonly group: Group
  readonly fleet: Fleet
  readonly proxy: Proxy | null
}

export interface ClientFault {
  /** As the documentation says it. */
  readonly what: string
  /** Why the connections end; null: they live. */
  readonly cause: Cause | null
  /** Within the heartbeat's bound, or as soon as the next thing passes. */
  readonly found?: 'at once' | 'by the heartbeat'
  /** With `timeout: 10_000`: on a bad line TCP itself may be silent for seconds. */
  readonly patient?: true
  /** Through what the clients come. */
  readonly through?: 'nginx' | 'haproxy' | 'delay'
  readonly inject: (site: Site) => unknown
}

const eachClient = (call: (index: number) => Promise<unknown>): Promise<unknown> =>
  Promise.all(Array.from({ length: CLIENTS }, (_, index) => call(index)))

/** All of these happen at the same time, each to clients of its own. */
export const clientFaults = {
  control: { what: 'nothing (for comparison)', cause: null, inject: () => {} },
  close: { what: 'the client closes cleanly', cause: 'client', found: 'at once', inject: ({ fleet }) => eachClient((i) => fleet.close(i, 1000, '')) },
  reset: { what: 'the client resets (RST)', cause: 'reset', found: 'at once', inject: ({ fleet }) => eachClient((i) => fleet.reset(i)) },
  end: { what: 'the client\'s socket ends without a close frame (FIN)', cause: 'reset', found: 'at once', inject: ({ fleet }) => eachClient((i) => fleet.end(i)) },
  garbage: { what: 'the client sends garbage', cause: 'protocol', found: 'at once', inject: ({ fleet }) => eachClient((i) => fleet.garbage(i)) },
  kill: { what: 'the client process is killed (SIGKILL)', cause: 'reset', found: 'at once', inject: ({ fleet }) => { fleet.process.kill('SIGKILL') } },
  freeze: { what: 'the client process is frozen (SIGSTOP), its kernel still acknowledges', cause: 'heartbeat', found: 'by the heartbeat', inject: ({ fleet }) => { fleet.process.kill('SIGSTOP') } },
  nap: { what: 'the client process is frozen for 1 s', cause: null, inject: ({ fleet }) => { fleet.process.kill('SIGSTOP'); setTimeout(() => { fleet.process.kill('SIGCONT') }, 1000) } },
  drop: { what: 'all packets are dropped, nobody is told', cause: 'heartbeat', found: 'by the heartbeat', inject: ({ group }) => { group.blackhole() } },
  reject: { what: 'a firewall rejects with TCP resets', cause: 'reset', found: 'at once', inject: ({ group }) => { group.reject() } },
  cut: { what: 'the cable is pulled', cause: 'heartbeat', found: 'by the heartbeat', inject: ({ group }) => { group.plug(false) } },
  flap: { what: 'the cable is pulled for 1 s', cause: null, inject: ({ group }) => { group.plug(false); setTimeout(() => { group.plug(true) }, 1000) } },
  lose: { what: '10 % of all packets are lost (with `timeout: 10_000`)', cause: null, patient: true, inject: ({ group }) => { group.lose(10) } },
  slow: { what: 'the line is throttled to 256 kbit/s', cause: null, inject: ({ group }) => { group.slow('down', 256, 64 * 1024) } },
  delay: { what: 'the way takes 300 ms in each direction', cause: null, through: 'delay', inject: () => {} },
  nginxReload: { what: 'nginx is reloaded, worker_shutdown_timeout 1s', cause: 'reset', through: 'nginx', inject: ({ proxy }) => { proxy!.reload() } },
  haproxyReload: { what: 'haproxy is reloaded, hard-stop-after 1s', cause: 'reset', through: 'haproxy', inject: ({ proxy }) => { proxy!.reload() } },
  nginxRestart: { what: 'nginx is restarted', cause: 'reset', found: 'at once', through: 'nginx', inject: ({ proxy }) => proxy!.restart() }
} as const satisfies Record<string, ClientFault>

export type ClientFaultName = keyof typeof clientFaults

/** One after the other, to those who are left. */
export const serverFaults = {
  stall: 'the server\'s event loop stalls for 4 s',
  stop: 'the server process is frozen for 4 s',
  clock: 'the server\'s wall clock jumps 1 h ahead, and back',
  disk: 'the disk of the log is full',
  files: 'the server has no file descriptor left (EMFILE)',
  close: 'fastify.close()',
  kill: 'the server process is killed (SIGKILL)'
} as const

export type ServerFaultName = keyof typeof serverFaults
