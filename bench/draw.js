/**
 * The results as a picture: one bar a variant, CPU per message, the baseline being 1.
 * Invariant: nothing is drawn that is not in the results.
 */
const SHOWN = ['push-10', 'push-200', 'push-2000', 'broadcast-1', 'broadcast-10', 'broadcast-200', 'echo']
const NAMES = { ws: '@fastify/websocket', cork: 'the same, corked by hand', 'socket.io': 'Socket.IO', lifeline: 'fastify-lifeline' }
const BAR = 14
const LEFT = 290
const WIDTH = 900

const escape = (text) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;')

export function draw ({ figures, machine }) {
  const rows = SHOWN.map((name) => figures.find((row) => row.name === name)).filter(Boolean)
  const longest = Math.max(...rows.flatMap(({ variants }) => Object.values(variants).map(({ median }) => median / variants.ws.median)))
  const scale = (WIDTH - LEFT - 90) / longest
  const parts = []
  let y = 56
  for (const { title, variants } of rows) {
    parts.push(`<text class="title" x="${LEFT - 12}" y="${y + 2 * BAR}" text-anchor="end">${escape(title)}</text>`)
    for (const [name, { median }] of Object.entries(variants)) {
      const width = Math.max(1, median / variants.ws.median * scale)
      parts.push(`<rect class="${name.replace('.', '')}" x="${LEFT}" y="${y}" width="${width.toFixed(1)}" height="${BAR - 3}" rx="2"/>`,
        `<text class="value" x="${(LEFT + width + 6).toFixed(1)}" y="${y + BAR - 5}">${median.toFixed(2)} µs</text>`)
      y += BAR
    }
    y += 14
  }
  let x = 16
  const legend = Object.entries(NAMES).map(([name, label]) => {
    const item = `<rect class="${name.replace('.', '')}" x="${x}" y="20" width="12" height="12" rx="2"/><text x="${x + 18}" y="30">${label}</text>`
    x += 40 + label.length * 7.2
    return item
  })
  const height = y + 24
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-labelledby="title desc">
<title id="title">CPU per message of the server process</title>
<desc id="desc">${escape(rows.map(({ title, variants }) => `${title}: ${Object.entries(variants).map(([name, { median }]) => `${NAMES[name]} ${median.toFixed(2)} µs`).join(', ')}`).join('. '))}</desc>
<style>
text { font: 13px system-ui, sans-serif; fill: #57606a }
.value { font-size: 11px }
.ws { fill: #8c959f } .cork { fill: #afb8c1 } .socketio { fill: #bf8700 } .lifeline { fill: #1a7f37 }
@media (prefers-color-scheme: dark) { text { fill: #9198a1 } .ws { fill: #6e7681 } .cork { fill: #484f58 } .lifeline { fill: #3fb950 } .socketio { fill: #d29922 } }
</style>
${legend.join('\n')}
${parts.join('\n')}
<text class="value" x="16" y="${height - 8}">CPU of the server per 64-byte message, bars in proportion to @fastify/websocket; Node.js ${machine.node}, ${escape(machine.cpu)}, ${machine.date}</text>
</svg>
`
}
