// Decoded bytes as samples that a texture takes: the byte order of this machine, colour as RGBA.

import { concat } from '../bytes.js';

/** @typedef {import('../delivery.js').Layout} Layout */
/** A rectangle of a frame: its pixel (0,0) lies in row `row` of the frame, its pixels `step` apart.
 * @typedef {{kind:'grey16'|'grey8'|'colour', columns:number, rows:number, step:number, row:number, height:number,
 *   data:Int16Array<ArrayBuffer>|Int8Array<ArrayBuffer>|Uint8Array<ArrayBuffer>, source:unknown}} Part  (height: rows of the frame that it covers) */

/** Longest side of a thinned picture, pixels. */
const SMALL = 128;

/** Parts that were made, by the bytes they were made from. @type {WeakMap<object, Map<number, Part>>} */
const made = new WeakMap();

/** A frame from the raw bytes of its slabs. @param {Layout} layout @param {Uint8Array[]} raw @param {number} inSlab @param {string} photometric @returns {Part} */
export function sampled(layout, raw, inSlab, photometric) {
  const [first] = raw;
  if (!first) throw new RangeError('no slab');
  const { columns, rows } = layout;
  return once(first, inSlab, () => {
    const bytes = raw.length === 1 ? first : concat(...raw);
    return { ...samples(layout, bytes, columns, rows, inSlab, photometric), step: 1, row: 0, height: rows, source: first };
  });
}

/** The coarse pictures of a frame's slabs, one above the other. @param {Layout} layout
 * @param {({bytes:Uint8Array, columns:number, rows:number}|null|undefined)[]} coarse @param {number} inSlab @param {string} photometric @returns {Part[]} */
export function parted(layout, coarse, inSlab, photometric) {
  // Of a cut frame all slabs but the last have as many rows (spec-bundle 3.2); planes that were cut have no picture of all three.
  const cut = coarse.length > 1;
  if (cut && layout.planar && layout.samples > 1) return [];
  const rowsEach = cut ? Math.floor((2 << 20) / (layout.columns * layout.samples * (layout.bits / 8))) : layout.rows;
  return coarse.flatMap((one, number) => {
    if (!one) return [];
    const row = number * rowsEach, height = Math.min(rowsEach, layout.rows - row);
    const step = 2 ** Math.round(Math.log2(Math.max(layout.columns / one.columns, height / one.rows)));
    return [once(one.bytes, inSlab, () => ({ ...samples(layout, one.bytes, one.columns, one.rows, inSlab, photometric), step, row, height, source: one.bytes }))];
  });
}

/** Pixels as far apart as a small picture needs them, of a whole frame. @param {Layout} layout @param {Uint8Array} bytes */
export function thinned(layout, bytes) {
  const { columns, rows } = layout, pixelBytes = layout.samples * (layout.bits / 8), step = 2 ** Math.max(0, Math.ceil(Math.log2(Math.max(columns, rows) / SMALL)));
  const [across, down] = [Math.ceil(columns / step), Math.ceil(rows / step)], thin = new Uint8Array(across * down * pixelBytes);
  for (let y = 0; y < down; y++) for (let x = 0; x < across; x++) {
    const from = (y * columns + x) * step * pixelBytes;
    thin.set(bytes.subarray(from, from + pixelBytes), (y * across + x) * pixelBytes);
  }
  return { bytes: thin, columns: across, rows: down };
}

/** @param {Uint8Array} key @param {number} inSlab @param {() => Part} make */
function once(key, inSlab, make) {
  const known = made.get(key) ?? new Map();
  made.set(key, known);
  const part = known.get(inSlab) ?? make();
  // Colour is a copy four thirds as large: it is made again when it is looked at again.
  if (part.kind !== 'colour') known.set(inSlab, part);
  return part;
}

const LITTLE = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** @param {Layout} layout @param {Uint8Array} bytes @param {number} columns @param {number} rows @param {number} frame @param {string} photometric */
function samples(layout, bytes, columns, rows, frame, photometric) {
  const count = columns * rows, length = count * layout.samples * (layout.bits / 8);
  const turned = layout.bits === 16 && layout.bigEndian === LITTLE;
  const start = bytes.byteOffset + frame * length;
  // A copy only where bytes must be turned round or do not lie on a word: full pictures are large.
  const own = turned || start % 2 ? bytes.slice(frame * length, (frame + 1) * length) : null;
  if (own && turned) for (let n = 0; n + 1 < own.length; n += 2) [own[n], own[n + 1]] = [own[n + 1] ?? 0, own[n] ?? 0];
  const [buffer, offset] = own ? [own.buffer, 0] : [/** @type {ArrayBuffer} */ (bytes.buffer), start];
  const words = layout.bits === 16 ? new Int16Array(buffer, offset, length / 2) : new Int8Array(buffer, offset, length);
  if (layout.samples < 3) return { kind: layout.bits === 16 ? /** @type {const} */ ('grey16') : /** @type {const} */ ('grey8'), columns, rows, data: words };
  return { kind: /** @type {const} */ ('colour'), columns, rows, data: colour(layout, words, count, photometric === 'YBR_FULL') };
}

/** RGBA, eight bits. YBR_FULL by PS3.3 C.7.6.3.1.2. @param {Layout} layout @param {Int16Array|Int8Array} words @param {number} count @param {boolean} ybr */
function colour(layout, words, count, ybr) {
  const rgba = new Uint8Array(count * 4);
  const [apart, next] = layout.planar ? [1, count] : [layout.samples, 1];
  const shift = Math.max(0, layout.stored - 8), mask = layout.bits === 16 ? 0xffff : 0xff;
  for (let n = 0; n < count; n++) {
    const at = n * apart;
    const a = ((words[at] ?? 0) & mask) >> shift, b = ((words[at + next] ?? 0) & mask) >> shift, c = ((words[at + 2 * next] ?? 0) & mask) >> shift;
    const out = n * 4;
    rgba[out] = ybr ? clamp(a + 1.402 * (c - 128)) : a;
    rgba[out + 1] = ybr ? clamp(a - 0.344136 * (b - 128) - 0.714136 * (c - 128)) : b;
    rgba[out + 2] = ybr ? clamp(a + 1.772 * (b - 128)) : c;
    rgba[out + 3] = 255;
  }
  return rgba;
}

/** @param {number} value */
const clamp = (value) => Math.min(255, Math.max(0, Math.round(value)));
