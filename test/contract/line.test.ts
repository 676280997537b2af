import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { createInterface } from 'node:readline'
import type { TestContext } from 'node:test'
import { Connection, lifeOf } from '../../src/api/connection.js'
import { nextFd } from '../../src/core/registry.js'
import type { Message } from '../../src/transports/transport.js'
import { assembled, call } from '../unit/assembled.js'
import { LineTransport } from './line.js'
import { contract } from './transport.js'
import type { Options, Peer, Subject } from './transport.js'

async function make (t: TestContext, { receipts, limit }: Options = {}): Promise<Subject> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [socket] = await once(server, 'connection') as [Socket]
  t.after(() => { client.destroy(); socket.destroy(); server.close() })
  client.on('error', () => {})
  const received: Message[] = []
  const peer = {
    received,
    told: null as Peer['told'],
    say: () => { throw new Error('it says nothing') },
    hold: (on: boolean) => { if (on) lines.pause(); else lines.resume() },
    vanish: () => { client.resetAndDestroy() }
  }
  const lines = createInterface(client)
  lines.on('line', (line) => {
    const { text, code, reason } = line === '' ? {} : JSON.parse(line)
    if (text !== undefined) received.push({ data: text, binary: false })
    else if (code !== undefined) peer.told = { code, reason }
  })
  const { lifeline, house } = assembled({ ...(limit !== undefined && { limit, low: limit / 4 }) })
  const transport = new LineTransport(socket)
  const connection = new Connection(house, transport, nextFd(), receipts ?? null, call)
  transport.start(lifeOf(connection))
  lifeOf(connection).begin(null)
  return { connection, lifeline, peer }
}

contract('lines', { kind: 'sse', remote: true, confirms: 'no', binary: false, reads: false, asks: false }, make)
