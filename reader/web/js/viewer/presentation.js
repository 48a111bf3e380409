// How a picture is turned, mirrored and inverted on the screen, apart from how it lies in the image.

/** `turn`: quarters to the right, of what is mirrored already. @typedef {{turn:number, mirrored:boolean, inverted:boolean}} Presentation */
/** Where a step along a row and one along a column go on the screen, x to the right and y down: x of both, then y of both. @typedef {[number, number, number, number]} Way */

/** @type {Presentation} */
export const AS_SENT = Object.freeze({ turn: 0, mirrored: false, inverted: false });

/** @type {Way[]} */
const TURNS = [[1, 0, 0, 1], [0, -1, 1, 0], [-1, 0, 0, -1], [0, 1, -1, 0]];

/** @param {Presentation} own @returns {Presentation} */
export const turned = (own) => ({ ...own, turn: (own.turn + 1) % 4 });

/** Left for right, of what is seen: a mirror behind a turn is the other turn behind a mirror. @param {Presentation} own @returns {Presentation} */
export const mirrored = (own) => ({ ...own, turn: (4 - own.turn) % 4, mirrored: !own.mirrored });

/** @param {Presentation} own @returns {Presentation} */
export const inverted = (own) => ({ ...own, inverted: !own.inverted });

/** @param {Presentation} own @returns {Way} */
export function wayOf({ turn, mirrored: flipped }) {
  const [a, b, c, d] = /** @type {Way} */ (TURNS[turn % 4]), sign = flipped ? -1 : 1;
  return [sign * a, b, sign * c, d];
}

/** Whether rows go up or down on the screen. @param {Way} way */
export const isUpright = (way) => way[0] === 0;
