// A bar of known length on the picture.
import { h, put } from '../dom.js';
import { t } from '../texts.js';

/** In mm: what a bar may measure. */
const LENGTHS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

/** An ultrasound image has a scale for each of its regions (PS3.3 C.8.5.5), which the app does not read: there pixels count. */
const OF_REGIONS = new Set(['US', 'IVUS']);

/** Of rows, of columns, mm; null: the image does not say it. It gives pixels their shape. @param {import('../delivery.js').Geometry|null} geometry @returns {[number, number]|null} */
export function spacingOf(geometry) {
  const spacing = geometry?.spacing;
  return spacing && spacing[0] > 0 && spacing[1] > 0 ? spacing : null;
}

/** The spacing by which lengths are said. @param {import('../delivery.js').Geometry|null} geometry @param {string} modality */
export const scaleOf = (geometry, modality) => (OF_REGIONS.has(modality) ? null : spacingOf(geometry));

/** The longest bar that fits. None where the image does not say how far its pixels lie apart. Pixels are drawn as high as they are, so that a millimetre is as long
 * in each direction. @param {[number, number]|null} spacing as scaleOf gives it @param {number} scale device pixels a column @param {number} room device pixels
 * @returns {{mm:number, pixels:number}|null} */
function bar(spacing, scale, room) {
  if (!spacing) return null;
  const [, column] = spacing;
  const mm = LENGTHS.findLast((length) => (length * scale) / column <= room);
  return mm === undefined ? null : { mm, pixels: (mm * scale) / column };
}

/** @param {number} mm */
const lengthWords = (mm) => (mm < 10 ? `${mm} mm` : `${mm / 10} cm`);

/** The bar with its words. */
export class Ruler {
  #line = h('span', { class: 'line' });
  #words = h('span');
  element = h('p', { class: 'ruler' }, this.#words, this.#line);

  /** @param {number} share of the canvas's width, that it may take */
  constructor(share) {
    this.share = share;
  }

  /** @param {HTMLCanvasElement} canvas @param {[number, number]|null} spacing as scaleOf gives it; null: no bar @param {number} scale device pixels a column @param {string} [more] words behind the length */
  draw(canvas, spacing, scale, more = '') {
    const length = bar(spacing, scale, canvas.width * this.share);
    this.#line.hidden = !length;
    this.#line.style.width = `${(length?.pixels ?? 0) / devicePixelRatio}px`;
    put(this.#words, length ? [lengthWords(length.mm), more].filter((one) => one).join(' ') : '');
  }
}

/** Projections: a length in the patient depends on where in the beam it lies (PS3.3 10.7.1.1). */
const PROJECTIONS = new Set(['CR', 'DX', 'XA', 'RF', 'MG', 'IO', 'PX']);

/** What a length is of, where it is not one in the patient. @param {import('../delivery.js').Geometry} geometry @param {string} modality */
export function calibration({ atDetector, calibrated }, modality) {
  if (atDetector) return t('at detector');
  return PROJECTIONS.has(modality) && !calibrated ? t('not calibrated') : '';
}
