// What can wait while a case is opened: on a slow link its pictures would share the line with what nobody waits for.

/** Who has not all pictures by then hears of the rest all the same, ms. */
const HELD_MS = 10_000;

let free = Promise.resolve();
/** @type {(() => void)|null} */
let end = null;
let timer = 0;

/** The line is for a case from now on. */
export function hold() {
  clearTimeout(timer);
  timer = setTimeout(release, HELD_MS);
  if (!end) free = new Promise((resolve) => { end = resolve; });
}

/** Its stack can be scrolled through, or nobody looks at it any more. */
export function release() {
  clearTimeout(timer);
  end?.();
  end = null;
}

/** When the line is free. @returns {Promise<void>} */
export const later = () => free;
