/**
 * A group as the app holds it: its members here, live, and what can be sent to all of them.
 * Invariant: it keeps nobody alive, and is as good for a group that nobody has joined yet, or all have left.
 */
import { isAborted, reasonOf } from '../core/aborts.js'
import { readOptions } from '../core/arguments.js'
import { LiveSet } from '../core/live-set.js'
import { checkDeliver, outcomes } from '../core/receipts.js'
import type { DeliverOptions, Outcome, Patience } from '../core/receipts.js'
import { nextTurn } from '../core/time/loop.js'
import type { House } from '../life/house.js'
import { exceptionsOf, isOne, pushToAll, sharedOf } from './audience.js'
import type { Audience, BroadcastOptions, ExceptOptions } from './audience.js'
import { lifeOf } from './connection.js'
import type { Connection } from './connection.js'

/** Of a message for many whose arrival is waited for. */
export interface GroupDeliverOptions extends DeliverOptions, ExceptOptions {}

const forMessage = ['timeout', 'signal', 'binary']
const deliverOptions = new Set([...forMessage, 'except'])

/** The members of a group here, live: a set to look at, and to push to. */
export class Group extends LiveSet<string, Connection> {
  /** As it was given. */
  readonly name: string
  readonly #house: House<Connection>
  readonly #audience: Audience

  /** Made by the lifeline. @internal */
  constructor (house: House<Connection>, name: string) {
    const { groups } = house
    super(groups.byName, name)
    this.name = name
    this.#house = house
    this.#audience = { list: () => groups.list(name), has: (connection) => groups.has(connection, name) }
  }

  /**
   * Pushes to every member here. Returns to how many: those who are gone or full are left out, and hold nobody up. Never throws for
   * what is pushed.
   * @throws FST_ERR_LIFELINE_ARGUMENT for an `except` that is no fd and no connection (or is there and undefined), for an option that does not exist
   */
  push (data: unknown, options?: BroadcastOptions): number {
    return pushToAll(this.#house, 'push', this.#audience, data, options)
  }

  /**
   * Pushes to every member here, and waits until each has it, or its time is over: how many there are of each outcome. Never rejects for
   * what the network does: see `Outcome`; only with the reason of `signal`.
   * @throws FST_ERR_LIFELINE_ARGUMENT as `push`, and for a timeout or a signal that is none
   */
  deliver (data: unknown, options: GroupDeliverOptions = {}): Promise<Record<Outcome, number>> {
    const except = exceptionsOf('deliver', options, deliverOptions)
    const given: DeliverOptions = readOptions('deliver', options, deliverOptions, forMessage)
    return this.#deliver(data, given, checkDeliver(given), except)
  }

  async #deliver (data: unknown, options: DeliverOptions, patience: Patience, except: ReadonlySet<number> | null): Promise<Record<Outcome, number>> {
    const { signal } = patience
    if (signal !== undefined && isAborted(signal)) {
      await nextTurn()
      throw reasonOf(signal)
    }
    const message = sharedOf(this.#house, data, options)
    const deliveries: Array<Promise<{ outcome: Outcome }>> = []
    this.#house.journal.together(() => {
      for (const connection of this.#audience.list()) {
        if (!isOne(this.#audience, except, connection)) continue
        const life = lifeOf(connection)
        deliveries.push(message === null ? life.notDelivered('invalid') : life.deliver(message, patience))
      }
    })
    const counts = Object.fromEntries(outcomes.map((outcome) => [outcome, 0])) as Record<Outcome, number>
    // Who retries until somebody is there must not keep them from coming.
    if (deliveries.length === 0) await nextTurn()
    for (const { outcome } of await Promise.all(deliveries)) counts[outcome]++
    return counts
  }
}
