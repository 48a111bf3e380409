// Two series of one patient side by side: scrolled as one where they lie alike, and each shows where the other one's slice cuts it.
import { put, said } from '../dom.js';
import { t } from '../texts.js';
import { isOfOnePatient, lossWords } from './banner.js';
import { crossing, isLinked, nearest } from './planes.js';

/** @typedef {import('./pane.js').Pane} Pane */
/** @typedef {import('./stack.js').Stack} Stack */

/** There is room for two only where a telephone lies on its side. */
const ROOM = '(orientation: landscape)';

export class Pair {
  /** Beside the pane that is acted on. @type {Pane|null} */
  other = null;

  /** Whether the doctor said that there be two, or one. */
  #isChosen = false;

  /** @param {{pictures: import('./pictures.js').Pictures, pane: () => Pane, make: (stack: Stack) => Pane, arranged: () => Stack|undefined, changed: () => void}} around arranged: the series that is to
   * stand beside the other one */
  constructor(around) {
    this.around = around;
    this.room = matchMedia(ROOM);
    this.turned = () => {
      if (!this.room.matches) this.close();
      else this.arrange();
      this.follow();
      this.around.changed();
    };
    this.room.addEventListener('change', this.turned);
  }

  /** Series that may stand beside this one: nobody must take one patient for another. */
  get #candidates() {
    const { stack } = this.around.pane(), { stacks } = this.around.pictures, at = stacks.indexOf(stack);
    return [...stacks.slice(at + 1), ...stacks.slice(0, at)].filter((other) => isOfOnePatient(stack.series, other.series));
  }

  get isPossible() {
    return this.room.matches && this.#candidates.length > 0;
  }

  toggle() {
    const [stack] = this.#candidates;
    this.#isChosen = true;
    if (this.other) this.close();
    else if (stack && this.isPossible) this.other = this.around.make(stack);
    this.follow();
    this.around.changed();
  }

  /** Two at once, where that is arranged and the doctor did not choose. */
  arrange() {
    const stack = this.#isChosen || this.other ? undefined : this.around.arranged();
    if (!stack || !this.room.matches || !this.#candidates.includes(stack)) return;
    this.other = this.around.make(stack);
    this.follow();
    this.around.changed();
  }

  /** Whether a series can come in place of the one that is acted on. @param {Stack} stack */
  takes(stack) {
    return !this.other || isOfOnePatient(stack.series, this.other.stack.series);
  }

  /** The other pane is acted on from now on. @param {Pane} left the one that was until now */
  swap(left) {
    this.other = left;
  }

  /** The other series goes where this one is, if it can, and both say so. @returns {boolean} whether it moved */
  follow() {
    const pane = this.around.pane(), { other, around: { pictures } } = this;
    if (!other) {
      put(pane.title, '');
      pane.canvas.setAttribute('aria-label', t('picture'));
      return false;
    }
    const before = other.place;
    const slices = other.stack.frames.map((frame) => pictures.geometry(other.stack, frame));
    const found = pane.frame && isLinked(pane.geometry, other.geometry) ? nearest(pane.geometry, pane.frame.layout, slices, other.place) : null;
    if (found) other.place = found.place;
    const link = !found ? t('not linked') : found.here ? t('linked') : t('no slice here', Math.round(found.away));
    for (const one of [pane, other]) {
      const { name } = one.stack;
      one.title.replaceChildren(said(name), ...[lossWords(one.stack.series, one.geometry), link].filter((words) => words).map((words) => `\n${words}`));
      one.canvas.setAttribute('aria-label', `${t('picture')}: ${name}`);
      one.ask();
    }
    return other.place !== before;
  }

  /** Where the slice beside it cuts the one of this pane. @param {Pane} pane */
  cut(pane) {
    const { other } = this, beside = pane === other ? this.around.pane() : other;
    return other && beside?.frame && pane.frame ? crossing(pane.geometry, pane.frame.layout, beside.geometry, beside.frame.layout) : null;
  }

  close() {
    this.other?.close();
    this.other?.element.remove();
    this.other = null;
  }

  end() {
    this.room.removeEventListener('change', this.turned);
    this.close();
  }
}
