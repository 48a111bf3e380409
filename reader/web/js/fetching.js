// Fetches segments in the order that is wanted: one streamed request at a time, cut at segments as they come, each verified before it is
// kept or given on. What was verified once is never fetched again.

import { concat } from './bytes.js';
import { Refusal } from './portal.js';

/** @import { Bytes } from './bytes.js' */
/** @import { Portal } from './portal.js' */
/** @import { SealedParts } from './store.js' */
/** @import { Place } from './delivery.js' */

/** Of one request (docs/spec-portal.md). */
const RANGES_MAX = 4096;
const REQUEST_BYTES_MAX = 64 << 20;
const HEADER_BYTES = 64;
/** Segments that are being opened while more come: opening must not run behind the network by more. */
const OPENING_MAX = 16;
/** Beginnings of segments that are kept when the plan changes. */
const BEGUN_MAX = 16;
/** A request goes on under a new plan that wants the next segment of it among so many of its first. */
const NEXT_FEW = 4;
/** A lost link is tried again after these pauses, the last one again and again. */
const RETRY_MS = [300, 1000, 2000, 4000, 8000];
/** Waiting does not help against these. */
const FINAL = ['gone', 'unknown', 'piece_missing', 'signed_out', 'not_allowed', 'needs_device', 'bad_request', 'too_large', 'ours', 'damaged'];

/**
 * @typedef {object} Uses what the delivery does with what comes
 * @property {(number: number) => Place|null} place
 * @property {(piece: number, header: Bytes) => Promise<void>} header
 * @property {(number: number, place: Place, sealed: Bytes) => Promise<Bytes>} open
 * @property {(number: number, plain: Bytes) => void} emit
 * @property {(refusal: Refusal, number: number|null) => void} failed
 */

/** @typedef {{number: number|null, piece: number, offset: number, bytes: number}} Part a segment, or the header of a piece (no number) */

export class Fetching {
  /** @param {string} delivery @param {Portal} portal @param {SealedParts} parts @param {Bytes} front piece 1 as far as it came with index and manifest @param {Uses} uses */
  constructor(delivery, portal, parts, front, uses) {
    this.#delivery = delivery;
    this.#portal = portal;
    this.#parts = parts;
    this.#front = front;
    this.#uses = uses;
  }

  /** Bytes that came over the network. */
  fetchedBytes = 0;

  #delivery;
  #portal;
  #parts;
  #front;
  #uses;
  /** @type {number[]} wanted, and neither given nor being opened */
  #plan = [];
  /** @type {Set<number>} */
  #opening = new Set();
  /** Pieces whose headers are known. */
  #headers = new Set([1]);
  /** @type {Map<number, Bytes[]>} beginnings of segments */
  #begun = new Map();
  #pulling = false;
  #giving = false;
  /** @type {AbortController|null} */
  #request = null;
  /** @type {Part[]} what the request in flight has still to bring */
  #coming = [];
  /** @type {(() => void)|null} ends a pause */
  #wake = null;

  /** Asks for the header of a piece anew. @param {number} piece */
  forgetHeader(piece) {
    this.#headers.delete(piece);
    this.#parts.drop(headerName(piece));
  }

  /** @param {number[]} order */
  want(order) {
    this.#plan = [...new Set(order)].filter((number) => !this.#opening.has(number));
    this.#turn();
    this.#wake?.();
    void this.#give();
    void this.#pull();
  }

  /** Gives up the request in flight where the plan has other things first. */
  #turn() {
    const next = this.#coming.find((part) => part.number !== null);
    if (!this.#request || !next || next.number === null) return;
    if (!this.#missing(NEXT_FEW).includes(next.number)) this.#request.abort();
  }

  /** The first segments of the plan that must come over the network. @param {number} count @returns {number[]} */
  #missing(count) {
    const missing = [];
    for (const number of this.#plan) {
      if (missing.length >= count) break;
      if (!this.#isHere(number) && this.#uses.place(number)) missing.push(number);
    }
    return missing;
  }

  /** @param {number} number @returns {boolean} */
  #isHere(number) {
    return this.#parts.has(`${number}`) || this.#inFront(number) !== null;
  }

  /** @param {number} number @returns {Bytes|null} */
  #inFront(number) {
    const place = this.#uses.place(number);
    if (!place || place.piece !== 1 || place.offset + place.bytes > this.#front.length) return null;
    return this.#front.slice(place.offset, place.offset + place.bytes);
  }

  /** Opens what is here, in the order of the plan. */
  async #give() {
    if (this.#giving) return;
    this.#giving = true;
    for (;;) {
      const number = this.#plan.find((number) => this.#isHere(number));
      const place = number === undefined ? null : this.#uses.place(number);
      if (number === undefined || !place) break;
      this.#plan.splice(this.#plan.indexOf(number), 1);
      const sealed = (await this.#parts.get(`${number}`)) ?? this.#inFront(number);
      const given = sealed && (await this.#knowHeader(place.piece)) && (await this.#open(number, place, sealed, false));
      if (given) continue;
      // What was kept is gone or damaged: it is fetched again.
      this.#parts.drop(`${number}`);
      if (this.#inFront(number)) this.#front = new Uint8Array();
      this.#plan.unshift(number);
    }
    this.#giving = false;
    void this.#pull();
  }

  /** @param {number} piece @returns {Promise<boolean>} whether its header was kept */
  async #knowHeader(piece) {
    if (this.#headers.has(piece)) return true;
    const header = await this.#parts.get(headerName(piece));
    return header !== null && this.#learn(piece, header);
  }

  /** @param {number} piece @param {Bytes} header @returns {Promise<boolean>} */
  async #learn(piece, header) {
    try {
      await this.#uses.header(piece, header);
      this.#headers.add(piece);
      return true;
    } catch {
      return false;
    }
  }

  /** Fetches what is not here, until nothing is missing. */
  async #pull() {
    if (this.#pulling) return;
    this.#pulling = true;
    let tries = 0;
    for (let asked = this.#next(); asked.length > 0; asked = this.#next()) {
      const before = this.fetchedBytes;
      try {
        await this.#stream(asked);
        tries = 0;
      } catch (error) {
        const refusal = error instanceof Refusal ? error : new Refusal('link_lost', 'doctor');
        if (this.fetchedBytes > before) tries = 0;
        this.#uses.failed(refusal, null);
        if (FINAL.includes(refusal.code)) this.#plan = [];
        else await this.#pause(refusal.retryAfter === null ? RETRY_MS[Math.min(tries++, RETRY_MS.length - 1)] : 1000 * refusal.retryAfter);
      }
    }
    this.#pulling = false;
    await this.#parts.flush();
  }

  /** The next request. @returns {Part[]} */
  #next() {
    /** @type {Part[]} */
    const asked = [];
    const headers = new Set(this.#headers);
    let bytes = 0;
    for (const number of this.#missing(RANGES_MAX / 2)) {
      const place = this.#uses.place(number);
      if (!place) continue;
      if (asked.length > 0 && bytes + place.bytes > REQUEST_BYTES_MAX) break;
      if (!headers.has(place.piece)) asked.push({ number: null, piece: place.piece, offset: 0, bytes: HEADER_BYTES });
      headers.add(place.piece);
      const begun = sum(this.#begun.get(number) ?? []);
      asked.push({ number, piece: place.piece, offset: place.offset + begun, bytes: place.bytes - begun });
      bytes += place.bytes;
    }
    return asked;
  }

  /** @param {Part[]} asked */
  async #stream(asked) {
    const request = new AbortController();
    this.#request = request;
    this.#coming = asked;
    let got = /** @type {Bytes[]} */ ([]);
    try {
      const stream = await this.#portal.ranges(this.#delivery, joined(asked), request.signal);
      const reader = stream.getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        this.fetchedBytes += value.length;
        for (let rest = /** @type {Bytes} */ (value); rest.length > 0; ) {
          const [part] = this.#coming;
          if (!part) throw new Refusal('damaged', 'operator', null, 'the portal sent more than it was asked for');
          const taken = rest.slice(0, part.bytes - sum(got));
          got.push(taken);
          rest = rest.subarray(taken.length);
          if (sum(got) < part.bytes) continue;
          this.#coming.shift();
          const bytes = concat(...got);
          got = [];
          await this.#take(part, bytes);
          this.#turn();
        }
      }
      if (this.#coming.length > 0) throw new Refusal('link_lost', 'doctor');
    } catch (error) {
      this.#keepBegun(this.#coming[0], got);
      if (!request.signal.aborted) throw error;
    } finally {
      this.#coming = [];
      this.#request = null;
    }
  }

  /** @param {Part|undefined} part @param {Bytes[]} got */
  #keepBegun(part, got) {
    if (!part || part.number === null || got.length === 0) return;
    this.#begun.set(part.number, [...(this.#begun.get(part.number) ?? []), ...got]);
    const [oldest] = this.#begun.keys();
    if (this.#begun.size > BEGUN_MAX) this.#begun.delete(oldest);
  }

  /** @param {Part} part @param {Bytes} bytes */
  async #take({ number, piece }, bytes) {
    if (number === null) {
      if (await this.#learn(piece, bytes)) this.#parts.put(headerName(piece), bytes);
      return;
    }
    const place = this.#uses.place(number);
    const sealed = concat(...(this.#begun.get(number) ?? []), bytes);
    this.#begun.delete(number);
    if (!place || this.#opening.has(number)) return;
    this.#plan = this.#plan.filter((wanted) => wanted !== number);
    const opening = this.#open(number, place, sealed, true);
    if (this.#opening.size >= OPENING_MAX) await opening;
  }

  /**
   * @param {number} number @param {Place} place @param {Bytes} sealed @param {boolean} fresh from the network: told where it is damaged
   * @returns {Promise<boolean>} whether it was given
   */
  async #open(number, place, sealed, fresh) {
    this.#opening.add(number);
    try {
      const plain = await this.#uses.open(number, place, sealed);
      // Nothing happens where it was read from there.
      this.#parts.put(`${number}`, sealed);
      this.#opening.delete(number);
      this.#uses.emit(number, plain);
      return true;
    } catch (error) {
      this.#opening.delete(number);
      if (!(error instanceof Refusal)) throw error;
      if (fresh) this.#uses.failed(error, number);
      return false;
    }
  }

  /** Until it is over, the plan changes, or the network is back. @param {number} ms @returns {Promise<void>} */
  #pause(ms) {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        globalThis.removeEventListener?.('online', end);
        this.#wake = null;
        resolve();
      };
      const timer = setTimeout(end, ms);
      globalThis.addEventListener?.('online', end);
      this.#wake = end;
    });
  }
}

/** @param {number} piece @returns {string} */
function headerName(piece) {
  return `header-${piece}`;
}

/** @param {Bytes[]} parts @returns {number} bytes */
function sum(parts) {
  return parts.reduce((bytes, part) => bytes + part.length, 0);
}

/** Neighbours as one range. @param {Part[]} parts @returns {number[][]} */
function joined(parts) {
  /** @type {number[][]} */
  const ranges = [];
  for (const { piece, offset, bytes } of parts) {
    const last = ranges.at(-1);
    if (last && last[0] === piece && last[1] + last[2] === offset) last[2] += bytes;
    else ranges.push([piece, offset, bytes]);
  }
  return ranges;
}
