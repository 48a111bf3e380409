// A series as a small picture to tap: its entry's coarse picture on a canvas of its own.
import { h, said } from '../dom.js';
import { t } from '../texts.js';
import { storedValue } from './window.js';

/** @typedef {import('./stack.js').Stack} Stack */

const SIDE = 64;

/** @param {Stack} stack @param {import('./pictures.js').Pictures} pictures @param {boolean} current @param {import('./window.js').Window} window @param {() => void} open */
export function thumbnail(stack, pictures, current, window, open) {
  const canvas = /** @type {HTMLCanvasElement} */ (h('canvas', { width: SIDE, height: SIDE, 'aria-hidden': 'true' }));
  const part = pictures.picture(stack, stack.entry)?.parts[0], context = canvas.getContext('2d'), geometry = pictures.geometry(stack, stack.frames[stack.entry]);
  if (part && context && geometry?.known !== false) context.putImageData(picture(stack, part, geometry, window), 0, 0);
  const words = stack.series.banner?.series_description || stack.series.description || stack.series.modality;
  const b = stack.bValues.length > 0 ? `b ${stack.bValues.join(' · ')}` : '';
  return h('button', { class: 'thumbnail', 'aria-pressed': current ? 'true' : 'false', 'aria-label': t('open series', [words, b].filter((one) => one).join(' '), stack.frames.length), click: open },
    canvas, said(words), b ? h('span', { class: 'b' }, b) : null, h('span', { class: 'count' }, `${stack.keys.size ? '★ ' : ''}${stack.frames.length}`));
}

/** @param {Stack} stack @param {import('./samples.js').Part} part @param {import('../delivery.js').Geometry|null} geometry @param {import('./window.js').Window} window */
function picture(stack, part, geometry, { center, width }) {
  const image = new ImageData(SIDE, SIDE), scale = Math.max(part.columns, part.rows) / SIDE;
  const layout = stack.frames[stack.entry]?.layout ?? { signed: false, stored: 16 };
  for (let y = 0; y < SIDE; y++) for (let x = 0; x < SIDE; x++) {
    const column = Math.floor((x + 0.5) * scale - (Math.max(part.columns, part.rows) - part.columns) / 2), row = Math.floor((y + 0.5) * scale - (Math.max(part.columns, part.rows) - part.rows) / 2);
    const at = row * part.columns + column, out = (y * SIDE + x) * 4;
    image.data[out + 3] = 255;
    if (column < 0 || row < 0 || column >= part.columns || row >= part.rows) continue;
    if (part.kind === 'colour') { image.data.set(part.data.subarray(at * 4, at * 4 + 3), out); continue; }
    const stored = storedValue(part.data[at] ?? 0, layout);
    if (stored === geometry?.padding) continue;
    const grey = ((stored * (geometry?.slope ?? 1) + (geometry?.intercept ?? 0) - center) / width + 0.5) * 255;
    image.data.fill(geometry?.photometric === 'MONOCHROME1' ? 255 - grey : grey, out, out + 3);
  }
  return image;
}
