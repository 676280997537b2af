/**
 * Messages of the app's that begin as a control frame does: they get a mark before them, once for all who get them.
 */
import { Outgoing } from '../core/outgoing.js'
import { escaped } from '../protocol/frames.js'

const made = new WeakMap<Outgoing, Outgoing>()

const begins = ({ content }: Outgoing): boolean => typeof content === 'string' ? content.startsWith('\0') : content[0] === 0

/** As it goes over the wire of a session. @param message whose bytes are nobody else's */
export function escapedBy (message: Outgoing): Outgoing {
  if (message.binary || !begins(message)) return message
  let other = made.get(message)
  if (other === undefined) {
    other = new Outgoing(escaped(String(message.data)), false, message.size + 1)
    made.set(message, other)
  }
  return other
}
