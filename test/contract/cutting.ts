/**
 * A relay that cuts its connections where it is told to: after so many bytes up, or down.
 */
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import type { TestContext } from 'node:test'

/** After how many bytes a connection is cut. */
export interface Cut { readonly up?: number, readonly down?: number }

export interface Relay {
  readonly port: number
  readonly cuts: number
  /** What is open passes nothing any more, and nobody is told. */
  hold (): void
}

/** @param next gives the cut of each connection, in their order */
export async function relay (t: TestContext, to: number, next: (nth: number) => Cut): Promise<Relay> {
  const sockets = new Set<Socket>()
  let [nth, cuts, held] = [0, 0, 0]
  const server = createServer((client) => {
    const there = connect(to, '127.0.0.1')
    const mine = nth++
    const { up = Infinity, down = Infinity } = next(mine)
    let over = false
    const cut = (): void => {
      if (over) return
      over = true
      cuts++
      // One of both by a RST.
      client.resetAndDestroy()
      there.destroy()
    }
    const pass = (from: Socket, other: Socket, most: number): void => {
      let left = most
      sockets.add(from)
      from.on('error', () => {})
      from.on('close', () => {
        sockets.delete(from)
        other.destroySoon()
      })
      from.on('data', (chunk) => {
        if (over || mine < held) return
        const part = chunk.subarray(0, left)
        left -= part.length
        if (left > 0) other.write(part)
        // What is behind it has not been sent; what is before it has.
        else other.write(part, cut)
      })
    }
    pass(client, there, up)
    pass(there, client, down)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(async () => {
    for (const socket of sockets) socket.destroy()
    server.close()
    await once(server, 'close')
  })
  return { port: (server.address() as AddressInfo).port, get cuts () { return cuts }, hold () { held = nth } }
}
