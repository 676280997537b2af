/**
 * A server whose upgrades are watched, with sockets that do what they are told.
 */
import { EventEmitter } from 'node:events'
import { ServerResponse } from 'node:http'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { Journal } from '../../../src/life/journal.js'
import type { Named } from '../../../src/life/journal.js'
import { Log } from '../../../src/observe/log.js'
import { Tally } from '../../../src/observe/tally.js'
import { Wheel } from '../../../src/core/time/wheel.js'
import { Upgrades } from '../../../src/plugin/upgrades.js'
import type { UpgradesJournal } from '../../../src/plugin/upgrades.js'
import { silent } from '../assembled.js'
import { Clock } from '../clock.js'

export const SLOT = 10
export const TIMEOUT = 100
export const END = 50

export class FakeSocket extends EventEmitter {
  bytesWritten: number
  destroyed = false
  writable = true
  written = ''
  read = false

  constructor (before = 0) {
    super()
    this.bytesWritten = before
  }

  write (text: string): void {
    this.written += text
    this.bytesWritten += text.length
  }

  resume (): void { this.read = true }

  destroySoon (): void { this.destroy() }

  destroy (): void {
    this.destroyed = true
    this.writable = false
  }
}

export const counting = (tally: Tally): UpgradesJournal => new Journal<Named>(tally, new Log(silent), { tell () {}, listens: () => false })

export function setUp (t: TestContext): { clock: Clock, wheel: Wheel, server: EventEmitter, tally: Tally, upgrades: Upgrades, come: (socket?: FakeSocket) => { request: IncomingMessage, socket: FakeSocket } } {
  const clock = new Clock(t)
  const wheel = new Wheel(SLOT, clock.now)
  const server = new EventEmitter()
  const tally = new Tally()
  const upgrades = new Upgrades(server, wheel, { decide: TIMEOUT, end: END }, counting(tally))
  t.after(() => { upgrades.stop(); wheel.stop() })
  const come = (socket = new FakeSocket()): { request: IncomingMessage, socket: FakeSocket } => {
    const request = { headers: { upgrade: 'WebSocket' } } as IncomingMessage
    server.emit('upgrade', request, socket, Buffer.alloc(0))
    return { request, socket }
  }
  return { clock, wheel, server, tally, upgrades, come }
}

/** A socket that an earlier response has. @param end as Node.js does when that is whole */
export function busy (): { socket: FakeSocket, end: () => void } {
  const socket = new FakeSocket()
  const response = new ServerResponse({ method: 'GET' } as IncomingMessage)
  response.assignSocket(socket as unknown as Socket)
  return { socket, end: () => { response.detachSocket(socket as unknown as Socket) } }
}
