/**
 * Messages that tell who they are, and what an app may do to their bytes when it believes them gone.
 * Invariant: each is made of its number, again and again, so what came can be told from what did not.
 */
import type { Betrayal, Body } from './truth-steps.js'
import { make } from './wire-payloads.js'

export interface Named {
  data: unknown
  /** As they were at the time of the call: nobody else has them. */
  bytes: Buffer
  betray: () => void
}

const nothing = (): void => {}

/** Which message that is; NaN for what has no number. */
export const numberOf = (bytes: Buffer): number => Number.parseInt(bytes.toString('latin1', 0, 12), 10)

/** @param betrayal of the bytes; strings cannot be changed, and shared memory only overwritten */
export function makeNamed (number: number, { as, length, then }: Body): Named {
  const name = `${number};`
  // One more, for elements of two bytes each.
  const { data, bytes } = make({ as, of: name, length: Math.max(length, name.length + 1) })
  if (as === 'string' || then === 'none') return { data, bytes, betray: nothing }
  if (as === 'SharedArrayBuffer' || then === 'overwritten') return { data, bytes, betray: () => { bytesOf(data).fill('!'.charCodeAt(0)) } }
  const buffer = resizable(bytes)
  return { data: viewOf(as, buffer), bytes, betray: () => { betrayers[then](buffer) } }
}

interface Resizable extends ArrayBuffer { resize (length: number): void }

/** Node has had them since 20; our library of types has not. */
function resizable (bytes: Buffer): Resizable {
  const buffer = Reflect.construct(ArrayBuffer, [bytes.length, { maxByteLength: 2 * bytes.length }]) as Resizable
  new Uint8Array(buffer).set(bytes)
  return buffer
}

function viewOf (as: Exclude<Body['as'], 'string' | 'SharedArrayBuffer'>, buffer: ArrayBuffer): unknown {
  switch (as) {
    case 'Buffer': return Buffer.from(buffer)
    case 'Uint8Array': return new Uint8Array(buffer)
    case 'Uint16Array': return new Uint16Array(buffer)
    case 'DataView': return new DataView(buffer)
    case 'ArrayBuffer': return buffer
  }
}

const bytesOf = (data: unknown): Uint8Array => ArrayBuffer.isView(data)
  ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  : new Uint8Array(data as ArrayBuffer)

const betrayers: Record<Exclude<Betrayal, 'none' | 'overwritten'>, (buffer: Resizable) => void> = {
  transferred: (buffer) => { structuredClone(buffer, { transfer: [buffer] }) },
  emptied: (buffer) => { buffer.resize(0) },
  halved: (buffer) => { buffer.resize(buffer.byteLength >> 1) },
  doubled: (buffer) => { buffer.resize(2 * buffer.byteLength) }
}

/** A Blob that is read only a moment later. */
export class SlowBlob extends Blob {
  override async arrayBuffer (): Promise<ArrayBuffer> {
    await new Promise<void>((resolve) => { setTimeout(resolve, 2) })
    return super.arrayBuffer()
  }
}

/** A Blob whose file is gone. */
export class UnreadableBlob extends Blob {
  override arrayBuffer (): Promise<ArrayBuffer> {
    return Promise.reject(new Error('this Blob cannot be read'))
  }
}
