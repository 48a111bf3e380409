// Letters of the four edges by Image Orientation (Patient): PS3.3 C.7.6.2.1.1, C.7.6.1.1.1 (x to the left, y to the back, z to the head).

const AXES = /** @type {const} */ ([['L', 'R'], ['P', 'A'], ['H', 'F']]);
/** The sine of about 12°: what lies less aslant has one letter. */
const ASLANT = 0.2;

/** @param {number[]} direction */
function letters(direction) {
  return direction.map((value, axis) => ({ size: Math.abs(value), letter: AXES[axis]?.[value > 0 ? 0 : 1] ?? '' }))
    .filter(({ size }) => size > ASLANT).sort((a, b) => b.size - a.size).map(({ letter }) => letter).join('');
}

/** @param {number[]|null|undefined} orientation six cosines @returns {{left:string, right:string, top:string, bottom:string}|null} */
export function edges(orientation) {
  if (orientation?.length !== 6) return null;
  const row = orientation.slice(0, 3), column = orientation.slice(3), back = (/** @type {number[]} */ way) => letters(way.map((value) => -value));
  return { left: back(row), right: letters(row), top: back(column), bottom: letters(column) };
}
