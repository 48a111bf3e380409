// From stored values to what they mean, and on to greys and colours (PS3.3 C.11.1, C.11.2, C.7.6.3.1.5): rescale or table, window or table, palette.

/** @typedef {import('../delivery.js').Geometry} Geometry */
/** @typedef {import('../delivery.js').Layout} Layout */
/** @typedef {import('../delivery.js').Table} Table */
/** @typedef {import('./window.js').Window} Window */
/** Where the bits of a sample lie. @typedef {{signed:boolean, stored:number, shift:number}} Bits */
/** What the shader needs: bits, meaning, greys. `curve`: 0 LINEAR, 1 LINEAR_EXACT, 2 SIGMOID.
 * @typedef {Bits & {slope:number, intercept:number, modality:Table|null, center:number, width:number, curve:0|1|2, voi:Table|null, palette:Table[]|null,
 *   invert:boolean, padding:number|null}} Grey */

/** What the renderer shows rightly. */
const PHOTOMETRIC = new Set(['MONOCHROME1', 'MONOCHROME2', 'RGB', 'YBR_FULL', 'PALETTE COLOR']);
const CURVES = /** @type {Record<string, 0|1|2>} */ ({ LINEAR: 0, LINEAR_EXACT: 1, SIGMOID: 2 });

/** Why an image cannot be shown as it is meant, as a name of its words. @param {Geometry} geometry @param {Layout|undefined} layout
 * @returns {'unknown place'|'palette'|'unknown values'|null} */
export function hindrance({ known, photometric, tablesKnown, voiFunction, highBit, palette }, layout) {
  const { samples, stored, bits, bigEndian, carried } = layout ?? { samples: 1, stored: 16, bits: 16, bigEndian: false, carried: false };
  if (!known) return 'unknown place';
  if (!PHOTOMETRIC.has(photometric) || (palette && samples > 1)) return 'palette';
  // Colours are taken from the low bits, and there are a codestream's samples, wherever High Bit says that they lay.
  const lies = highBit === null || (samples > 1 || carried ? highBit === stored - 1 : highBit < bits);
  // Two bytes of a big-endian word may have changed places or not (PS3.5 8.1.2, retired): which, the layout does not tell.
  if (bigEndian && bits === 8) return 'unknown values';
  return tablesKnown && lies && Object.hasOwn(CURVES, voiFunction) ? null : 'unknown values';
}

/** What values are counted in, where the image says it; US stands for unspecified (PS3.3 C.11.1.1.2). @param {Geometry|null} geometry */
export const unitOf = (geometry) => (!geometry || geometry.modalityTable || geometry.rescaleType === 'US' ? '' : geometry.rescaleType);

/** @param {Geometry|null} geometry @param {Layout|undefined} layout @returns {Bits} */
function bits(geometry, layout) {
  const stored = layout?.stored ?? 16;
  return { signed: layout?.signed ?? false, stored, shift: Math.max(0, (geometry?.highBit ?? stored - 1) + 1 - stored) };
}

/** @param {Geometry|null} geometry @param {Layout|undefined} layout @param {Window} window @returns {Grey} */
export function grey(geometry, layout, { center, width, table }) {
  return {
    ...bits(geometry, layout),
    slope: geometry?.modalityTable ? 1 : geometry?.slope ?? 1, intercept: geometry?.modalityTable ? 0 : geometry?.intercept ?? 0, modality: geometry?.modalityTable ?? null,
    center, width, curve: CURVES[geometry?.voiFunction ?? ''] ?? 0, voi: table ?? null, palette: geometry?.palette ?? null,
    invert: geometry?.inverse ?? false, padding: paddingValue(geometry, layout),
  };
}

/** A stored value as the shader reads it: the bits stored, with their sign. @param {number} word @param {Bits} bits */
export const storedValue = (word, bits) => withSign(word >> bits.shift, bits);

/** @param {number} value @param {{signed:boolean, stored:number}} bits */
const withSign = (value, { signed, stored }) => (signed ? (value << (32 - stored)) >> (32 - stored) : value & ((1 << stored) - 1));

/** As pixels are read: its VR may say another sign than theirs. @param {Geometry|null} geometry @param {Layout|undefined} layout */
const paddingValue = (geometry, layout) => (typeof geometry?.padding === 'number' ? withSign(geometry.padding, bits(geometry, layout)) : null);

/** An entry; what lies outside takes the first or last. @param {Table} table @param {number} value */
const entry = ({ first, entries }, value) => entries[Math.min(entries.length - 1, Math.max(0, value - first))] ?? 0;

/** What a sample means; null: it is padding. @param {number} word @param {Grey} how @returns {number|null} */
export function meaning(word, how) {
  const stored = storedValue(word, how);
  if (stored === how.padding) return null;
  return how.modality ? entry(how.modality, stored) : stored * how.slope + how.intercept;
}

/** Red, green and blue, 0 to 255, as the shader makes them; null: it is padding. @param {number} word @param {Grey} how @returns {number[]|null} */
export function shade(word, how) {
  if (how.palette) return how.palette.map((table) => entry(table, storedValue(word, how)) >> (table.bits - 8));
  const value = meaning(word, how);
  if (value === null) return null;
  const grey = 255 * (how.voi ? entry(how.voi, Math.round(value)) / (2 ** how.voi.bits - 1) : windowed(value, how));
  return new Array(3).fill(how.invert ? 255 - grey : grey);
}

/** PS3.3 C.11.2.1.2 and C.11.2.1.3. @param {number} value @param {Grey} how */
function windowed(value, { center, width, curve }) {
  if (curve === 2) return 1 / (1 + Math.exp(-4 * (value - center) / width));
  const [middle, range] = curve === 1 ? [center, width] : [center - 0.5, width - 1];
  return range <= 0 ? (value >= middle ? 1 : 0) : Math.min(1, Math.max(0, (value - middle) / range + 0.5));
}
