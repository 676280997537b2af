/** How long to wait before the next attempt. */

export interface Backoff {
  /** The most that the first wait may be, in ms; each further one may be twice as long. */
  readonly min: number
  /** And the most that any may be, in ms. */
  readonly max: number
}

/** Full jitter: any time up to the bound, so that those who were cut together do not come back together. @param attempts how many have failed in a row */
export const backoff = (attempts: number, { min, max }: Backoff, random: () => number = Math.random): number => random() * Math.min(max, min * 2 ** attempts)

/** When the server has said to come back, in ms; undefined: it has not. */
export function toldBy (reason: string): number | undefined {
  const [, ms] = /^retry: (\d{1,9})$/.exec(reason) ?? []
  return ms === undefined ? undefined : Number(ms)
}
