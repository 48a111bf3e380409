// Plays a series: which picture is due, and how many were really shown.

/** Pictures a second where the object does not say how many. */
const DEFAULT_RATE = 15;
/** More is no rate. */
const RATE_MAX = 1_000;
/** Over which what was shown is counted, ms. */
const COUNTED_MS = 1_000;
/** A picture stays no longer for want of the next. */
const HELD_MS = 400;
/** Of the pictures that are due, the share that may be missing before it is said: the last one of a second may fall into the next. */
const MISSING_SHARE = 0.06;

/** Pictures a second as the object says: Frame Time (PS3.3 C.7.6.5), else Cine Rate, else the one that is recommended. @param {import('../delivery.js').Geometry|null} geometry */
export function recordedRate(geometry) {
  const { frameTime, cineRate, displayRate } = geometry ?? {};
  const rate = [frameTime && 1_000 / frameTime, cineRate, displayRate].find((one) => one && one > 0 && one <= RATE_MAX) || undefined;
  return { rate: rate ?? DEFAULT_RATE, recorded: rate !== undefined };
}

/** What is due when; times in ms. */
export class Course {
  /** Pictures that were shown of late. @type {number[]} */
  #shown = [];
  #last = -1;

  /** With the first picture. @type {number|null} */
  #began = null;

  /** @param {number} rate @param {number} count @param {number} from place */
  constructor(rate, count, from) {
    this.rate = rate;
    this.count = count;
    this.from = from;
  }

  /** The place that is due: tempo is kept, whatever is left out. @param {number} now */
  due(now) {
    this.#began ??= now;
    return (this.from + Math.floor(((now - this.#began) * this.rate) / 1_000)) % this.count;
  }

  /** A picture came to the screen. @param {number} place @param {number} now */
  shown(place, now) {
    if (place !== this.#last) this.#shown.push(now);
    this.#last = place;
    while ((this.#shown[0] ?? now) <= now - COUNTED_MS) this.#shown.shift();
  }

  /** How many of those due in the last second were shown; none where that is all of them, or a second has not passed. @param {number} now @returns {number|null} */
  lacking(now) {
    if (this.#began === null || now - this.#began < COUNTED_MS) return null;
    const shown = this.#shown.filter((at) => at > now - COUNTED_MS).length;
    return shown < Math.floor(this.rate * (1 - MISSING_SHARE)) ? shown : null;
  }
}

/** Plays, until somebody stops it or leaves. It never starts by itself. */
export class Cine {
  /** @type {Course|null} */
  #course = null;
  #now = 0;
  #shownAt = 0;

  /** @param {{pane: () => import('./pane.js').Pane, show: (place: number) => void, changed: () => void}} around */
  constructor(around) {
    this.around = around;
    this.stop = this.stop.bind(this);
    document.addEventListener('visibilitychange', this.stop);
  }

  get playing() {
    return this.#course !== null;
  }

  get lacking() {
    return this.#course?.lacking(this.#now) ?? null;
  }

  toggle() {
    if (this.#course) return this.stop();
    this.#begin();
    this.around.changed();
  }

  /** From the picture that is shown, at its rate. */
  #begin() {
    const { geometry, stack, place } = this.around.pane(), course = new Course(recordedRate(geometry).rate, stack.frames.length, place);
    this.#course = course;
    requestAnimationFrame((now) => this.#step(course, now));
  }

  /** @param {Course} course @param {number} now */
  #step(course, now) {
    if (course !== this.#course) return;
    this.#now = now;
    const due = course.due(now), pane = this.around.pane();
    // What is not here yet leaves the picture before it, for a while.
    if (pane.pictures.picture(pane.stack, due) || now - this.#shownAt > HELD_MS) {
      this.#shownAt = now;
      this.around.show(due);
    }
    // Another clip of the series, or headers that came, may say another rate.
    if (recordedRate(this.around.pane().geometry).rate !== course.rate) this.#begin();
    else requestAnimationFrame((next) => this.#step(course, next));
  }

  /** The pane has drawn. @param {number} place */
  drawn(place) {
    this.#course?.shown(place, this.#now);
  }

  stop() {
    if (!this.#course) return;
    this.#course = null;
    this.around.changed();
  }

  close() {
    this.stop();
    document.removeEventListener('visibilitychange', this.stop);
  }
}
