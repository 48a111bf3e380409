// A series as a stack of frames: which slabs each frame needs, in which order frames lie, and what to fetch next.
import { SAME_MM, dot, normal } from './planes.js';

/** @typedef {import('../delivery.js').Delivery} Delivery */
/** @typedef {import('../delivery.js').Series} Series */
/** @typedef {import('../delivery.js').Layout} Layout */
/** @typedef {import('../delivery.js').Geometry} Geometry */
/** @typedef {{instance:number, frame:number, slabs:number[], inSlab:number, layout:Layout}} Frame  (inSlab: which frame of its only slab) */
/** Where a series is opened; `highest_b`: in the middle of the images with the highest b-value. @typedef {'first'|'middle'|'last'|'highest_b'} Begin */

/** @param {Layout} layout */
export const frameBytes = (layout) => layout.columns * layout.rows * layout.samples * (layout.bits / 8);

/** Behind all series that have a number. */
const MANY = 2 ** 31;

/** Of fewer slices no planes are cut. */
export const VOLUME_SLICES_MIN = 12;

export class Stack {
  /** @type {Frame[]} */
  frames = [];
  /** Whether the frames lie by their headers, not as they came. */
  ordered = false;
  /** Of diffusion-weighted images, once they are ordered. @type {number[]} */
  bValues = [];
  /** The smaller, the earlier it stands among the series. */
  rank = 0;
  /** @type {Begin} */
  begin = 'middle';
  /** Those with the highest b-value, once they are ordered and lie together: from which on, and how many. @type {{from: number, count: number}|null} */
  #highest = null;

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

  /** Frames by their place along the normal of the first one; where several lie in one place, those of each b-value apart; else by Instance Number; left as they
   * came where some say none of it.
   * @param {(frame: Frame) => Geometry|null} geometry @returns {boolean} whether the order is known now */
  order(geometry) {
    if (this.ordered) return true;
    const known = this.frames.map((frame) => ({ frame, own: geometry(frame) }));
    if (known.some(({ own }) => !own)) return false;
    this.ordered = true;
    const first = known[0]?.own?.orientation, across = first && normal(first);
    const along = known.map(({ own }) => (across && own?.position && sameWay(own.orientation, first) ? Math.round(dot(across, own.position) / SAME_MM) : null));
    const told = known.map(({ own }) => own?.bValue ?? null), values = [...new Set(told.filter((b) => b !== null))].sort((a, b) => a - b);
    // Some makers write 0 to images that are not of diffusion.
    this.bValues = values.some((b) => b > 0) ? values : [];
    const isPlaced = along.every((place) => place !== null), isDistinct = isPlaced && new Set(along).size === along.length;
    // What repeats a place with several b-values is read b-value by b-value, whatever its numbers say.
    const group = isPlaced && !isDistinct && values.length > 1 ? told : null;
    const numbers = new Map(known.map(({ frame, own }) => [frame, own?.number ?? null]));
    const places = group || isDistinct ? new Map(known.map(({ frame }, at) => [frame, along[at]])) : numbers;
    if ([...places.values()].some((place) => place === null)) return true;
    const groups = new Map(known.map(({ frame }, at) => [frame, group?.[at] ?? -1]));
    const by = (/** @type {Map<Frame, number|null|undefined>} */ of, /** @type {Frame} */ a, /** @type {Frame} */ b) => (of.get(a) ?? 0) - (of.get(b) ?? 0);
    this.frames.sort((a, b) => by(groups, a, b) || by(places, a, b) || by(numbers, a, b) || a.instance - b.instance || a.frame - b.frame);
    const count = known.filter((_, at) => told[at] === values.at(-1)).length;
    if (group) this.#highest = { from: known.length - count, count };
    return true;
  }

  /** What a doctor knows it by. */
  get name() {
    const { banner, description, modality } = this.series;
    return banner?.series_description || description || modality;
  }

  /** The first key image, else where it is to begin: of the middle one that needs no other slab, where its neighbour does as well. */
  get entry() {
    const key = this.frames.findIndex((frame) => this.keys.has(frame.instance));
    if (key >= 0) return key;
    if (this.begin === 'first') return 0;
    if (this.begin === 'last') return Math.max(0, this.frames.length - 1);
    const { from, count } = (this.begin === 'highest_b' && this.#highest) || { from: 0, count: this.frames.length }, middle = from + (count >> 1);
    const odd = (this.frames[middle]?.slabs[0] ?? 0) % 2 === 1;
    return odd && middle > from ? middle - 1 : middle;
  }

  /** Whether it is opened where a row says, and not in its middle. */
  get isBegunElsewhere() {
    return this.begin === 'highest_b' ? !!this.#highest : this.begin !== 'middle';
  }

  /** Slabs that a slab may be predicted from (spec-bundle 3.2). @param {number} slab @returns {number[]} */
  neighbours(slab) {
    return this.series.slabs[slab]?.references ?? [];
  }
}

/** By their ranks, those of one rank as the site numbers them, where all numbers are known, else as they came. @param {Stack[]} stacks
 * @param {(stack: Stack) => number|null|undefined} number undefined: not known yet */
export function ranked(stacks, number) {
  const numbers = new Map(stacks.map((stack) => [stack, number(stack)])), isKnown = ![...numbers.values()].includes(undefined);
  const of = (/** @type {Stack} */ stack) => (isKnown ? numbers.get(stack) : null) ?? MANY;
  return [...stacks].sort((a, b) => a.rank - b.rank || of(a) - of(b) || a.index - b.index);
}

/** 0, 1, −1, 2, … from the middle outward, as places in a stack. @param {number} middle @param {number} length @param {number} [reach] */
export function* outward(middle, length, reach = length) {
  for (let distance = 0; distance <= reach; distance++) {
    if (middle + distance < length) yield middle + distance;
    if (distance > 0 && middle - distance >= 0) yield middle - distance;
    if (middle + distance >= length && middle - distance < 0) return;
  }
}

/** @param {number[]|null} a @param {number[]|null|undefined} b */
const sameWay = (a, b) => !!a && !!b && a.every((value, axis) => Math.abs(value - (b[axis] ?? 0)) < 1e-3);

/** A series that is looked at, and where. @typedef {{stack: Stack, place: number}} Eye */

/** What to fetch, in order: what the eyes are on, then every coarse picture outward, then full ones nearest first, then the other series, then
 * what the pictures lack to the exact ones. @param {Stack[]} stacks @param {Eye[]} eyes the first one first @param {boolean} exact @returns {number[]} segment numbers */
export function plan(stacks, eyes, exact) {
  /** @type {Set<number>} */
  const order = new Set();
  const others = stacks.filter((other) => !eyes.some(({ stack }) => stack === other)).map((stack) => ({ stack, place: stack.entry }));
  for (const { stack, place } of eyes) opening(stack, place, order);
  for (const { stack, place } of eyes) for (const at of outward(place, stack.frames.length)) coarse(stack, at, order);
  for (const { stack, place } of others) opening(stack, place, order, false);
  for (const { stack, place } of eyes) for (const at of outward(place, stack.frames.length)) full(stack, at, order);
  for (const { stack, place } of others) for (const at of outward(place, stack.frames.length)) coarse(stack, at, order);
  for (const { stack, place } of others) for (const at of outward(place, stack.frames.length)) full(stack, at, order);
  if (exact) for (const { stack, place } of [...eyes, ...others]) for (const at of outward(place, stack.frames.length))
    for (const slab of stack.frames[at]?.slabs ?? []) add(order, stack.series.slabs[slab]?.residual ?? undefined);
  return [...order];
}

/** Segments of full pictures, and what they lack to the exact ones, around the eyes. @param {Eye[]} eyes @param {number} reach */
export function nearby(eyes, reach) {
  const slabs = eyes.flatMap(({ stack, place }) => [...outward(place, stack.frames.length, reach)].flatMap((at) => around(stack, at).map((slab) => stack.series.slabs[slab])));
  return new Set(slabs.flatMap((slab) => [...(slab?.pixels ?? []), slab?.residual ?? -1]));
}

/** Slabs of the series that nobody looks at, then of the others from the farthest on; never what is seen. @param {Stack[]} stacks @param {Eye[]} eyes */
export function* farthest(stacks, eyes) {
  for (const stack of stacks)
    if (!eyes.some((eye) => eye.stack === stack)) for (const { slabs } of stack.frames) for (const slab of slabs) yield { stack, slab };
  const left = eyes.map(({ stack, place }) => ({ stack, shown: new Set(around(stack, place)), places: [...outward(place, stack.frames.length)] }));
  // Of two, the one that has more left: both keep as much around the eye.
  for (;;) {
    const longer = left.reduce((one, other) => (other.places.length > one.places.length ? other : one)), at = longer.places.pop();
    if (at === undefined) return;
    for (const slab of longer.stack.frames[at]?.slabs ?? []) if (!longer.shown.has(slab)) yield { stack: longer.stack, slab };
  }
}

/** Slabs of a frame with those that they refer to. @param {Stack} stack @param {number} at */
export const around = (stack, at) => (stack.frames[at]?.slabs ?? []).flatMap((slab) => [...stack.neighbours(slab), slab]);

/** @param {Stack} stack @param {number} at @param {Set<number>} order @param {boolean} [whole] */
function opening(stack, at, order, whole = true) {
  for (const segment of stack.series.headers) order.add(segment);
  if (stack.series.model !== null) order.add(stack.series.model);
  for (const slab of stack.frames[at]?.slabs ?? []) for (const segment of firstOf(stack, slab)) order.add(segment);
  if (whole) full(stack, at, order);
}

/** @param {Stack} stack @param {number} at @param {Set<number>} order */
function coarse(stack, at, order) {
  for (const slab of stack.frames[at]?.slabs ?? []) add(order, stack.series.slabs[slab]?.coarse);
}

/** @param {Stack} stack @param {number} at @param {Set<number>} order */
function full(stack, at, order) {
  for (const own of stack.frames[at]?.slabs ?? [])
    for (const slab of [...stack.neighbours(own), own]) for (const segment of [...firstOf(stack, slab), ...(stack.series.slabs[slab]?.pixels ?? [])]) order.add(segment);
}

/** What shows a slab at all: its coarse picture, or all of a frame that is carried as it came. @param {Stack} stack @param {number} slab */
export function firstOf(stack, slab) {
  const { coarse = null, pixels = [] } = stack.series.slabs[slab] ?? {};
  return coarse === null ? pixels : [coarse];
}

/** @param {Set<number>} order @param {number|null|undefined} segment */
function add(order, segment) {
  if (segment !== undefined && segment !== null) order.add(segment);
}
