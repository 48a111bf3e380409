// What a finger does, windows to choose from, and the menu of how a picture is seen.
import { h } from '../dom.js';
import { t } from '../texts.js';
import { inverted, mirrored, turned } from './presentation.js';
import { PRESETS, presetOf } from './window.js';

/** @typedef {import('./pane.js').Pane} Pane */
/** @typedef {import('./window.js').Window} Window */
/** @typedef {'scroll'|'window'|'measure'} Tool */
/** @typedef {{pane: () => Pane, measuring: () => import('./measuring.js').Measuring|null, pair: import('./pair.js').Pair, planes: {possible: () => boolean, open: () => boolean, toggle: () => void}, nextKey: () => void, help: () => void, window: (window: Window|null) => void}} Hands */

export class Toolbar {
  /** @type {Tool} */
  tool = 'scroll';
  element = h('div', { class: 'tools', role: 'toolbar', 'aria-label': t('tools') });
  menu = h('div', { class: 'menu', id: 'view-menu', role: 'group', 'aria-label': t('tool view'), hidden: true });

  /** The window that is pressed: a name, `as sent`, or of nobody's making. @type {string} */
  #shown = '';

  /** @param {Hands} hands */
  constructor(hands) {
    this.hands = hands;
  }

  get #pressed() {
    const { windows, stack, place } = this.hands.pane(), chosen = windows.chosen(stack, place);
    return chosen ? presetOf(chosen)?.name ?? '' : 'as sent';
  }

  /** Whether another window is pressed than the one that is seen: headers tell late what its values are. */
  get isStale() {
    return this.#pressed !== this.#shown;
  }

  /** What is pressed, and what there is for this series. */
  show() {
    const pane = this.hands.pane(), measuring = this.hands.measuring(), { keys } = pane.stack, shown = this.#pressed, { activeElement } = document;
    const focused = this.element.contains(activeElement) || this.menu.contains(activeElement) ? activeElement?.getAttribute('aria-keyshortcuts') : null;
    this.#shown = shown;
    const tool = (/** @type {Tool} */ name, words = t(`tool ${name}`)) =>
      h('button', { 'aria-pressed': pressed(this.tool === name), 'aria-keyshortcuts': name[0], class: 'tool', click: () => { this.tool = name; this.show(); } }, words);
    const open = h('button', { class: 'tool', 'aria-expanded': pressed(!this.menu.hidden), 'aria-controls': 'view-menu', 'aria-keyshortcuts': 'v', click: () => { this.menu.hidden = !this.menu.hidden; this.show(); } }, t('tool view'));
    const help = h('button', { class: 'tool help', 'aria-label': t('keys'), 'aria-keyshortcuts': '?', 'aria-haspopup': 'dialog', click: () => this.hands.help() }, '?');
    const presets = pane.stack.series.modality !== 'CT' ? [] : [...new Set([...pane.pictures.hanging.offered(pane.stack), ...PRESETS])].map(({ name, center, width }, at) =>
      h('button', { class: 'chip', 'aria-keyshortcuts': at + 1, 'aria-pressed': pressed(shown === name), click: () => this.hands.window({ center, width }) }, t(name)));
    const key = keys.size > 0 ? [h('button', { class: 'chip key', 'aria-keyshortcuts': 'k', click: () => this.hands.nextKey() }, `★ ${t('key images')}`)] : [];
    this.element.replaceChildren(tool('scroll'), tool('window'), ...(measuring && !this.hands.planes.open() ? [tool('measure', measuring.name)] : []), open, help,
      h('div', { class: 'chips' }, ...key, h('button', { class: 'chip', 'aria-keyshortcuts': 0, 'aria-pressed': pressed(shown === 'as sent'), click: () => this.hands.window(null) }, t('as sent')), ...presets));
    this.menu.replaceChildren(...this.#menu(pane));
    // Who goes through them by the keyboard stays where he was.
    if (focused) [this.element, this.menu].flatMap((one) => [...one.querySelectorAll('button')]).find((one) => one.getAttribute('aria-keyshortcuts') === focused)?.focus();
    measuring?.show();
  }

  /** @param {Pane} pane */
  #menu(pane) {
    const act = (/** @type {string} */ name, /** @type {string} */ sign, /** @type {string} */ key, /** @type {typeof turned} */ next) =>
      h('button', { class: 'chip', 'aria-keyshortcuts': key, 'aria-label': t(`${name} hint`), click: () => pane.present(next(pane.presentation)) }, h('span', { 'aria-hidden': 'true' }, sign), t(name));
    const colour = !!pane.geometry?.palette || pane.stack.frames.some(({ layout }) => layout.samples > 1);
    const invert = colour ? [] : [act('invert', '◐', 'i', inverted)];
    // Planes stand as they lie in the patient, and there is room for one series of them.
    if (this.hands.planes.open()) return [...invert, ...this.#planes()];
    return [act('turn', '↻', 'r', turned), act('mirror', '⇋', 'x', mirrored), ...invert, ...this.#pair(), ...this.#planes()];
  }

  #planes() {
    const { possible, open, toggle } = this.hands.planes;
    if (!possible()) return [];
    return [h('button', { class: 'chip', 'aria-keyshortcuts': 'p', 'aria-label': t('planes hint'), 'aria-pressed': pressed(open()), click: toggle }, h('span', { 'aria-hidden': 'true' }, '⊞'), t('planes'))];
  }

  #pair() {
    const { pair } = this.hands;
    if (!pair.isPossible) return [];
    return [h('button', { class: 'chip', 'aria-keyshortcuts': 'd', 'aria-label': t('pair hint'), 'aria-pressed': pressed(!!pair.other), click: () => pair.toggle() }, h('span', { 'aria-hidden': 'true' }, '◫'), t('pair'))];
  }
}

/** @param {boolean} on */
const pressed = (on) => (on ? 'true' : 'false');
