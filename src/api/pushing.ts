/**
 * What an app pushes to one connection, on its way in: checked, and made a message.
 * Invariant: it throws nothing; what is wrong with it is reported, and it is counted by its result.
 */
import { isAborted, reasonOf } from '../core/aborts.js'
import { wrongOptions } from '../core/arguments.js'
import { FST_ERR_LIFELINE_INVALID_DATA } from '../core/errors.js'
import { Outgoing, toOutgoing } from '../core/outgoing.js'
import { pushOptions } from '../core/payload.js'
import type { PushOptions, PushResult } from '../core/payload.js'
import type { DeliverOptions, Delivery, Patience } from '../core/receipts.js'
import { nextTurn } from '../core/time/loop.js'
import type { Named } from '../life/journal.js'
import type { Sender } from '../life/sender.js'

/** A connection, as far as it sends. */
type To = Sender<Named>

export function push (to: To, data: unknown, options: PushOptions | undefined): PushResult {
  if (options !== undefined) {
    const wrong = wrongOptions(options, pushOptions)
    if (wrong !== null) {
      to.misused(new FST_ERR_LIFELINE_INVALID_DATA(wrong))
      to.pushed('invalid')
      return 'invalid'
    }
  }
  const message = messageOf(to, data, options)
  if (!(message instanceof Outgoing)) {
    const result = resultOf(message)
    to.pushed(result)
    return result
  }
  const result = to.send(message)
  to.pushed(result, message.size)
  return result
}

/** A push that is none while there is no room for it: null. Of what is invalid the error that says why. */
export function offer (to: To, data: unknown, options: PushOptions): PushResult | Error | null {
  const message = messageOf(to, data, options)
  if (!(message instanceof Outgoing)) {
    to.pushed(resultOf(message))
    return message
  }
  const result = to.offer(message)
  if (result !== null) to.pushed(result, message.size)
  return result
}

export async function deliver (to: To, data: unknown, patience: Patience, options: DeliverOptions): Promise<Delivery> {
  const message = messageOf(to, data, options)
  if (!(message instanceof Outgoing)) return to.notDelivered(resultOf(message))
  const { signal } = patience
  if (signal !== undefined && isAborted(signal)) {
    await nextTurn()
    throw reasonOf(signal)
  }
  return to.deliver(message, patience)
}

/** What is no message is reported. */
function messageOf (to: To, data: unknown, options: PushOptions | undefined): Outgoing | 'gone' | Error {
  if (!to.transport.open) return 'gone'
  try {
    return toOutgoing(data, options)
  } catch (error) {
    to.misused(error as Error)
    return error as Error
  }
}

const resultOf = (none: 'gone' | Error): 'gone' | 'invalid' => none === 'gone' ? none : 'invalid'
