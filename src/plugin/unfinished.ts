/**
 * What ws may hold of a message that is not whole yet. limits.payload counts its bytes alone; but ws keeps a fragment as a view of
 * the 64 KiB that it came in, and what came of a frame in Buffers of some 300 bytes each: pongs between fragments of one byte, or a
 * byte a segment, make hundreds of MiB of that.
 * Invariant: what the app has chosen is kept, and nothing is looser than ws has it.
 */

/** ws's own defaults: a value that differs from them was chosen by the app. */
export const PARTS_DEFAULT = { maxFragments: 16 * 1024, maxBufferedChunks: 256 * 1024 }

/** ws's limits of parts. */
export type Parts = typeof PARTS_DEFAULT

/** Of a message of the largest size: whoever sends it in fragments that are no smaller gets it through, one more at the end included. In bytes. */
const FRAGMENT = 4 * 1024
/** Segments are larger. In bytes. */
const CHUNK = 32

/** With so many a small message may come in any way: 4 MiB at the most. */
const FRAGMENTS_MIN = 64
const CHUNKS_MIN = 1024

/** For messages of at most that many bytes; 0 or Infinity: of any size, as ws has it. */
export function partsOf (payload: number): Parts {
  const size = payload > 0 ? payload : Infinity
  return {
    maxFragments: Math.min(PARTS_DEFAULT.maxFragments, Math.max(FRAGMENTS_MIN, Math.ceil(size / FRAGMENT) + 1)),
    maxBufferedChunks: Math.min(PARTS_DEFAULT.maxBufferedChunks, Math.max(CHUNKS_MIN, Math.ceil(size / CHUNK)))
  }
}
