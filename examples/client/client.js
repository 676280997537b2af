/**
 * A WebSocket that comes back, for pages and for Node.js 22: as long as the server says, else after longer and longer, and
 * never where it was told to stay away. Messages that were lost in between are your app's to ask for again.
 *
 * @param {string} url
 * @param {{ message: (data: any, socket: WebSocket) => void, open?: (socket: WebSocket) => void, end?: (code: number, reason: string) => void, silence?: number }} on
 * `end`: it does not come back (with 4401: get fresh credentials, and call again). `silence`, in ms: a line on which nothing was
 * heard for so long is given up (only where the server sends something more often; a page sees no pings).
 * @returns {() => void} ends it
 */
export function connect (url, { message, open, end, silence = 0 }) {
  let socket; let timer; let attempts = 0

  function dial () {
    const mine = socket = new WebSocket(url)
    let watch; let openedAt = Infinity
    const heard = () => { clearTimeout(watch); if (silence > 0) watch = setTimeout(lost, silence, { code: 1006, reason: '' }) }
    const lost = ({ code, reason }) => {
      clearTimeout(watch)
      mine.onopen = mine.onmessage = mine.onclose = null // a dead line tells of its close long after it was given up
      mine.close()
      const isFinal = [1000, 1002, 1003, 1007, 1008, 1010].includes(code) || (code >= 3500 && code <= 4999)
      if (isFinal) return end?.(code, reason)
      if (Date.now() - openedAt > 10_000) attempts = 0 // one that is let in and thrown out at once waits longer each time
      const told = /^retry: (\d+)$/.exec(reason)
      timer = setTimeout(dial, told ? Number(told[1]) : Math.random() * Math.min(30_000, 1000 * 2 ** attempts++))
    }
    mine.onopen = () => { openedAt = Date.now(); heard(); open?.(mine) }
    mine.onmessage = ({ data }) => { heard(); message(data, mine) }
    mine.onclose = lost
  }

  dial()
  return () => { clearTimeout(timer); socket.onclose?.({ code: 1000, reason: '' }) }
}
