// Where a picture lies on its canvas: zoomed and shifted from where it fits. Device pixels, from the left and the top.
import { isUpright } from './presentation.js';

/** @typedef {import('./presentation.js').Way} Way */
/** What is looked at; aspect: height of a pixel over its width. @typedef {{columns:number, rows:number, aspect:number, way:Way}} Shape */
/** left, top: of what is seen; origin: where the image's first corner lies; scale: device pixels a column.
 * @typedef {{left:number, top:number, scale:number, aspect:number, way:Way, origin:{x:number, y:number}}} View */

const ZOOM_MAX = 24;

export class Camera {
  zoom = 1;
  #shift = { x: 0, y: 0 };

  /** @param {{width:number, height:number}} canvas */
  constructor(canvas) {
    this.canvas = canvas;
  }

  reset() {
    this.zoom = 1;
    this.#shift = { x: 0, y: 0 };
  }

  /** Device pixels a column where all of it is seen. @param {Shape} shape */
  #fit(shape) {
    const { width, height } = seen(shape);
    return width > 0 && height > 0 ? Math.min(this.canvas.width / width, this.canvas.height / height) : 1;
  }

  /** @param {Shape} shape @returns {View} */
  view(shape) {
    const scale = this.#fit(shape) * this.zoom, { aspect, way } = shape, [a, b, c, d] = way;
    const { width, height } = seen(shape);
    const shift = this.#held(shape, this.#shift);
    // Whole device pixels: at one pixel each, what is seen is what was decoded.
    const left = Math.round((this.canvas.width - width * scale) / 2 + shift.x), top = Math.round((this.canvas.height - height * scale) / 2 + shift.y);
    const wide = shape.columns * scale, high = shape.rows * scale * aspect;
    const origin = { x: left - Math.min(0, a * wide) - Math.min(0, b * high), y: top - Math.min(0, c * wide) - Math.min(0, d * high) };
    return { left, top, scale, aspect, way, origin };
  }

  /** @param {Shape} shape @param {number} factor @param {number} x @param {number} y CSS pixels @param {number} dx @param {number} dy */
  pinch(shape, factor, x, y, dx, dy) {
    const zoom = Math.min(ZOOM_MAX, Math.max(1, this.zoom * factor)), grown = zoom / this.zoom, ratio = devicePixelRatio;
    const [fromX, fromY] = [x * ratio - this.canvas.width / 2, y * ratio - this.canvas.height / 2];
    this.zoom = zoom;
    this.#shift = this.#held(shape, { x: fromX - (fromX - this.#shift.x) * grown + dx * ratio, y: fromY - (fromY - this.#shift.y) * grown + dy * ratio });
  }

  /** The picture stays on the screen, of whatever size that is now. @param {Shape} shape @param {{x:number, y:number}} shift */
  #held(shape, shift) {
    const { width, height } = seen(shape), own = this.#fit(shape) * this.zoom;
    const room = (/** @type {number} */ size, /** @type {number} */ canvas) => Math.max(0, (size * own - canvas) / 2);
    const within = (/** @type {number} */ value, /** @type {number} */ most) => Math.min(most, Math.max(-most, value));
    return { x: within(shift.x, room(width, this.canvas.width)), y: within(shift.y, room(height, this.canvas.height)) };
  }

  /** All of it, or one pixel of the image for each of the screen (two, where it is smaller than that). @param {Shape} shape @param {number} x @param {number} y */
  toggle(shape, x, y) {
    const scale = this.#fit(shape), pixels = Math.max(1, Math.ceil(scale + 0.01)) / scale;
    this.pinch(shape, this.zoom > 1.001 ? 1 / this.zoom : pixels, x, y, 0, 0);
  }
}

/** Columns that it is wide and high on the screen. @param {Shape} shape */
function seen({ columns, rows, aspect, way }) {
  return isUpright(way) ? { width: rows * aspect, height: columns } : { width: columns, height: rows * aspect };
}

/** Where a place of the image lies on the canvas: columns and rows from its first corner. @param {View} view @param {number} column @param {number} row */
export function onCanvas({ scale, aspect, way: [a, b, c, d], origin }, column, row) {
  const [x, y] = [column * scale, row * scale * aspect];
  return { x: origin.x + a * x + b * y, y: origin.y + c * x + d * y };
}

/** The canvas on whole pixels of page and screen, so that each of its own is one of the screen: a browser would mix them otherwise.
 * @param {HTMLCanvasElement} canvas @param {HTMLElement} around that it fills */
export function fill(canvas, around) {
  const stage = around.getBoundingClientRect(), ratio = devicePixelRatio;
  const [left, top] = [Math.ceil(stage.left - 0.01), Math.ceil(stage.top - 0.01)];
  const [wide, high] = [Math.max(1, Math.floor(stage.right + 0.01) - left), Math.max(1, Math.floor(stage.bottom + 0.01) - top)];
  const [width, height] = [Math.round(wide * ratio), Math.round(high * ratio)];
  Object.assign(canvas.style, { left: `${left - stage.left}px`, top: `${top - stage.top}px`, width: `${wide}px`, height: `${high}px` });
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
}
