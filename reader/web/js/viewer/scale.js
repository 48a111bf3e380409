// A bar of known length on the picture.
import { t } from '../texts.js';

/** In mm: what a bar may measure. */
const LENGTHS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

/** The longest bar that fits. None where the image does not say how far its pixels lie apart. Pixels are drawn as high as they are, so that a millimetre is as long
 * in each direction. @param {[number, number]|null|undefined} spacing of rows, of columns, mm @param {number} scale device pixels a column @param {number} room device pixels
 * @returns {{mm:number, pixels:number}|null} */
export function bar(spacing, scale, room) {
  const column = spacing?.[1] ?? 0;
  if (!spacing || !(spacing[0] > 0) || !(column > 0)) return null;
  const mm = LENGTHS.findLast((length) => (length * scale) / column <= room);
  return mm === undefined ? null : { mm, pixels: (mm * scale) / column };
}

/** @param {number} mm */
export const lengthWords = (mm) => (mm < 10 ? `${mm} mm` : `${mm / 10} cm`);

/** Projections: a length in the patient depends on where in the beam it lies (PS3.3 10.7.1.1). */
const PROJECTIONS = new Set(['CR', 'DX', 'XA', 'RF', 'MG', 'IO', 'PX']);

/** What a length is of, where it is not one in the patient. @param {import('../delivery.js').Geometry} geometry @param {string} modality */
export function calibration({ atDetector, calibrated }, modality) {
  if (atDetector) return t('at detector');
  return PROJECTIONS.has(modality) && !calibrated ? t('not calibrated') : '';
}
