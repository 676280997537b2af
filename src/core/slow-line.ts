/**
 * How slow a line may be: what the promises about slow peers are made of.
 * Invariant: a peer that takes SLOWEST all the time is never taken for one that takes nothing, however far its next answer is.
 */

/** The slowest line that we are patient with, in bytes per ms: 32 kbit/s. */
export const SLOWEST = 4

/**
 * What a peer has to take in within `stallTimeout`, in bytes, where nothing is seen of it until it has. In the 30 s of the
 * default the slowest line carries 117 KiB: a fifth less, for its answer takes time as well.
 */
const STRETCH = 96 * 1024

/** How long a peer may take for so many bytes, in ms. @param stallTimeout in ms: a shorter one is for faster lines */
export function patienceFor (bytes: number, stallTimeout: number): number {
  return stallTimeout * Math.max(1, bytes / STRETCH)
}

/** A ping or a few: that takes no time to speak of. In bytes. */
const FEW = 64

/** How much longer than usual an answer may take because so many bytes go before the question, in ms. */
export function extraFor (bytes: number, stallTimeout: number): number {
  return bytes <= FEW ? 0 : stallTimeout * bytes / STRETCH
}
