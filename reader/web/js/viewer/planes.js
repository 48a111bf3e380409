// Slices in the space of the patient (PS3.3 C.7.6.2.1.1): which lie side by side, and where one cuts another.

/** @typedef {import('../delivery.js').Geometry} Geometry */
/** A place on an image, in columns and rows from its first corner. @typedef {[number, number]} Point */
/** @typedef {{columns:number, rows:number}} Size */

/** Cosine of 10°: planes that are less inclined to each other are looked at as one direction. */
const NEARLY_PARALLEL = Math.cos((10 * Math.PI) / 180);
/** Slices that lie no further apart are in one place, mm: positions are written with so many digits. */
export const SAME_MM = 0.01;
/** What a slice that stands alone stands for, mm. */
const LONE_MM = 5;

/** @param {number[]} a @param {number[]} b */
export const dot = (a, b) => a.reduce((sum, value, axis) => sum + value * (b[axis] ?? 0), 0);

/** @param {number[]} orientation */
export function normal([a = 0, b = 0, c = 0, d = 0, e = 0, f = 0]) {
  return [b * f - c * e, c * d - a * f, a * e - b * d];
}

/** @param {number[]} a @param {number[]} b */
export const minus = (a, b) => a.map((value, axis) => value - (b[axis] ?? 0));

/** Where a slice lies, if its image says all of it. @param {Geometry|null} geometry */
function placed(geometry) {
  const { orientation, position, frameOfReference } = geometry ?? {};
  return orientation && position && frameOfReference ? { orientation, position, frameOfReference, normal: normal(orientation) } : null;
}

/** Whether positions of both are of one space. @param {Geometry|null} one @param {Geometry|null} other */
function together(one, other) {
  const [a, b] = [placed(one), placed(other)];
  return a && b && a.frameOfReference === b.frameOfReference ? { a, b, along: Math.abs(dot(a.normal, b.normal)) } : null;
}

/** Both, where they lie alike. @param {Geometry|null} one @param {Geometry|null} other */
function alike(one, other) {
  const both = together(one, other);
  return both && both.along > NEARLY_PARALLEL ? both : null;
}

/** Whether two series can be scrolled as one. @param {Geometry|null} one @param {Geometry|null} other */
export const isLinked = (one, other) => alike(one, other) !== null;

/** The slice of a stack that the middle of another image lies nearest to, by each slice's own plane, and how far that is, mm; `here`: no further than half the way from one
 * slice of the stack to the next. Of several in one place, one of the b-value that is shown, and the one beside it. @param {Geometry|null} looked @param {Size} size
 * @param {(Geometry|null)[]} slices @param {number} now place of the one that is shown @returns {{place:number, away:number, here:boolean}|null} */
export function nearest(looked, size, slices, now) {
  const at = placed(looked);
  if (!at) return null;
  const [high, wide] = looked?.spacing ?? [0, 0], steps = [wide * (size.columns - 1) / 2, high * (size.rows - 1) / 2];
  const middle = at.position.map((value, axis) => value + steps.reduce((sum, step, way) => sum + step * (at.orientation[3 * way + axis] ?? 0), 0));
  const away = slices.map((slice) => {
    const own = alike(looked, slice)?.b;
    return own ? dot(own.normal, minus(middle, own.position)) * Math.sign(dot(own.normal, at.normal)) : null;
  });
  const least = Math.min(...away.map((one) => (one === null ? Infinity : Math.abs(one))));
  const rank = (/** @type {number} */ place) => Math.abs(place - now) + (slices[place]?.bValue === slices[now]?.bValue ? 0 : slices.length);
  const [place] = [...away.keys()].filter((one) => Math.abs(away[one] ?? Infinity) <= least + SAME_MM).sort((one, other) => rank(one) - rank(other));
  return place === undefined ? null : { place, away: least, here: least <= gap(away.filter((one) => one !== null)) / 2 + SAME_MM };
}

/** From one slice to the next, mm: the median. @param {number[]} places */
function gap(places) {
  const sorted = places.sort((one, other) => one - other);
  const gaps = sorted.slice(1).map((place, at) => place - (sorted[at] ?? 0)).filter((one) => one > SAME_MM).sort((one, other) => one - other);
  return gaps[gaps.length >> 1] ?? LONE_MM;
}

/** Where the slice `other` cuts the slice `own`: from where to where on the latter, as far as both reach. None where they lie alike, apart, or in spaces of their own.
 * @param {Geometry|null} own @param {Size} ownSize @param {Geometry|null} other @param {Size} otherSize @returns {[Point, Point]|null} */
export function crossing(own, ownSize, other, otherSize) {
  const both = together(own, other);
  if (!both || both.along > NEARLY_PARALLEL || !own?.spacing || !other?.spacing) return null;
  const { a, b } = both;
  // In the plane of `own`, mm along its rows and columns, the other plane is u x + v y = w.
  const row = a.orientation.slice(0, 3), column = a.orientation.slice(3);
  const [u, v, w] = [dot(b.normal, row), dot(b.normal, column), dot(b.normal, minus(b.position, a.position))], square = u * u + v * v;
  const from = [(u * w) / square, (v * w) / square], way = [-v / Math.sqrt(square), u / Math.sqrt(square)];
  const at = (/** @type {number} */ t) => [0, 1].map((axis) => (from[axis] ?? 0) + (way[axis] ?? 0) * t);
  const inSpace = (/** @type {number} */ t) => a.position.map((value, axis) => value + (row[axis] ?? 0) * (at(t)[0] ?? 0) + (column[axis] ?? 0) * (at(t)[1] ?? 0));
  const inOther = (/** @type {number} */ t) => [b.orientation.slice(0, 3), b.orientation.slice(3)].map((axis) => dot(axis, minus(inSpace(t), b.position)));
  // Both are straight in t: two values tell all.
  const limits = [...within(at, own.spacing, ownSize), ...within(inOther, other.spacing, otherSize)];
  const [start, end] = [Math.max(...limits.map(([low]) => low)), Math.min(...limits.map(([, high]) => high))];
  const point = (/** @type {number} */ t) => /** @type {Point} */ ([0, 1].map((axis) => (at(t)[axis] ?? 0) / (own.spacing?.[1 - axis] ?? 1) + 0.5));
  return start < end ? [point(start), point(end)] : null;
}

/** From which t to which a straight way lies on an image, by its columns and by its rows: position is the middle of the first pixel. @param {(t: number) => number[]} way
 * @param {[number, number]} spacing @param {Size} size @returns {[number, number][]} */
function within(way, spacing, { columns, rows }) {
  const [start, next] = [way(0), way(1)];
  return [[columns, spacing[1]], [rows, spacing[0]]].map(([count = 0, apart = 1], axis) => {
    const from = start[axis] ?? 0, step = (next[axis] ?? 0) - from, ends = [-apart / 2, (count - 0.5) * apart];
    if (Math.abs(step) < 1e-9) return from >= (ends[0] ?? 0) && from <= (ends[1] ?? 0) ? [-Infinity, Infinity] : [Infinity, -Infinity];
    const [low = 0, high = 0] = ends.map((end) => (end - from) / step).sort((one, two) => one - two);
    return [low, high];
  });
}
