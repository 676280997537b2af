/**
 * The messages of a route that has a schema: each is parsed and validated as it is read, and not sooner.
 * Invariant: a reader gets what fits, in order, and nothing else. What does not fit ends the connection, or is answered by the app's own
 * `onInvalid`, for which the reader waits; until it is its turn it costs no more than what it came in.
 */
import type { MessageParser } from '../core/parser.js'
import type { Named } from '../life/journal.js'
import type { Life } from '../life/life.js'
import type { Message } from '../transports/transport.js'

/** A message of a route with a schema: as it came, and what it says. @typeParam T what fits the schema */
export interface ParsedMessage<T = unknown> {
  /** As it is when the schema has been applied: with its defaults, and coerced, where the validator does that. */
  readonly value: T
  /** The text, as it came. */
  readonly data: string
  /** A binary message does not fit. */
  readonly binary: false
}

/** @param messages as they come @typeParam T what the app holds of the connection */
export function parsed<T extends Named> (messages: AsyncIterableIterator<Message>, parser: MessageParser, connection: T, life: Life<T>): AsyncIterableIterator<Message> {
  const { run } = life
  const { onInvalid } = parser
  let over = false
  const stop = async (): Promise<IteratorResult<Message>> => {
    over = true
    await messages.return?.()
    return { done: true, value: undefined }
  }
  const next = async (): Promise<IteratorResult<Message>> => {
    for (;;) {
      if (over) return { done: true, value: undefined }
      const { done, value: message } = await messages.next() as IteratorResult<Message, undefined>
      if (done === true) return { done, value: undefined }
      try {
        const result = parser.parse(message.data)
        if (!(result instanceof Error)) return { done: false, value: result }
        life.invalid(result.message, onInvalid === null)
        if (onInvalid === null) return await stop()
        // Also behind the end: never two at a time.
        await onInvalid(connection, result, message)
      } catch (error) {
        // The validator is the app's, and so is `onInvalid`.
        run.failed(error)
        return await stop()
      }
    }
  }
  // Calls that overlap are answered in their order.
  let last: Promise<unknown> = Promise.resolve()
  return {
    next: () => (last = last.then(next)) as Promise<IteratorResult<Message>>,
    return: stop,
    [Symbol.asyncIterator] () { return this }
  }
}
