/**
 * How one kind of wire puts messages into bytes: the writer of a stream knows that, and nothing of frames, lines or events.
 */
import type { Outgoing, Parts } from '../../core/outgoing.js'
import type { Batches } from './batch.js'

/**
 * What a stream is given at a time, in bytes of payload. A longer message leaves in parts of about that size, so that what keeps
 * the wire alive can go in between.
 */
export const HAND_OVER = 64 * 1024

/** The most that an encoding adds to so many bytes in a part, in bytes. */
export const HEADER_MAX = 10

/** What leaves together takes no more than that, in bytes: a whole part with what its encoding adds. */
export const PART_MAX = HAND_OVER + HEADER_MAX

/** What a message that waits by itself costs beside its bytes, in bytes. It counts as much, or empty ones would have no bound. */
export const EACH = 128

/** A message, as far as its bytes depend on it. */
export type Content = Pick<Outgoing, 'content' | 'binary' | 'size'>

/** The same object for all wires of a kind. */
export interface Encoding {
  /** What leaves together for many of the kind. */
  readonly batches: Batches
  /** How many bytes a message takes in one part. */
  lengthOf (message: Content): number
  /** Writes it there in one part, and gives back where that ends. */
  write (target: Buffer, at: number, message: Content): number
  /** Its bytes, copied, in parts of at most PART_MAX: an array, or, if there is only one, that. */
  partsOf (message: Content): Parts
}
