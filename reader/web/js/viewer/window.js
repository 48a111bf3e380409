// Windows: presets for CT in HU, what the data set says, and what the values say where it is silent.
import { t } from '../texts.js';
import { grey, meaning, unitOf } from './values.js';

/** `table`: the image's own greys, instead, until a finger takes the window.
 * @typedef {{center:number, width:number, table?:import('../delivery.js').Table}} Window */

/** @typedef {import('../delivery.js').Geometry} Geometry */

/** @type {{name:'brain'|'stroke'|'bone'|'lung'|'mediastinum'|'abdomen', center:number, width:number}[]} */
export const PRESETS = [
  { name: 'brain', center: 40, width: 80 },
  { name: 'stroke', center: 35, width: 40 },
  { name: 'bone', center: 500, width: 2000 },
  { name: 'lung', center: -600, width: 1500 },
  { name: 'mediastinum', center: 40, width: 400 },
  { name: 'abdomen', center: 60, width: 350 },
];

/** The preset that a window is. @param {Window|null} window */
export const presetOf = (window) => PRESETS.find(({ center, width }) => center === window?.center && width === window.width);

/** @param {Window} window @param {string} name as `Windows.name` gives it */
export function windowWords({ center, width, table }, name) {
  return table ? 'VOI LUT' : `${name ? `${name}  ` : ''}W ${Math.round(width)}  L ${Math.round(center)}`;
}

/** From the 1st to the 99th hundredth of the values that are no padding. @param {ArrayLike<number>} values @param {(word: number) => number|null} value @returns {Window} */
export function measured(values, value) {
  const known = Array.from({ length: values.length }, (_, n) => value(values[n] ?? 0)).filter((one) => one !== null).sort((a, b) => a - b);
  const at = (/** @type {number} */ share) => known[Math.floor((known.length - 1) * share)] ?? 0;
  return { center: (at(0.01) + at(0.99)) / 2, width: Math.max(2, at(0.99) - at(0.01)) };
}

/** Which window each series is seen through: the doctor's own, the site's, the image's, or that of the values. */
export class Windows {
  /** What the doctor chose; null: as sent. @type {Map<import('./stack.js').Stack, Window|null>} */
  #own = new Map();
  /** What the values of a picture say, which takes a sort of all of them. @type {WeakMap<object, {by:unknown[], window:Window}>} */
  #measured = new WeakMap();

  /** @param {import('./pictures.js').Pictures} pictures */
  constructor(pictures) {
    this.pictures = pictures;
  }

  /** The doctor's own, else the one that is arranged for it; none: as the image says. @param {import('./stack.js').Stack} stack @param {number} place */
  chosen(stack, place) {
    const own = this.#own.get(stack);
    return own === undefined ? this.#arranged(stack, place) : own;
  }

  /** Who arranged what is seen of a series, until the doctor chose. @param {import('./stack.js').Stack} stack @param {number} place */
  arrangedBy(stack, place) {
    return this.#own.has(stack) ? '' : this.pictures.hanging.words(stack, !!this.#arranged(stack, place));
  }

  /** What the window that was chosen is called, if it has a name: the image's own has none, whatever its numbers. @param {import('./stack.js').Stack} stack @param {number} place */
  name(stack, place) {
    const preset = this.#isHounsfield(stack, place) ? presetOf(this.chosen(stack, place)) : undefined;
    return preset ? t(preset.name) : '';
  }

  /** @param {import('./stack.js').Stack} stack @param {number} place @returns {Window|null} */
  #arranged(stack, place) {
    const { center, width } = this.pictures.hanging.window(stack) ?? {};
    return center !== undefined && width !== undefined && this.#isHounsfield(stack, place) ? { center, width } : null;
  }

  /** Of other values a window that has a name would show something else. @param {import('./stack.js').Stack} stack @param {number} place */
  #isHounsfield(stack, place) {
    const geometry = this.pictures.geometry(stack, stack.frames[place]);
    return stack.series.modality === 'CT' && (!geometry || unitOf(geometry) === 'HU');
  }

  /** @param {import('./stack.js').Stack} stack @param {Window|null} window none: as the image says */
  set(stack, window) {
    this.#own.set(stack, window);
  }

  /** @param {import('./stack.js').Stack} stack @param {number} place @returns {Window} */
  of(stack, place) {
    const chosen = this.chosen(stack, place), geometry = this.pictures.geometry(stack, stack.frames[place]);
    if (chosen) return chosen;
    const window = this.#said(stack, place, geometry);
    return geometry?.voiTable ? { ...window, table: geometry.voiTable } : window;
  }

  /** By the image's window, or by its values. @param {import('./stack.js').Stack} stack @param {number} place @param {Geometry|null} geometry @returns {Window} */
  #said(stack, place, geometry) {
    if (geometry && geometry.center !== null && geometry.width !== null && geometry.width > 0) return { center: geometry.center, width: geometry.width };
    const layout = stack.frames[place]?.layout, part = this.pictures.picture(stack, stack.entry)?.parts[0] ?? this.pictures.picture(stack, place)?.parts[0];
    if (!layout || !part || part.kind === 'colour' || geometry?.palette) return { center: 128, width: 256 };
    const how = grey(geometry, layout, { center: 0, width: 1 }), by = [how.padding, how.slope, how.intercept, how.modality, how.shift], known = this.#measured.get(part.data);
    if (known?.by.every((one, n) => one === by[n])) return known.window;
    const window = measured(part.data, (word) => meaning(word, how));
    this.#measured.set(part.data, { by, window });
    return window;
  }
}
