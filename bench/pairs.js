/**
 * Two revisions measured round by round: what the ratio of the second to the first is, and how sure that is.
 * Nothing is measured here.
 */

const sorted = (list) => list.toSorted((a, b) => a - b)

/** How likely it is that at most k of n coins fall heads. */
function atMost (k, n) {
  let one = 0.5 ** n
  let sum = one
  for (let i = 1; i <= k; i++) {
    one *= (n - i + 1) / i
    sum += one
  }
  return sum
}

/**
 * The median, and the interval that holds it with at least 95 %: between the k-th least and the k-th largest. It supposes
 * nothing of how the values are spread (each is above the true median as likely as below it), and is the same each time.
 * @returns sure: whether there are enough values for 95 %: six
 */
export function medianOf (values) {
  const list = sorted(values)
  const n = list.length
  const half = n >> 1
  let k = 0
  while (k + 1 <= half && 2 * atMost(k, n) <= 0.05) k++
  return {
    median: n % 2 === 1 ? list[half] : (list[half - 1] + list[half]) / 2,
    from: list[Math.max(0, k - 1)],
    to: list[n - Math.max(1, k)],
    sure: k > 0
  }
}

/** Each round's ratio: this to that. */
export const ratios = (these, those) => these.map((value, i) => value / those[i])

/** A row is no worse if its ratio lies below this for certain. */
export const WORSE = 1.05

export function verdictOf ({ from, to, sure }) {
  if (!sure) return 'too few rounds'
  if (to < WORSE) return to < 1 ? 'better' : 'no worse'
  return from >= WORSE ? 'WORSE' : 'NOT CERTAIN'
}
