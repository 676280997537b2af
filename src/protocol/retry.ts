/**
 * When clients shall come back. Told in the reason of the close frame, in the words of server-sent events
 * (`retry:` and ms), so that those who were told to go together do not return together.
 */

/** `retry: 4213`; empty where no time is to be told. @param delay in ms */
export const retryReason = (delay: number): string => delay > 0 ? `retry: ${Math.ceil(delay)}` : ''

/** Any time from 0 to `spread`, in ms. */
export const someTime = (spread: number): number => Math.random() * spread
