// What a finger does, windows to choose from, and the menu of how a picture is seen.
import { h } from '../dom.js';
import { t } from '../texts.js';
import { inverted, mirrored, turned } from './presentation.js';
import { PRESETS } from './window.js';

/** @typedef {import('./pane.js').Pane} Pane */
/** @typedef {import('./window.js').Window} Window */
/** @typedef {'scroll'|'window'|'measure'} Tool */
/** @typedef {{pane: () => Pane, measuring: () => import('./measuring.js').Measuring|null, pair: import('./pair.js').Pair, planes: {possible: () => boolean, open: () => boolean, toggle: () => void}, nextKey: () => void, window: (window: Window|null) => void}} Hands */

export class Toolbar {
  /** @type {Tool} */
  tool = 'scroll';
  element = h('div', { class: 'tools', role: 'toolbar', 'aria-label': t('tools') });
  menu = h('div', { class: 'menu', id: 'view-menu', role: 'group', 'aria-label': t('tool view'), hidden: true });

  /** @param {Hands} hands */
  constructor(hands) {
    this.hands = hands;
  }

  /** What is pressed, and what there is for this series. */
  show() {
    const pane = this.hands.pane(), measuring = this.hands.measuring(), { series, keys } = pane.stack, own = pane.windows.own(pane.stack);
    const tool = (/** @type {Tool} */ name) =>
      h('button', { 'aria-pressed': pressed(this.tool === name), class: 'tool', click: () => { this.tool = name; this.show(); } }, t(`tool ${name}`));
    const open = h('button', { class: 'tool', 'aria-expanded': pressed(!this.menu.hidden), 'aria-controls': 'view-menu', click: () => { this.menu.hidden = !this.menu.hidden; this.show(); } }, t('tool view'));
    const presets = series.modality !== 'CT' ? [] : PRESETS.map(({ name, center, width }) =>
      h('button', { class: 'chip', 'aria-pressed': pressed(own?.center === center && own.width === width), click: () => this.hands.window({ center, width }) }, t(name)));
    const key = keys.size > 0 ? [h('button', { class: 'chip key', click: () => this.hands.nextKey() }, `★ ${t('key images')}`)] : [];
    this.element.replaceChildren(tool('scroll'), tool('window'), ...(measuring && !this.hands.planes.open() ? [tool('measure')] : []), open,
      h('div', { class: 'chips' }, ...key, h('button', { class: 'chip', 'aria-pressed': pressed(!own), click: () => this.hands.window(null) }, t('as sent')), ...presets));
    this.menu.replaceChildren(...this.#menu(pane));
    measuring?.show();
  }

  /** @param {Pane} pane */
  #menu(pane) {
    const act = (/** @type {string} */ name, /** @type {string} */ sign, /** @type {typeof turned} */ next) =>
      h('button', { class: 'chip', 'aria-label': t(`${name} hint`), click: () => pane.present(next(pane.presentation)) }, h('span', { 'aria-hidden': 'true' }, sign), t(name));
    const colour = !!pane.geometry?.palette || pane.stack.frames.some(({ layout }) => layout.samples > 1);
    const invert = colour ? [] : [act('invert', '◐', inverted)];
    // Planes stand as they lie in the patient, and there is room for one series of them.
    if (this.hands.planes.open()) return [...invert, ...this.#planes()];
    return [act('turn', '↻', turned), act('mirror', '⇋', mirrored), ...invert, ...this.#pair(), ...this.#planes()];
  }

  #planes() {
    const { possible, open, toggle } = this.hands.planes;
    if (!possible()) return [];
    return [h('button', { class: 'chip', 'aria-label': t('planes hint'), 'aria-pressed': pressed(open()), click: toggle }, h('span', { 'aria-hidden': 'true' }, '⊞'), t('planes'))];
  }

  #pair() {
    const { pair } = this.hands;
    if (!pair.isPossible) return [];
    return [h('button', { class: 'chip', 'aria-label': t('pair hint'), 'aria-pressed': pressed(!!pair.other), click: () => pair.toggle() }, h('span', { 'aria-hidden': 'true' }, '◫'), t('pair'))];
  }
}

/** @param {boolean} on */
const pressed = (on) => (on ? 'true' : 'false');
