// How long a case is on the screen: from its first picture, as long as the page is seen. Each time it leaves the screen a reading ends.

/** Readings are told in steps of so many seconds: long enough to say nothing but that somebody looked. */
const STEP_S = 10;
/** Shorter ones are none. */
const SHORTEST_MS = 1000;
const LONGEST_S = 86_400;

export class Reading {
  /** @type {number|null} ms */
  #from = null;

  /** @param {(seconds: number) => void} told */
  constructor(told) {
    this.told = told;
    this.look = this.look.bind(this);
    document.addEventListener('visibilitychange', this.look);
    addEventListener('pagehide', this.look);
    this.look();
  }

  /** @param {Event} [event] */
  look(event) {
    const seen = document.visibilityState === 'visible' && event?.type !== 'pagehide';
    if (seen) this.#from ??= Date.now();
    else this.#end();
  }

  close() {
    document.removeEventListener('visibilitychange', this.look);
    removeEventListener('pagehide', this.look);
    this.#end();
  }

  #end() {
    const from = this.#from;
    this.#from = null;
    if (from === null || Date.now() - from < SHORTEST_MS) return;
    this.told(Math.min(LONGEST_S, Math.ceil((Date.now() - from) / 1000 / STEP_S) * STEP_S));
  }
}
