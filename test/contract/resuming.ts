/**
 * A client that speaks the protocol, over wires in memory: what it has taken, over all of them, and what it says.
 */
import { ClientSession } from '../../src/protocol/client-session.js'
import type { ClientOwner, ClientWire, Gap } from '../../src/protocol/client-session.js'
import type { Claim } from '../../src/protocol/offer.js'
import { escaped } from '../../src/protocol/frames.js'
import type { Message } from '../../src/transports/transport.js'
import { MemoryWire } from './wire.js'

export class ResumingClient implements ClientOwner<string | Buffer> {
  readonly received: Message[] = []
  /** What has happened to its sessions. */
  readonly events: string[] = []
  readonly gaps: Array<Gap<string | Buffer> | null> = []
  readonly session = new ClientSession<string | Buffer>(this)
  wire!: MemoryWire

  /** Its side of another wire. */
  attach (): MemoryWire {
    const wire = this.wire = new MemoryWire(true)
    const end: ClientWire<string | Buffer> = {
      tell: (text) => { wire.say(text) },
      send: (data) => { wire.say(typeof data === 'string' ? escaped(data) : data) },
      close: (code) => { wire.leave(code) }
    }
    this.session.attach(end)
    let seen = 0
    wire.onTaken = () => {
      for (; seen < wire.received.length; seen++) {
        const { data } = wire.received[seen]!
        this.session.heard(end, data, data.length)
      }
    }
    return wire
  }

  /** Leaves its wire, to come back. */
  leave (): Claim | null { return this.session.leave() }

  say (data: string | Buffer): void { this.session.send(data, data.length) }

  opened (_hello: unknown, gap: Gap<string | Buffer> | null): void {
    this.events.push('open')
    this.gaps.push(gap)
  }

  resumed (): void { this.events.push('resume') }
  message (data: string | object): void { this.received.push(typeof data === 'string' ? { data, binary: false } : { data: data as Buffer, binary: true } as Message) }
  confirmed (): void {}
  missed (): void {}
  owes (): void {}
}
