// The voxels of a stack, once and in 16 bits, and the planes that are cut through them or projected along a slab.
import { lying } from './grid.js';
import { storedValue } from './values.js';

/** @typedef {import('./grid.js').Grid} Grid */
/** @typedef {import('./samples.js').Part} Part */
/** @typedef {'max'|'mean'|'min'} Projection */

/** No value was there: outside of 16 bits. */
const NONE = 0x7fffffff;

/** Rounded, and never what counts as padding. @param {number} sum @param {number} count @param {number|null} padding */
function mean(sum, count, padding) {
  if (!count) return padding ?? 0;
  const value = Math.round(sum / count);
  return value !== padding ? value : value > 0 ? value - 1 : value + 1;
}

export class Volume {
  /** Which slices are here. */
  #here;
  /** How many are. */
  count = 0;

  /** @param {Grid} grid */
  constructor(grid) {
    this.grid = grid;
    this.size = /** @type {import('./grid.js').Three<number>} */ ([grid.columns, grid.rows, grid.slices]);
    const length = grid.columns * grid.rows * grid.slices;
    this.voxels = grid.bits.signed ? new Int16Array(length) : new Uint16Array(length);
    this.#here = new Uint8Array(grid.slices);
  }

  /** @param {number} slice */
  has(slice) {
    return this.#here[slice] === 1;
  }

  /** A whole picture as it was decoded: each value the stored one, or the mean of those that are no padding, rounded. @param {number} slice @param {Part} part */
  put(slice, { data, columns: wide }) {
    const { columns, rows, step, bits, padding } = this.grid, start = slice * columns * rows;
    if (step === 1) for (let n = 0; n < columns * rows; n++) this.voxels[start + n] = storedValue(data[n] ?? 0, bits);
    else for (let row = 0; row < rows; row++) for (let column = 0; column < columns; column++) {
      let sum = 0, counted = 0;
      for (let y = 0; y < step; y++) for (let x = 0; x < step; x++) {
        const value = storedValue(data[(row * step + y) * wide + column * step + x] ?? 0, bits);
        if (value !== padding) { sum += value; counted++; }
      }
      this.voxels[start + row * columns + column] = mean(sum, counted, padding);
    }
    if (!this.has(slice)) this.count++;
    this.#here[slice] = 1;
  }

  /** The voxels on either side of `at` whose middle lies no further than half a slab from its own. @param {number} axis @param {number} at @param {number} mm @returns {[number, number]} */
  slab(axis, at, mm) {
    const half = Math.floor(mm / 2 / (this.grid.spacing[axis] ?? 1) + 1e-6);
    return [Math.max(0, at - half), Math.min((this.size[axis] ?? 1) - 1, at + half)];
  }

  /** A plane across an axis, as parts of a picture: what is not here yet is left out. @param {number} axis @param {number} from @param {number} to of the slab, both counted
   * @param {Projection} projection @returns {Part[]} */
  plane(axis, from, to, projection) {
    const [wide, high] = lying(axis), columns = this.size[wide] ?? 0, rows = this.size[high] ?? 0;
    const isHere = (/** @type {number} */ row) => (axis === 2 ? this.#any(from, to) : this.has(row));
    const values = new Int16Array(columns * rows);
    /** @type {Part[]} */
    const parts = [];
    for (let row = 0; row < rows;) {
      let end = row;
      while (end < rows && isHere(end)) end++;
      if (end > row) {
        const data = values.subarray(row * columns, end * columns);
        this.#cut(data, axis, row, end, from, to, projection);
        parts.push({ kind: 'grey16', columns, rows: end - row, step: 1, row, height: end - row, data, source: this });
      }
      row = end + 1;
    }
    return parts;
  }

  /** @param {number} from @param {number} to */
  #any(from, to) {
    return this.#here.subarray(from, to + 1).includes(1);
  }

  /** Rows of a plane. @param {Int16Array} data @param {number} axis @param {number} first @param {number} end @param {number} from @param {number} to @param {Projection} projection */
  #cut(data, axis, first, end, from, to, projection) {
    const { voxels, size, grid: { padding } } = this, strides = [1, size[0], size[0] * size[1]], [wide, high] = lying(axis);
    const [along, down, deep] = [strides[wide] ?? 1, strides[high] ?? 1, strides[axis] ?? 1], columns = size[wide] ?? 0;
    if (from === to) {
      for (let row = first, out = 0; row < end; row++) for (let column = 0, at = from * deep + row * down; column < columns; column++, at += along) data[out++] = voxels[at] ?? 0;
      return;
    }
    const found = new Int32Array(columns), counted = new Int32Array(columns), least = projection === 'min';
    for (let row = first; row < end; row++) {
      found.fill(projection === 'mean' ? 0 : NONE);
      counted.fill(0);
      for (let depth = from; depth <= to; depth++) {
        if (axis === 2 && !this.has(depth)) continue;
        for (let column = 0, at = depth * deep + row * down; column < columns; column++, at += along) {
          const value = voxels[at] ?? 0;
          if (value === padding) continue;
          const so = found[column] ?? 0;
          if (projection === 'mean') { found[column] = so + value; counted[column] = (counted[column] ?? 0) + 1; }
          else if (so === NONE || (least ? value < so : value > so)) found[column] = value;
        }
      }
      const out = (row - first) * columns;
      for (let column = 0; column < columns; column++) {
        const value = found[column] ?? 0, many = counted[column] ?? 0;
        data[out + column] = projection === 'mean' ? mean(value, many, padding) : value === NONE ? padding ?? 0 : value;
      }
    }
  }
}
