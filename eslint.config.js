import neostandard from 'neostandard'

export default [
  ...neostandard({ ts: true, ignores: ['dist', 'coverage', 'reference'] }),
  {
    files: ['src/**/*.ts'],
    // `return this.#x ??= …` is how what is costly is made on first use.
    rules: { 'no-console': 'error', 'no-return-assign': 'off' }
  }
]
