/**
 * Whose address it is: what `limits.perAddress` counts by.
 * Invariant: one address has one subscriber, however it is written. Takes any string, for a client may have written it.
 */
import ipaddr from 'ipaddr.js'

/** As some proxies write it into X-Forwarded-For: in brackets, or with the port that the client came from. */
const WITH_PORT = /^(?:\[([^\]]*)\](?::\d+)?|(\d+\.\d+\.\d+\.\d+):\d+)$/

const DOTTED_END = /^(.*:)([\d.]+)$/

/** No address is longer, with its brackets, its zone and a port: what is, is not even looked at. */
const LONGEST = 100

/**
 * An IPv4 address, also in its IPv6 forms, counts by itself. Of an IPv6 address the first 64 bits do: the rest is the
 * subscriber's own to choose (RFC 6177), and there are more of them than any limit. null: it is no address.
 */
export function subscriberOf (written: string): string | null {
  if (written.length > LONGEST) return null
  const [, bracketed, dotted] = WITH_PORT.exec(written) ?? []
  // A zone (fe80::1%eth0) is the host's own.
  const address = (bracketed ?? dotted ?? written).split('%')[0]!
  // Not the short and octal forms of inet_aton(), which a reader may take for another address.
  if (ipaddr.IPv4.isValidFourPartDecimal(address)) return address
  const spelled = spell(address)
  if (spelled === null || !ipaddr.IPv6.isValid(spelled)) return null
  const parsed = ipaddr.IPv6.parse(spelled)
  if (parsed.isIPv4MappedAddress()) return parsed.toIPv4Address().toString()
  return `${parsed.parts.slice(0, 4).map((bits) => bits.toString(16)).join(':')}::/64`
}

/**
 * An IPv6 address without dots (ipaddr.js takes `::1.2.3.4` for another than `::102:304`); null: what is dotted in it is no IPv4 address.
 */
function spell (address: string): string | null {
  const [, head, tail] = DOTTED_END.exec(address) ?? []
  if (tail?.includes('.') !== true) return address
  if (!ipaddr.IPv4.isValidFourPartDecimal(tail)) return null
  const [a, b, c, d] = ipaddr.IPv4.parse(tail).octets as [number, number, number, number]
  return `${head}${(a << 8 | b).toString(16)}:${(c << 8 | d).toString(16)}`
}
