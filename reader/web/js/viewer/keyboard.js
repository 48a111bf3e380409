// Keys of a viewer on a desk. What a button on the screen does has its key there (`aria-keyshortcuts`), so that keys do what is offered and nothing else. Keys that type something can be
// switched off (WCAG 2.1.4).

/** @typedef {import('./viewer.js').Viewer} Viewer */

const OFF = 'keys off';
/** Images, or planes. @type {Record<string, number>} */
export const STEPS = { ArrowDown: 1, ArrowUp: -1, ArrowRight: 1, ArrowLeft: -1, PageDown: 10, PageUp: -10, Home: -1e6, End: 1e6 };
const ZOOM = 1.25;

export class Keyboard {
  /** @param {Viewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    this.pressed = this.pressed.bind(this);
    addEventListener('keydown', this.pressed);
  }

  get isOff() {
    return localStorage.getItem(OFF) !== null;
  }

  set isOff(off) {
    if (off) localStorage.setItem(OFF, '1');
    else localStorage.removeItem(OFF);
  }

  /** @param {KeyboardEvent} event */
  pressed(event) {
    const { target, key } = event, isRange = target instanceof HTMLInputElement && target.type === 'range';
    // Held a moment too long, a key must not turn a picture twice.
    if (event.repeat && !(key in STEPS) && !'+=-'.includes(key)) return;
    if (event.metaKey || event.ctrlKey || event.altKey || event.defaultPrevented || this.viewer.element.hidden || document.querySelector('dialog[open]')) return;
    if ((target instanceof HTMLInputElement && !isRange) || target instanceof HTMLTextAreaElement) return;
    // A button or summary that has the focus is pressed by the blank, and the slider moves by its own keys.
    if (key === ' ' ? target instanceof HTMLElement && target.closest('button, summary, a') : isRange && key in STEPS) return;
    if (!(key in STEPS ? this.#go(STEPS[key] ?? 0) : !this.isOff && this.#act(key === ' ' ? 'Space' : key.toLowerCase()))) return;
    event.preventDefault();
  }

  /** @param {number} images */
  #go(images) {
    this.viewer.show(this.viewer.pane.place + images);
    return true;
  }

  /** @param {string} key @returns {boolean} whether it does something */
  #act(key) {
    if (key.length > 1 && key !== 'Space') return false;
    const { viewer, viewer: { pane, pictures: { stacks }, mpr } } = this;
    if (key === 'n' || key === 'b') {
      const next = stacks[stacks.indexOf(pane.stack) + (key === 'n' ? 1 : -1)];
      if (next) viewer.open(next);
      return !!next;
    }
    if ('+=-z'.includes(key) && !mpr) {
      pane.zoom(key === 'z' ? null : key === '-' ? 1 / ZOOM : ZOOM);
      return true;
    }
    // What is offered now.
    viewer.toolbar.show();
    const button = [...viewer.element.querySelectorAll('button[aria-keyshortcuts]')].find((one) => one.getAttribute('aria-keyshortcuts') === key);
    if (button instanceof HTMLElement && button.hidden) return false;
    if (button instanceof HTMLElement) button.click();
    return !!button;
  }

  /** The panel that lists them comes when it is asked for. */
  async help() {
    const { help } = await import('./help.js');
    if (this.viewer.element.isConnected) help(this);
  }

  close() {
    removeEventListener('keydown', this.pressed);
  }
}
