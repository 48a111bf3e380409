// Lengths, angles and values of an image. Places are columns and rows from its first corner, so that the middle of its first pixel is (0.5, 0.5).

/** @typedef {import('./camera.js').View} View */
/** @typedef {import('./planes.js').Point} Point */
/** @typedef {import('./samples.js').Part} Part */
/** Of rows, of columns, mm; null: pixels count. @typedef {[number, number]|null} Spacing */
/** What a sample means; null: it is padding. @typedef {(word: number) => number|null} Meaning */
/** deviation: of just these pixels, divided by their number; counted: those that are no padding. @typedef {{mean:number, deviation:number, counted:number, inside:number}} Statistics */

/** The other way from `onCanvas`: turns and mirrors are taken back by the transposed matrix. @param {View} view @param {number} x @param {number} y device pixels @returns {Point} */
export function onImage({ scale, aspect, way: [a, b, c, d], origin }, x, y) {
  const [across, down] = [x - origin.x, y - origin.y];
  return [(a * across + c * down) / scale, (b * across + d * down) / (scale * aspect)];
}

/** @param {Point} place @param {{columns:number, rows:number}} size @returns {Point} */
export const within = ([column, row], { columns, rows }) => [Math.min(columns, Math.max(0, column)), Math.min(rows, Math.max(0, row))];

/** The pixel at a place: its column and row from 0, of the nearest one where the place lies beside the image. @param {Point} place @param {{columns:number, rows:number}} size @returns {Point} */
export const pixelAt = ([column, row], { columns, rows }) => [Math.min(columns - 1, Math.max(0, Math.floor(column))), Math.min(rows - 1, Math.max(0, Math.floor(row)))];

/** @param {Point} from @param {Point} to @param {Spacing} spacing @returns {[number, number]} */
const way = (from, to, spacing) => [(to[0] - from[0]) * (spacing?.[1] ?? 1), (to[1] - from[1]) * (spacing?.[0] ?? 1)];

/** In mm, or pixels. @param {Point} from @param {Point} to @param {Spacing} spacing */
export const length = (from, to, spacing) => Math.hypot(...way(from, to, spacing));

/** Degrees, 0 to 180, at the second of three places. @param {Point[]} places @param {Spacing} spacing */
export function angle([one = [0, 0], vertex = [0, 0], other = [0, 0]], spacing) {
  const [a, b] = way(vertex, one, spacing), [c, d] = way(vertex, other, spacing);
  return (Math.abs(Math.atan2(a * d - b * c, a * c + b * d)) * 180) / Math.PI;
}

/** Of the pixels whose middle lies in the ellipse between two corners. @param {Point} from @param {Point} to @param {Part} part of a whole picture @param {Meaning} meaning
 * @returns {Statistics|null} null: not one counts */
export function statistics(from, to, { columns, rows, data }, meaning) {
  const [x, y] = [(from[0] + to[0]) / 2, (from[1] + to[1]) / 2], [wide, high] = [Math.abs(to[0] - from[0]) / 2, Math.abs(to[1] - from[1]) / 2];
  if (!(wide > 0 && high > 0)) return null;
  let inside = 0, counted = 0, mean = 0, squares = 0;
  for (let row = Math.max(0, Math.floor(y - high)); row < Math.min(rows, y + high); row++)
    for (let column = Math.max(0, Math.floor(x - wide)); column < Math.min(columns, x + wide); column++) {
      if (((column + 0.5 - x) / wide) ** 2 + ((row + 0.5 - y) / high) ** 2 > 1) continue;
      inside++;
      const value = meaning(data[row * columns + column] ?? 0);
      if (value === null) continue;
      // Welford: no large sums whose small difference would count.
      const off = value - mean;
      mean += off / ++counted;
      squares += off * (value - mean);
    }
  return counted > 0 ? { mean, deviation: Math.sqrt(squares / counted), counted, inside } : null;
}

/** Decimals that values of this slope deserve. @param {number} slope */
export const decimals = (slope) => (slope ? Math.min(8, Math.max(1, 1 - Math.floor(Math.log10(Math.abs(slope))))) : 1);
