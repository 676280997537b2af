/**
 * What a process keeps, measured after a full garbage collection.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc') as () => void

/** Lets go of all that nobody holds; what needs a turn of the loop for that as well. */
export async function collect (): Promise<void> {
  for (let i = 0; i < 4; i++) {
    gc()
    await new Promise(setImmediate)
  }
}

/** In bytes: the heap, and what lies beside it. */
export async function memory (): Promise<number> {
  await collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** How many bytes each of those that are made keeps; the loop turns after every hundred. @param make is given the number of each */
export async function bytesEach (count: number, make: (i: number) => void): Promise<number> {
  const before = await memory()
  for (let i = 0; i < count; i++) {
    make(i)
    if (i % 100 === 99) await new Promise(setImmediate)
  }
  return (await memory() - before) / count
}
