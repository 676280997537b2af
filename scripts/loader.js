// What loads TypeScript: Node.js itself, where it strips types; tsx on Node.js 20.
export const loader = process.features.typescript === 'strip' ? new URL('strip.js', import.meta.url).href : 'tsx'
