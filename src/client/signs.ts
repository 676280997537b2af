/**
 * What says that the line may have gone, or may be back: the page is shown, the network is there again, the clock has jumped.
 */
import { world } from './world.js'

/** How often the clock is looked at, in ms; and how much later than that is a jump. */
const TICK = 1_000
const JUMP = 2_000

export interface SignsOwner {
  /** Look now. */
  woke (why: string): void
  /** The page goes. @param comesBack it may be shown again as it is */
  leaves (comesBack: boolean): void
}

/** @returns what ends it */
export function watchSigns (owner: SignsOwner): () => void {
  const { document } = world
  const woke = ({ type }: { readonly type: string }): void => { if (document?.visibilityState !== 'hidden') owner.woke(type) }
  const leaves = ({ persisted }: { readonly persisted?: boolean }): void => { owner.leaves(persisted === true) }
  let last = Date.now()
  const timer = world.setInterval(() => {
    const now = Date.now()
    const jumped = now - last > TICK + JUMP
    last = now
    if (jumped) owner.woke('clock')
  }, TICK) as { unref?: () => void }
  // It is no reason for a process to live.
  timer.unref?.()
  const listeners: Array<[typeof world | NonNullable<typeof document>, string, (event: any) => void]> = [[world, 'online', woke], [world, 'pageshow', woke], [world, 'pagehide', leaves]]
  if (document !== undefined) listeners.push([document, 'visibilitychange', woke])
  for (const [target, type, listener] of listeners) target.addEventListener?.(type, listener)
  return () => {
    world.clearInterval(timer)
    for (const [target, type, listener] of listeners) target.removeEventListener?.(type, listener)
  }
}
