// A series as a stack of frames: which slabs each frame needs, in which order frames lie, and what to fetch next.

/** @typedef {import('../delivery.js').Delivery} Delivery */
/** @typedef {import('../delivery.js').Series} Series */
/** @typedef {import('../delivery.js').Layout} Layout */
/** @typedef {import('../delivery.js').Geometry} Geometry */
/** @typedef {{instance:number, frame:number, slabs:number[], inSlab:number, layout:Layout}} Frame  (inSlab: which frame of its only slab) */

/** @param {Layout} layout */
export const frameBytes = (layout) => layout.columns * layout.rows * layout.samples * (layout.bits / 8);

export class Stack {
  /** @type {Frame[]} */
  frames = [];
  /** Whether the frames lie by their headers, not as they came. */
  ordered = false;

  /** @param {Series} series */
  constructor(series) {
    this.series = series;
    this.index = series.index;
    /** @type {Map<string, Frame>} */
    const cut = new Map();
    series.slabs.forEach((slab, number) => {
      const layout = series.layout[slab.instance];
      if (!layout) return;
      const whole = Math.floor(slab.rawBytes / frameBytes(layout));
      if (whole >= 1) {
        for (let n = 0; n < whole; n++) this.frames.push({ instance: slab.instance, frame: slab.frame + n, slabs: [number], inSlab: n, layout });
        return;
      }
      const key = `${slab.instance}.${slab.frame}`;
      const known = cut.get(key);
      if (known) known.slabs.push(number);
      else {
        const frame = { instance: slab.instance, frame: slab.frame, slabs: [number], inSlab: 0, layout };
        cut.set(key, frame);
        this.frames.push(frame);
      }
    });
    this.keys = new Set(series.keyImages);
  }

  /** Frames by their place along the normal of the first one, else by Instance Number; left as they came where some say neither.
   * @param {(frame: Frame) => Geometry|null} geometry @returns {boolean} whether the order is known now */
  order(geometry) {
    if (this.ordered) return true;
    const known = this.frames.map((frame) => ({ frame, own: geometry(frame) }));
    if (known.some(({ own }) => !own)) return false;
    this.ordered = true;
    const first = known[0]?.own?.orientation, normal = first && cross(first);
    const along = known.map(({ own }) => (normal && own?.position && sameWay(own.orientation, first) ? dot(normal, own.position) : null));
    const distinct = along.every((place) => place !== null) && new Set(along).size === along.length;
    const places = new Map(known.map(({ frame, own }, at) => [frame, distinct ? along[at] : own?.number ?? null]));
    if ([...places.values()].some((place) => place === null)) return true;
    const place = (/** @type {Frame} */ frame) => places.get(frame) ?? 0;
    this.frames.sort((a, b) => place(a) - place(b) || a.instance - b.instance || a.frame - b.frame);
    return true;
  }

  /** The first key image, else the middle: one that needs no other slab, where its neighbour does as well. */
  get entry() {
    const key = this.frames.findIndex((frame) => this.keys.has(frame.instance));
    if (key >= 0) return key;
    const middle = this.frames.length >> 1;
    const odd = (this.frames[middle]?.slabs[0] ?? 0) % 2 === 1;
    return odd && middle > 0 ? middle - 1 : middle;
  }

  /** Slabs that a slab may be predicted from (spec-bundle 3.2). @param {number} slab @returns {number[]} */
  neighbours(slab) {
    return this.series.slabs[slab]?.references ?? [];
  }
}

/** 0, 1, −1, 2, … from the middle outward, as places in a stack. @param {number} middle @param {number} length @param {number} [reach] */
export function* outward(middle, length, reach = length) {
  for (let distance = 0; distance <= reach; distance++) {
    if (middle + distance < length) yield middle + distance;
    if (distance > 0 && middle - distance >= 0) yield middle - distance;
    if (middle + distance >= length && middle - distance < 0) return;
  }
}

/** @param {number[]} orientation */
function cross([a = 0, b = 0, c = 0, d = 0, e = 0, f = 0]) {
  return [b * f - c * e, c * d - a * f, a * e - b * d];
}

/** @param {number[]} a @param {number[]} b */
const dot = (a, b) => a.reduce((sum, value, axis) => sum + value * (b[axis] ?? 0), 0);

/** @param {number[]|null} a @param {number[]|null|undefined} b */
const sameWay = (a, b) => !!a && !!b && a.every((value, axis) => Math.abs(value - (b[axis] ?? 0)) < 1e-3);

/** What to fetch, in order: what the eye is on, then every coarse picture outward, then full ones nearest first, then the other series, then
 * what the pictures lack to the exact ones. @param {Stack[]} stacks @param {number} current @param {number} place @param {boolean} exact @returns {number[]} segment numbers */
export function plan(stacks, current, place, exact) {
  /** @type {Set<number>} */
  const order = new Set();
  const stack = stacks.find(({ index }) => index === current);
  if (!stack) return [];
  opening(stack, place, order);
  for (const at of outward(place, stack.frames.length)) coarse(stack, at, order);
  const others = stacks.filter((other) => other !== stack);
  for (const other of others) opening(other, other.entry, order, false);
  for (const at of outward(place, stack.frames.length)) full(stack, at, order);
  for (const other of others) for (const at of outward(other.entry, other.frames.length)) coarse(other, at, order);
  for (const other of others) for (const at of outward(other.entry, other.frames.length)) full(other, at, order);
  if (exact) for (const own of [stack, ...others]) for (const at of outward(own === stack ? place : own.entry, own.frames.length))
    for (const slab of own.frames[at]?.slabs ?? []) add(order, own.series.slabs[slab]?.residual ?? undefined);
  return [...order];
}

/** @param {Stack} stack @param {number} at @param {Set<number>} order @param {boolean} [whole] */
function opening(stack, at, order, whole = true) {
  for (const segment of stack.series.headers) order.add(segment);
  if (stack.series.model !== null) order.add(stack.series.model);
  coarse(stack, at, order);
  if (whole) full(stack, at, order);
}

/** @param {Stack} stack @param {number} at @param {Set<number>} order */
function coarse(stack, at, order) {
  for (const slab of stack.frames[at]?.slabs ?? []) add(order, stack.series.slabs[slab]?.coarse);
}

/** @param {Stack} stack @param {number} at @param {Set<number>} order */
function full(stack, at, order) {
  for (const own of stack.frames[at]?.slabs ?? [])
    for (const slab of [...stack.neighbours(own), own]) {
      add(order, stack.series.slabs[slab]?.coarse);
      add(order, stack.series.slabs[slab]?.pixels);
    }
}

/** @param {Set<number>} order @param {number|undefined} segment */
function add(order, segment) {
  if (segment !== undefined) order.add(segment);
}
