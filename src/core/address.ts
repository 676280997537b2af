/**
 * Whose address it is: what `limits.perAddress` counts by.
 */
/** As some proxies write it into X-Forwarded-For: with the port that the client came from. */
const WITH_PORT = /^(?:\[([^\]]*)\](?::\d+)?|(\d+\.\d+\.\d+\.\d+):\d+)$/

/**
 * An IPv4 address, also in its IPv6 forms, counts by itself. Of an IPv6 address the first 64 bits do: the rest is the
 * subscriber's own to choose (RFC 6177), and there are more of them than any limit. What is no address is what it is:
 * it may have been written by the client. Takes any string.
 */
export function subscriberOf (written: string): string {
  const [, bracketed, dotted] = WITH_PORT.exec(written) ?? []
  const address = bracketed ?? dotted ?? written
  // A zone (fe80::1%eth0) is the host's own.
  const host = `http://[${address.split('%')[0]!}]`
  if (!/^[\da-f]*:[\da-f:.]*$/i.test(host.slice(8, -1)) || !URL.canParse(host)) return address
  // URL writes an address in one form: the shortest, in lower case, without dots.
  const [head, tail] = new URL(host).hostname.slice(1, -1).split('::') as [string, string?]
  const groups = head === '' ? [] : head.split(':')
  const last = tail === undefined || tail === '' ? [] : tail.split(':')
  groups.push(...Array<string>(8 - groups.length - last.length).fill('0'), ...last)
  if (groups.slice(0, 6).join(':') === '0:0:0:0:0:ffff') return dot(groups.slice(6))
  return `${groups.slice(0, 4).join(':')}::/64`
}

/** Two groups of an IPv6 address as an IPv4 address. */
function dot (groups: string[]): string {
  return groups.map((group) => Number.parseInt(group, 16)).flatMap((bits) => [bits >> 8, bits & 0xff]).join('.')
}
