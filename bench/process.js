/**
 * Starts the processes of a measurement, each on a CPU of its own, and ends them by their pid.
 * Invariant: whatever happens to us, nobody of ours is left; a call that takes too long fails by its name.
 */
import { spawnSync, fork } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'

const TIMEOUT = 120_000

/** Server and client each have a CPU, where the machine has two and lets us choose. */
export const pinned = availableParallelism() > 1 && spawnSync('taskset', ['-c', '0', 'true']).status === 0

const children = new Set()
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    for (const child of children) child.kill('SIGKILL')
    process.exit(1)
  })
}

/** @param plugin where another revision of the plugin is, for the server that measures it */
export function start (script, argument, cpu, flags = [], plugin = undefined) {
  const run = [...flags, fileURLToPath(new URL(script, import.meta.url))]
  const env = plugin === undefined ? process.env : { ...process.env, BENCH_PLUGIN: plugin }
  const child = pinned
    ? fork(run.at(-1), argument, { env, execPath: 'taskset', execArgv: ['-c', String(cpu), process.execPath, ...flags] })
    : fork(run.at(-1), argument, { env, execArgv: flags })
  children.add(child)
  let last = 0
  const calls = new Map()
  const listeners = new Map()
  const fail = (error) => { for (const { reject } of calls.values()) reject(error) }
  child.on('exit', (code, signal) => {
    children.delete(child)
    fail(new Error(`${script} ${argument.join(' ')} ended with ${code ?? signal}`))
  })
  child.on('message', (message) => {
    if (message.event !== undefined) return listeners.get(message.event)?.(message)
    const { resolve, reject } = calls.get(message.id)
    calls.delete(message.id)
    if (message.error === undefined) resolve(message.value)
    else reject(new Error(message.error))
  })
  return {
    on: (event, listener) => { listeners.set(event, listener) },
    once: (event) => new Promise((resolve, reject) => {
      calls.set(event, { resolve, reject })
      listeners.set(event, (message) => {
        calls.delete(event)
        resolve(message)
      })
    }),
    send: (message) => { child.send(message) },
    call: (name, args) => new Promise((resolve, reject) => {
      const id = ++last
      const timer = setTimeout(() => { reject(new Error(`${script} ${argument.join(' ')}: ${name} took longer than ${TIMEOUT} ms`)) }, TIMEOUT)
      const settle = (then) => (value) => {
        clearTimeout(timer)
        then(value)
      }
      calls.set(id, { resolve: settle(resolve), reject: settle(reject) })
      child.send({ id, name, args })
    }),
    stop: () => new Promise((resolve) => {
      child.once('exit', resolve)
      child.kill('SIGKILL')
    })
  }
}

/** What is behind the `@` of a variant's name: the plugin of another revision. */
export const others = new Map()

/** A server and its client, with so many connections between them. */
export async function startPair (variant, { connections = 0, to = 'live', options = {}, profile = null } = {}) {
  const flags = ['--expose-gc', ...(profile === null ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`])]
  const [name, other] = variant.split('@')
  const server = start('server.js', [JSON.stringify({ variant: name, options })], 0, flags, others.get(other))
  const { port, path, engine } = await server.once('ready')
  const client = start('client.js', [], 1)
  // What the server expects, the client counts; when it has come, the server hears of it.
  server.on('expect', ({ messages }) => { client.call('expect', { messages }).then(() => { server.send({ event: 'expected' }) }) })
  client.on('taken', () => { server.send({ event: 'taken' }) })
  const pair = {
    variant,
    server,
    client,
    open: (count, where = to) => client.call('open', { port, path: path[where], engine, connections: count }),
    stop: async () => {
      await server.stop()
      await client.stop()
    }
  }
  if (connections > 0) await pair.open(connections)
  return pair
}
