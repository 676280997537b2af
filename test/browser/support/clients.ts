/** The clients of the table in docs/receipts.md. */
export const clientNames = ['Chromium', 'Firefox', 'ws (npm)', 'WebSocket of Node (undici)', 'websockets (Python)'] as const

export type ClientName = typeof clientNames[number]
