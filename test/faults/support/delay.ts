/**
 * A line with a long way: a TCP relay in a process of its own that passes everything on, later. (The kernel's own
 * way, netem, is a module that many kernels lack.)
 * Arguments: the port to listen on, the server's port on 127.0.0.1, the delay in each direction in ms.
 */
import { connect, createServer } from 'node:net'
import type { Socket } from 'node:net'

const [listen, upstream, delay] = process.argv.slice(2).map(Number) as [number, number, number]

function pass (from: Socket, to: Socket): void {
  from.on('data', (chunk) => { setTimeout(() => { to.write(chunk) }, delay) })
  from.on('end', () => { setTimeout(() => { to.end() }, delay) })
  from.on('error', () => { to.destroy() })
  from.on('close', () => { setTimeout(() => { to.destroy() }, delay) })
}

createServer({ allowHalfOpen: true }, (client) => {
  const server = connect({ port: upstream, host: '127.0.0.1', allowHalfOpen: true })
  pass(client, server)
  pass(server, client)
}).listen(listen, () => { process.send?.({ ready: true }) })
process.on('disconnect', () => { process.exit() })
