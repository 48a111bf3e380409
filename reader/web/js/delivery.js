// One delivery: opened, verified, and fetched in the order that the viewer wants.

import { fromBase64, now, sha256, same, toHex } from './bytes.js';
import { Fetching } from './fetching.js';
import { Front } from './front.js';
import { Refusal } from './portal.js';
import { sealAnswer, signReceipt } from './receipt.js';
import { openCover, openSegment, pieceKey } from './seal.js';
import { keepJson, keptJson, SealedParts } from './store.js';
import { load } from './wasm.js';

/** @import { Bytes } from './bytes.js' */
/** @import { Keys } from './keys.js' */
/** @import { Entry, Portal } from './portal.js' */
/** @import { Kind, Told } from './receipt.js' */
/** @import { VerifiedCover } from './seal.js' */
/** @import { Parser } from './wasm.js' */

/**
 * @typedef {{number: number, kind: 'headers'|'model'|'coarse'|'pixels'|'opaque'|'residual', series: number, instance: number|null, slab: number|null, bytes: number, rawBytes: number}} Segment bytes: sealed
 * @typedef {{columns: number, rows: number, samples: number, bits: number, stored: number, signed: boolean, planar: boolean, bigEndian: boolean, carried: boolean, frames: number, photometric: string}} Layout photometric: empty until the headers are here; carried: as it came, decoded by pictures.wasm
 * @typedef {{first: number, bits: number, entries: number[]}} Table of the value `first` and those behind it
 * @typedef {{known: boolean, orientation: number[]|null, position: number[]|null, spacing: [number, number]|null, atDetector: boolean, calibrated: boolean, slope: number, intercept: number, center: number|null, width: number|null, number: number|null, padding: number|null, rescaleType: string, photometric: string, frameTime: number|null, cineRate: number|null, displayRate: number|null, seriesNumber: number|null, frameOfReference: string|null, bValue: number|null, highBit: number|null, lossy: boolean, inverse: boolean, voiFunction: string, modalityTable: Table|null, voiTable: Table|null, palette: Table[]|null, tablesKnown: boolean, told: string}} Geometry `known`: false where the frame's item could not be read, so that it can have no letters and no scale; photometric: of what is decoded; told: as the image says; lossy: it came as what had lost something
 * @typedef {{all: Geometry, frames: Geometry[]|null}} ImageGeometry `all`: of each frame that `frames` does not have
 * @typedef {Record<string, string>} Banner texts by the names of bundle SPEC 4.3; control characters are in them
 * @typedef {{instance: number, frame: number, row: number, coarse: number|null, pixels: number[], residual: number|null, rawBytes: number, references: number[]}} Slab frame and row that it begins with; coarse: none of a frame that is carried as it came, and `pixels` are its chunks; references: slabs of the series that it is predicted from where the model uses references
 * @typedef {{index: number, modality: string, description: string, banner: Banner|null, mixedPatients: boolean, near: number, maxError: number, rmse: number, ratio: number, referenceOnly: boolean, keyImages: number[], instances: (string|null)[], layout: (Layout|null)[], slabs: Slab[], model: number|null, headers: number[], heads: [number, number][], whole: Record<number, string>, codestream: number|null, transferSyntax: string}} Series ratio: 0 where nothing was coded as pixels; heads: bytes before and behind the bulk value of each instance; whole: SHA-256 of those that have no pixels, by place in `instances`; codestream: of frames that are carried as they came
 * @typedef {{piece: number, offset: number, bytes: number, counter: number, digest: Bytes}} Place
 */

/** The one that is genuine, where several messages say to be the cover. @param {Entry} entry @param {Keys} keys @returns {Promise<VerifiedCover>} */
async function verified(entry, keys) {
  /** @type {unknown} */
  let refusal;
  for (const { site, cover } of [entry, ...(entry.twins ?? [])]) {
    try {
      return await genuine(entry.delivery, site, cover, keys);
    } catch (error) {
      refusal ??= error;
    }
  }
  throw refusal;
}

/** @param {string} delivery @param {string} site @param {string|null} der base64 @param {Keys} keys @returns {Promise<VerifiedCover>} */
async function genuine(delivery, site, der, keys) {
  if (!der) throw new Refusal('needs_device', 'doctor');
  const cover = await openCover(fromBase64(der), keys);
  // A genuine cover under the name of another delivery, or for another case than a guest may see.
  if (cover.cover.delivery !== delivery || cover.site !== site) throw new Refusal('replayed', 'hospital');
  if (keys.onlyCase !== null && cover.cover.case !== keys.onlyCase) throw new Refusal('not_for_us', 'hospital');
  return cover;
}

/** @param {VerifiedCover} cover @param {Keys} keys @param {Portal} portal @param {Told} told @returns {Promise<boolean>} */
async function post(cover, keys, portal, told) {
  const der = await signReceipt(cover, keys, told);
  if (!der) return false;
  await portal.postReceipt(cover.cover.delivery, told.kind, cover.opener.digest.slice(0, 16), cover.site, der);
  return true;
}

export class Delivery extends EventTarget {
  /**
   * Verifies signature, recipients, index and manifest.
   * @param {Entry} entry @param {Keys} keys @param {Portal} portal @returns {Promise<Delivery>}
   */
  static async open(entry, keys, portal) {
    const [cover, parts] = await Promise.all([verified(entry, keys), SealedParts.of(entry.delivery)]);
    const [front, opened] = await Promise.all([Front.read(cover, parts, portal), remembered(cover)]);
    return new Delivery(cover, keys, portal, parts, front, opened, await load());
  }

  /**
   * The delivery that this one only completes; from the cover alone, nothing is fetched. @param {Entry} entry @param {Keys} keys
   * @returns {Promise<string|null>}
   */
  static async residualOf(entry, keys) {
    return (await verified(entry, keys)).cover.residual_of ?? null;
  }

  /**
   * @param {VerifiedCover} cover @param {Keys} keys @param {Portal} portal @param {SealedParts} parts @param {Front} front @param {boolean} opened
   * @param {Parser} parser @private
   */
  constructor(cover, keys, portal, parts, front, opened, parser) {
    super();
    const said = cover.cover;
    this.#cover = cover;
    this.#keys = keys;
    this.#portal = portal;
    this.#parser = parser;
    this.#study = front.study;
    this.#manifest = front.manifest;
    /** @type {string} */
    this.id = said.delivery;
    /** @type {string} */
    this.caseId = said.case;
    /** @type {number} */
    this.sequence = said.sequence;
    this.site = cover.site;
    /** @type {number} seconds since 1970-01-01 UTC */
    this.sealedAt = said.sealed_at;
    /** @type {{is: 'proved'|'partial'|'not_proved', instances: number, listed?: number}} */
    this.completeness = said.completeness;
    /** @type {string} */
    this.policy = said.policy;
    /** @type {string|null} */
    this.residualOf = said.residual_of ?? null;
    /** @type {number|null} */
    this.residualUntil = said.residual_until ?? null;
    /** @type {string|null} control characters are in it */
    this.note = front.study.note;
    /** @type {boolean} no two instances name different patients */
    this.onePatient = front.study.one_patient;
    /** Whether this device showed the delivery before. */
    this.opened = opened;
    /** @type {Series[]} */
    this.series = this.residualOf ? [] : front.study.series.map(shownSeries);
    /** @type {Segment[]} in priority order; those that are not in this delivery are left out */
    this.segments = [];
    this.#list(front.places);
    this.#fetching = new Fetching(this.id, portal, parts, front.bytes, {
      place: (number) => this.#places.get(number) ?? null,
      header: (piece, bytes) => this.#learnHeader(piece, bytes),
      open: (number, place, bytes) => this.#open(number, place, bytes),
      emit: (number, bytes) => this.#emit(number, bytes),
      failed: (refusal, number) => this.#failed(refusal, number),
    });
    this.#pieces.set(1, front.piece);
  }

  #cover;
  #keys;
  #portal;
  #parser;
  /** @type {any} */
  #study;
  #manifest;
  /** @type {Fetching} */
  #fetching;
  /** @type {Map<number, Place>} */
  #places = new Map();
  /** @type {Map<number, {key: CryptoKey, header: Bytes}>} */
  #pieces = new Map();
  /** @type {Map<number, {parts: Map<number, Bytes>, read: number, geometry: ImageGeometry[]}>} by series */
  #headers = new Map();
  /** @type {Delivery|null} */
  #residual = null;

  /**
   * Replaces the plan: these segments come as events `segment`, in this order as far as what is here already lets it. What was fetched before is
   * not fetched again. @param {number[]} order segment numbers
   */
  want(order) {
    const own = order.filter((number) => this.#places.has(number));
    const others = order.filter((number) => !this.#places.has(number));
    this.#fetching.want(own);
    const first = this.#study.first_residual;
    this.#residual?.want(others.filter((number) => number >= first).map((number) => number - first + 1));
  }

  /** Ends all fetching. What was fetched stays. */
  close() {
    this.#fetching.want([]);
    this.#residual?.close();
  }

  /** Bytes that came over the network, verified or not. @returns {number} */
  get fetchedBytes() {
    return this.#fetching.fetchedBytes;
  }

  /**
   * Where a frame lies and how it is shown, once the header segments before and with its image are here.
   * @param {number} series @param {number} instance @param {number} frame @returns {Geometry|null}
   */
  geometry(series, instance, frame) {
    const headers = this.#headers.get(series);
    if (!headers) return null;
    if (headers.geometry[instance]) return ofFrame(headers.geometry[instance], frame);
    const numbers = this.series[series].headers;
    let count = 0;
    while (count < numbers.length && headers.parts.has(numbers[count])) count++;
    if (count > headers.read) {
      headers.read = count;
      const own = numbers.slice(0, count);
      const { transfer_syntax, heads } = this.#study.series[series];
      const sizes = own.map((number) => [headers.parts.get(number)?.length ?? 0, this.#study.segments[number - 1][3]]);
      const read = this.#parser.geometry({ transfer_syntax, heads, parts: sizes }, own.map((number) => headers.parts.get(number) ?? new Uint8Array()));
      /** @type {Map<string, Table[]>} */
      const palettes = new Map();
      const { layout, codestream } = this.series[series];
      headers.geometry = read.images.map((/** @type {any} */ image, /** @type {number} */ at) => shownGeometry(image, read.tables, palettes, layout[at]?.carried ? codestream : null, transfer_syntax));
    }
    return ofFrame(headers.geometry[instance], frame);
  }

  /**
   * Signs and posts a receipt. A guest has no identity and posts none. @param {Kind} kind one that needs no more than its name
   * @returns {Promise<boolean>} whether it was posted
   */
  receipt(kind) {
    return post(this.#cover, this.#keys, this.#portal, this.told(kind));
  }

  /** What a receipt of this moment says. @param {Kind} kind @param {number} [seconds] of `read` @returns {Told} */
  told(kind, seconds) {
    const instances = kind === 'fetched' ? { instances: this.completeness.instances } : {};
    return { kind, at: now(), ...instances, ...(seconds ? { seconds } : {}) };
  }

  /** Whether the doctor can say something back: not a guest, and not where the hospital takes no answers. */
  get canAnswer() {
    return this.#keys.identity !== null && typeof this.#cover.cover.answers === 'string';
  }

  /** What the doctor says back, sealed. @param {'seen'|'call_back'|'words'|'closed'|'passed_on'} kind @param {string} [text] of `words` @returns {Promise<Told>} */
  async answer(kind, text = '') {
    return kind === 'call_back' || kind === 'words' ? sealAnswer(this.#cover, kind === 'words' ? text : '') : this.told(kind);
  }

  /**
   * Signs and posts what was kept of a delivery that need not be open. @param {Entry} entry @param {Keys} keys @param {Portal} portal @param {Told} told
   * @returns {Promise<boolean>}
   */
  static async tell(entry, keys, portal, told) {
    return post(await verified(entry, keys), keys, portal, told);
  }

  /** Asks the hospital for what the pictures lack to the originals; it comes as a delivery with {@link residualOf}. @returns {Promise<boolean>} */
  exact() {
    return this.receipt('exact_wanted');
  }

  /** Whether the hospital can still be asked. @returns {boolean} */
  get exactCanBeAsked() {
    return this.residualUntil !== null && this.residualUntil * 1000 > Date.now() && this.#study.first_residual < this.#study.all_segments;
  }

  /**
   * Joins the residual that came apart (SPEC 5.7, bundle SPEC 7): its segments are then those of this delivery.
   * @param {Delivery} residual
   */
  join(residual) {
    const first = this.#study.first_residual;
    const ours = residual.residualOf === this.id && residual.caseId === this.caseId && same(residual.#cover.signer, this.#cover.signer);
    const whole = residual.#places.size === this.#study.all_segments - first && same(residual.#manifest, this.#manifest);
    if (!ours || !whole) throw new Refusal('damaged', 'hospital', null, 'the residual belongs to another delivery');
    this.#residual = residual;
    for (const [number, place] of residual.#places) this.#add(number + first - 1, place.bytes);
    this.#markResiduals();
    residual.addEventListener('segment', (event) => {
      const { number, bytes } = /** @type {CustomEvent} */ (event).detail;
      this.#emit(number + first - 1, bytes);
    });
    residual.addEventListener('failed', (event) => {
      const { number, ...detail } = /** @type {CustomEvent} */ (event).detail;
      this.dispatchEvent(new CustomEvent('failed', { detail: { ...detail, number: number === null ? null : number + first - 1 } }));
    });
  }

  /** @param {Place[]} places */
  #list(places) {
    const { all_segments, first_residual, segments } = this.#study;
    const alone = this.residualOf !== null;
    const from = alone ? first_residual - 1 : 0;
    const counts = alone ? [all_segments - first_residual + 1] : [all_segments, first_residual];
    if (!counts.includes(places.length)) throw new Refusal('damaged', 'hospital', null, 'the index is not that of the manifest');
    places.forEach((place, number) => {
      if (number === 0) return;
      // The plain segment and its tag.
      if (place.bytes !== segments[from + number - 1][4] + 16) throw new Refusal('damaged', 'hospital', null, 'the index is not that of the manifest');
      this.#places.set(number, place);
      if (!alone) this.#add(number, place.bytes);
    });
    this.#markResiduals();
  }

  /** @param {number} number of the whole bundle @param {number} bytes sealed */
  #add(number, bytes) {
    const [kind, series, instance, rawBytes] = this.#study.segments[number - 1];
    const of = kind === 'headers' || kind === 'model' ? null : instance;
    this.segments.push({ number, kind, series, instance: of, slab: null, bytes, rawBytes });
  }

  /** Tells segments of their slabs, and slabs of their residuals. */
  #markResiduals() {
    const byNumber = new Map(this.segments.map((segment) => [segment.number, segment]));
    for (const series of this.series) {
      const own = this.segments.filter((segment) => segment.kind === 'residual' && segment.series === series.index);
      // Those of instances that were decoded are chunks of what came, not of slabs (bundle SPEC 3.6). Frames that are carried as they came lack nothing, and stand last.
      const slabs = series.near > 0 && own.length === series.slabs.filter(({ coarse }) => coarse !== null).length ? own : [];
      series.slabs.forEach((slab, at) => {
        slab.residual = slabs[at]?.number ?? null;
        for (const number of [slab.coarse, ...slab.pixels, slab.residual]) {
          const segment = number === null ? undefined : byNumber.get(number);
          if (segment) segment.slab = at;
        }
      });
    }
  }

  /** @param {number} piece @param {Bytes} header */
  async #learnHeader(piece, header) {
    if (this.#pieces.has(piece)) return;
    this.#pieces.set(piece, { key: await pieceKey(this.#cover, header, piece), header });
  }

  /** @param {number} number @param {Place} place @param {Bytes} bytes @returns {Promise<Bytes>} */
  async #open(number, place, bytes) {
    const piece = this.#pieces.get(place.piece);
    if (!piece) throw new Refusal('damaged', 'hospital', null, 'a piece has no header');
    return openSegment(piece, number, place.counter, bytes, toHex(place.digest));
  }

  /** @param {number} number @param {Bytes} bytes */
  #emit(number, bytes) {
    const [kind, series] = this.#study.segments[number - 1] ?? [];
    if (kind === 'headers' && !this.residualOf) {
      const headers = this.#headers.get(series) ?? { parts: new Map(), read: 0, geometry: [] };
      headers.parts.set(number, bytes);
      this.#headers.set(series, headers);
    }
    this.dispatchEvent(new CustomEvent('segment', { detail: { number, bytes } }));
  }

  /** @param {Refusal} refusal @param {number|null} number */
  #failed(refusal, number) {
    // A header with another salt makes every tag wrong: it is asked for anew the next time.
    const place = number === null ? undefined : this.#places.get(number);
    if (place && refusal.code === 'damaged' && place.piece !== 1) {
      this.#pieces.delete(place.piece);
      this.#fetching.forgetHeader(place.piece);
    }
    const { code, who, message, retryAfter } = refusal;
    this.dispatchEvent(new CustomEvent('failed', { detail: { code, who, words: message, retryAfter, number } }));
  }
}

/** One after the other: two deliveries of a case that are opened at once write to the same list. */
let noting = Promise.resolve(false);

/** @param {VerifiedCover} cover @returns {Promise<boolean>} */
function remembered(cover) {
  noting = noting.catch(() => false).then(() => noted(cover));
  return noting;
}

/**
 * Remembers which delivery numbers of the case were seen: another cover of the same number is a replay or a forgery (SPEC 5.4).
 * @param {VerifiedCover} cover @returns {Promise<boolean>} whether it was seen before
 */
async function noted({ cover, digest, signer }) {
  const name = `seen/${toHex(await sha256(signer)).slice(0, 16)}-${cover.case}`;
  const seen = (await keptJson(name)) ?? {};
  const before = seen[cover.sequence];
  const own = `${cover.delivery} ${toHex(digest)}`;
  if (before && before !== own) throw new Refusal('replayed', 'hospital', null, 'another delivery of the case bore this number');
  if (!before) await keepJson(name, { ...seen, [cover.sequence]: own });
  return Boolean(before);
}

/** @param {any} told @param {number} index @returns {Series} */
function shownSeries(told, index) {
  const slab = (/** @type {any} */ one) => ({ ...one, rawBytes: one.raw_bytes, residual: null });
  const carried = new Set(told.slabs.flatMap((/** @type {any} */ one) => (one.coarse === null ? one.instance : [])));
  return {
    index,
    modality: told.modality,
    description: told.description,
    banner: Object.keys(told.banner).length > 0 ? told.banner : null,
    mixedPatients: told.mixed_patients,
    near: told.near,
    maxError: told.max_error,
    rmse: told.rmse,
    ratio: told.ratio ?? 0,
    referenceOnly: told.reference_only,
    // They stand first (bundle SPEC 4.5).
    keyImages: Array.from({ length: told.key_images ?? 0 }, (_, at) => at),
    instances: told.instances,
    layout: told.layout.map((/** @type {any} */ one, /** @type {number} */ at) => one && shownLayout(one, carried.has(at))),
    slabs: told.slabs.map(slab),
    model: told.model,
    headers: told.headers,
    heads: told.heads,
    whole: Object.fromEntries(told.whole),
    codestream: told.codestream,
    transferSyntax: told.transfer_syntax,
  };
}

/** @param {any} told @param {boolean} carried @returns {Layout} */
function shownLayout(told, carried) {
  const { columns, rows, frames, signed, planar } = told;
  const [samples, bits, stored, bigEndian] = [told.samples_per_pixel, told.bits_allocated, told.bits_stored, told.big_endian];
  return { columns, rows, samples, bits, stored, signed, planar, bigEndian, carried, frames, photometric: '' };
}

/** What the decoders of carried frames make of colours, by codestream (reader/wasm/src/pictures.rs); of JPEG 2000 nobody says whether YBR_FULL was transformed.
 * @type {Record<string, string>[]} */
const DECODED = [{}, { YBR_FULL: 'RGB', YBR_FULL_422: 'RGB' }, { YBR_RCT: 'RGB', YBR_ICT: 'RGB', YBR_FULL: '' }];

/** Transfer syntaxes of frames that are decoded here and have always lost something: JPEG baseline and extended (PS3.5 8.2.1). */
const ALWAYS_LOSSY = ['1.2.840.10008.1.2.4.50', '1.2.840.10008.1.2.4.51'];

/** Of one frame after the other, or of all of them: then `frames` is null. @param {any} told @param {Table[]} tables
 * @param {Map<string, Table[]>} palettes those of other images: one that is shared is one texture @param {number|null} codestream of frames that are carried as they came @param {string} syntax transfer syntax @returns {ImageGeometry} */
function shownGeometry(told, tables, palettes, codestream, syntax) {
  const { number, padding, frame_time: frameTime, cine_rate: cineRate, display_rate: displayRate, series_number: seriesNumber, frame_of_reference: frameOfReference, high_bit: highBit, lossy } = told;
  const photometric = DECODED[codestream ?? 0]?.[told.photometric] ?? told.photometric ?? '', table = (/** @type {number|null} */ place) => (place === null ? null : tables[place] ?? null);
  const key = String(told.palette), palette = told.palette && (palettes.get(key) ?? told.palette.map(table));
  palettes.set(key, palette);
  const of = (/** @type {any} */ frame, known = true) => ({
    known,
    orientation: frame.orientation ?? null,
    position: frame.position ?? null,
    spacing: frame.spacing ?? null,
    atDetector: frame.at_detector ?? false,
    calibrated: frame.calibrated ?? false,
    slope: frame.slope ?? 1,
    intercept: frame.intercept ?? 0,
    center: frame.center ?? null,
    width: frame.width ?? null,
    number,
    padding,
    rescaleType: frame.rescale_type ?? '',
    photometric,
    frameTime,
    cineRate,
    displayRate,
    seriesNumber,
    frameOfReference,
    bValue: frame.b_value ?? null,
    highBit,
    lossy: lossy || ALWAYS_LOSSY.includes(syntax),
    // PS3.3 C.11.6. MONOCHROME1 says the same, and no IDENTITY beside it takes that back.
    inverse: told.presentation === 'INVERSE' || photometric === 'MONOCHROME1',
    voiFunction: frame.voi_function ?? 'LINEAR',
    modalityTable: table(told.modality_table),
    voiTable: table(told.voi_table),
    palette,
    tablesKnown: !told.tables_unknown,
    told: told.photometric ?? '',
  });
  return { all: told.frames ? of({}, false) : of(told), frames: told.frames?.map((/** @type {any} */ frame) => of(frame)) ?? null };
}

/** @param {ImageGeometry|undefined} geometry @param {number} frame @returns {Geometry|null} */
const ofFrame = (geometry, frame) => geometry?.frames?.[frame] ?? geometry?.all ?? null;
