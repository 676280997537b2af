/**
 * What came, and what has to come, as lines that can be compared and printed.
 */
import { createHash } from 'node:crypto'

/** Of more bytes than that a line has the SHA-256. */
export const FEW = 256

export const line = (kind: string, length: number, body: string): string => `${kind} ${length} ${body}`

export function lineOf (kind: string, data: Buffer): string {
  return line(kind, data.length, data.length <= FEW ? data.toString('base64') : createHash('sha256').update(data).digest('hex'))
}

/** What a client says at its end, after all that came. */
export const endLine = (code: number, reason: string): string => `closed ${code} ${reason}`
