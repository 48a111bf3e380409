// A series as a small picture to tap: its entry's coarse picture on a canvas of its own.
import { h, said } from '../dom.js';
import { t } from '../texts.js';
import { grey, hindrance, shade } from './values.js';

/** @typedef {import('./stack.js').Stack} Stack */

const SIDE = 64;
/** That are told one by one. */
const B_VALUES_MAX = 4;

/** @param {Stack} stack @param {import('./pictures.js').Pictures} pictures @param {boolean} current @param {import('./window.js').Window} window @param {() => void} open */
export function thumbnail(stack, pictures, current, window, open) {
  const canvas = /** @type {HTMLCanvasElement} */ (h('canvas', { width: SIDE, height: SIDE, 'aria-hidden': 'true' }));
  const part = pictures.small(stack), context = canvas.getContext('2d'), geometry = pictures.geometry(stack, stack.frames[stack.entry]);
  if (part && context && geometry && !hindrance(geometry, stack.frames[stack.entry]?.layout)) context.putImageData(picture(stack, part, geometry, window), 0, 0);
  const b = stack.bValues.length > 0 ? `b ${bWords(stack.bValues)}` : '';
  return h('button', { class: 'thumbnail', 'aria-pressed': current ? 'true' : 'false', 'aria-label': t('open series', [stack.name, b].filter((one) => one).join(' '), stack.frames.length), click: open },
    canvas, said(stack.name), b ? h('span', { class: 'b' }, b) : null, h('span', { class: 'count' }, `${stack.keys.size ? '★ ' : ''}${stack.frames.length}`));
}

/** @param {Stack} stack @param {import('./samples.js').Part} part @param {import('../delivery.js').Geometry|null} geometry @param {import('./window.js').Window} window */
function picture(stack, part, geometry, window) {
  const image = new ImageData(SIDE, SIDE), scale = Math.max(part.columns, part.rows) / SIDE;
  const how = grey(geometry, stack.frames[stack.entry]?.layout, window);
  for (let y = 0; y < SIDE; y++) for (let x = 0; x < SIDE; x++) {
    const column = Math.floor((x + 0.5) * scale - (Math.max(part.columns, part.rows) - part.columns) / 2), row = Math.floor((y + 0.5) * scale - (Math.max(part.columns, part.rows) - part.rows) / 2);
    const at = row * part.columns + column, out = (y * SIDE + x) * 4;
    image.data[out + 3] = 255;
    if (column < 0 || row < 0 || column >= part.columns || row >= part.rows) continue;
    if (part.kind === 'colour') { image.data.set(part.data.subarray(at * 4, at * 4 + 3), out); continue; }
    const shown = shade(part.data[at] ?? 0, how);
    if (shown) image.data.set(shown, out);
  }
  return image;
}

/** Each value, or from which to which. @param {number[]} values */
function bWords(values) {
  const whole = [...new Set(values.map(Math.round))];
  return whole.length > B_VALUES_MAX ? `${whole[0]} … ${whole.at(-1)}` : whole.join(' · ');
}
