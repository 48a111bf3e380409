// Windows: presets for CT in HU, what the data set says, and what the values say where it is silent.

/** @typedef {{center:number, width:number}} Window */

/** @type {{name:'brain'|'stroke'|'bone'|'lung'|'mediastinum'|'abdomen', center:number, width:number}[]} */
export const PRESETS = [
  { name: 'brain', center: 40, width: 80 },
  { name: 'stroke', center: 35, width: 40 },
  { name: 'bone', center: 500, width: 2000 },
  { name: 'lung', center: -600, width: 1500 },
  { name: 'mediastinum', center: 40, width: 400 },
  { name: 'abdomen', center: 60, width: 350 },
];

/** From the 1st to the 99th hundredth of the values that are no padding. @param {ArrayLike<number>} values @param {(stored: number) => number|null} value @returns {Window} */
export function measured(values, value) {
  const known = Array.from({ length: values.length }, (_, n) => value(values[n] ?? 0)).filter((one) => one !== null).sort((a, b) => a - b);
  const at = (/** @type {number} */ share) => known[Math.floor((known.length - 1) * share)] ?? 0;
  return { center: (at(0.01) + at(0.99)) / 2, width: Math.max(2, at(0.99) - at(0.01)) };
}

/** A stored value as the shader reads it: the bits stored, with their sign. @param {number} word @param {{signed:boolean, stored:number}} layout */
export const storedValue = (word, { signed, stored }) => (signed ? (word << (32 - stored)) >> (32 - stored) : word & ((1 << stored) - 1));
