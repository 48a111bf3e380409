// Letters of the four sides by Image Orientation (Patient): PS3.3 C.7.6.2.1.1, C.7.6.1.1.1 (x to the left, y to the back, z to the head).
import { h, put } from '../dom.js';

const AXES = /** @type {const} */ ([['L', 'R'], ['P', 'A'], ['H', 'F']]);
/** The sine of about 12°: what lies less aslant has one letter. */
const ASLANT = 0.2;

/** @param {number[]} direction */
function letters(direction) {
  return direction.map((value, axis) => ({ size: Math.abs(value), letter: AXES[axis]?.[value > 0 ? 0 : 1] ?? '' }))
    .filter(({ size }) => size > ASLANT).sort((a, b) => b.size - a.size).map(({ letter }) => letter).join('');
}

/** @param {number[]|null|undefined} orientation six cosines @param {import('./presentation.js').Way} way how the picture is turned and mirrored
 * @returns {{left:string, right:string, top:string, bottom:string}|null} */
export function edges(orientation, [a, b, c, d]) {
  if (orientation?.length !== 6) return null;
  const along = (/** @type {number} */ row, /** @type {number} */ column) => [0, 1, 2].map((axis) => row * (orientation[axis] ?? 0) + column * (orientation[axis + 3] ?? 0));
  return { left: letters(along(-a, -b)), right: letters(along(a, b)), top: letters(along(-c, -d)), bottom: letters(along(c, d)) };
}

/** The letters on a picture. */
export class Sides {
  #spans = { left: span('left'), right: span('right'), top: span('top'), bottom: span('bottom') };
  elements = Object.values(this.#spans);

  /** @param {ReturnType<typeof edges>} letters null: none are known */
  write(letters) {
    for (const [side, element] of Object.entries(this.#spans)) put(element, letters?.[/** @type {'left'} */ (side)] ?? '');
  }
}

/** @param {string} side */
const span = (side) => h('span', { class: `edge ${side}` });
