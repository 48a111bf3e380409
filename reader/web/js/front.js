// The start of piece 1: header, index and manifest of a delivery, fetched and verified.

import { concat, toHex } from './bytes.js';
import { Refusal } from './portal.js';
import { openSegment, pieceKey } from './seal.js';
import { load } from './wasm.js';

/** @import { Bytes } from './bytes.js' */
/** @import { Place } from './delivery.js' */
/** @import { Portal } from './portal.js' */
/** @import { VerifiedCover } from './seal.js' */
/** @import { SealedParts } from './store.js' */

/** Piece 1 begins with its header of 64 bytes, the length of the index (4), the index, the manifest. */
const HEADER_BYTES = 64;
const INDEX_AT = HEADER_BYTES + 4;
const INDEX_NUMBER = 0xffffffff;
/** The first fetch is meant to hold index and manifest: about so many bytes for each instance, and some for the series. */
const FRONT_BYTES_BASE = 16 << 10;
const FRONT_BYTES_INSTANCE = 180;
/** A sealed index of a million segments (index.rs): longer ones are not asked for. */
const INDEX_BYTES_MAX = 44_000_021;

/** Header, index and manifest of a delivery, verified. */
export class Front {
  /** From the device where it was kept, else from the portal. @param {VerifiedCover} cover @param {SealedParts} parts @param {Portal} portal @returns {Promise<Front>} */
  static async read(cover, parts, portal) {
    const kept = await parts.get('front');
    if (kept) {
      try {
        return await Front.#open(cover, kept, async () => new Uint8Array());
      } catch {
        parts.drop('front');
      }
    }
    const more = (/** @type {number} */ from, /** @type {number} */ to) => fetchRange(cover, portal, from, to - from);
    const guess = FRONT_BYTES_BASE + FRONT_BYTES_INSTANCE * cover.cover.completeness.instances;
    const front = await Front.#open(cover, await more(0, Math.min(cover.cover.pieces[0][0], guess)), more);
    parts.put('front', front.bytes.slice(0, front.length));
    return front;
  }

  /**
   * Where the index ends is said before it, where the manifest ends in it: what is missing is fetched. @param {VerifiedCover} cover @param {Bytes} start of
   * piece 1 @param {(from: number, to: number) => Promise<Bytes>} more @returns {Promise<Front>}
   */
  static async #open(cover, start, more) {
    const parser = await load();
    const pieces = cover.cover.pieces.map((/** @type {[number, string]} */ piece) => piece[0]);
    let bytes = start;
    const slice = async (/** @type {number} */ from, /** @type {number} */ to) => {
      if (to > pieces[0]) throw damaged('index');
      if (to > bytes.length) bytes = concat(bytes, await more(bytes.length, to));
      return bytes.slice(from, to);
    };
    const header = await slice(0, HEADER_BYTES);
    const piece = { key: await pieceKey(cover, header, 1), header };
    const length = new DataView((await slice(HEADER_BYTES, INDEX_AT)).buffer).getUint32(0);
    if (length > INDEX_BYTES_MAX) throw damaged('index');
    const index = await openSegment(piece, INDEX_NUMBER, 0, await slice(INDEX_AT, INDEX_AT + length), cover.cover.index);
    const places = parser.index(pieces, index);
    const [first] = places;
    const end = first.offset + first.bytes;
    if (first.offset !== INDEX_AT + length || toHex(first.digest) !== cover.cover.manifest) throw damaged('manifest');
    const manifest = await openSegment(piece, 0, first.counter, await slice(first.offset, end), cover.cover.manifest);
    return new Front(places, manifest, parser.manifest(manifest), piece, bytes, end);
  }

  /** @param {Place[]} places @param {Bytes} manifest @param {any} study @param {{key: CryptoKey, header: Bytes}} piece @param {Bytes} bytes @param {number} length */
  constructor(places, manifest, study, piece, bytes, length) {
    this.places = places;
    this.manifest = manifest;
    this.study = study;
    this.piece = piece;
    /** What came of piece 1: segments behind the manifest among it. */
    this.bytes = bytes;
    this.length = length;
  }
}

/** @param {'index'|'manifest'} what @returns {Refusal} */
function damaged(what) {
  return new Refusal('damaged', 'hospital', null, `the ${what} was changed or damaged on the way`);
}

/** @param {VerifiedCover} cover @param {Portal} portal @param {number} offset @param {number} length @returns {Promise<Bytes>} */
async function fetchRange(cover, portal, offset, length) {
  const stream = await portal.ranges(cover.cover.delivery, [[1, offset, length]], new AbortController().signal);
  let bytes;
  try {
    bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  } catch {
    throw new Refusal('link_lost', 'doctor');
  }
  if (bytes.length !== length) throw new Refusal('damaged', 'hospital', null, 'a piece was cut on the way');
  return bytes;
}
