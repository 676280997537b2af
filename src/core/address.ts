/**
 * Whose address it is: what `limits.perAddress` counts by.
 */

/**
 * An IPv4 address, also in its IPv6 form, counts by itself. Of an IPv6 address the first 64 bits do: the rest is the
 * subscriber's own to choose (RFC 6177), and there are more of them than any limit.
 */
export function subscriberOf (address: string): string {
  if (!address.includes(':')) return address
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)
  if (mapped !== null) return mapped[1]!
  const [head = '', tail] = address.toLowerCase().split('%')[0]!.split('::')
  const groups = head === '' ? [] : head.split(':')
  if (tail !== undefined) {
    const last = tail === '' ? [] : tail.split(':')
    // A dotted end stands for two groups.
    const length = groups.length + last.length + (tail.includes('.') ? 1 : 0)
    groups.push(...Array<string>(8 - length).fill('0'), ...last)
  }
  return `${groups.slice(0, 4).map((group) => group.replace(/^0+(?=.)/, '')).join(':')}::/64`
}
