// What is here of a case: coded segments, coarse pictures of all frames, full ones near the eye. Decodes in the order of need within a budget.
import { Refusal } from '../portal.js';
import { Stack, around, farthest, firstOf, frameBytes, nearby, outward, plan, ranked } from './stack.js';
import { sampled, parted, thinned } from './samples.js';

/** @typedef {import('../delivery.js').Delivery} Delivery */
/** @typedef {import('../delivery.js').Geometry} Geometry */
/** @typedef {import('../decoder.js').Decoder} Decoder */
/** @typedef {import('./stack.js').Frame} Frame */
/** @typedef {import('./stack.js').Eye} Eye */
/** @typedef {import('./samples.js').Part} Part */
/** @typedef {{bytes:Uint8Array, columns:number, rows:number}} Coarse */
/** @typedef {{full:boolean, exact:boolean, parts:Part[]}} Picture */
/** Frames that are decoded once although the eye is elsewhere. @typedef {{stack:Stack, lacks:(place:number) => boolean}} Gathering */

/** Decoded full pictures, bytes. Telephones end a page at about 300 MB; program, workers and what is not swept up yet take some 140. */
const DECODED_BYTES_MAX = 48 << 20;
/** Coded bytes of full pictures; what lies above is asked for again, and comes from the device's own store. */
const CODED_BYTES_MAX = 48 << 20;
/** Frames on either side that are decoded before the eye comes. */
const REACH = 40;
/** After the last movement, ms: then what is seen is fetched first. */
const SETTLED_MS = 120;
/** Where it never rests, what is seen is looked for after so long, ms. */
const RESTLESS_MS = 1_000;

/** After which the decoder of what is carried as it came is asked for again, ms. */
const EQUIP_AGAIN_MS = 5_000;

/** Of larger frames one is decoded at a time: each takes several times its bytes meanwhile. */
const LARGE_BYTES = 4 << 20;

const DAMAGED = 'damaged';

export class Pictures extends EventTarget {
  /** @type {Stack[]} */
  stacks;
  /** Coded bytes of each segment that is here. @type {Map<number, Uint8Array>} */
  #coded = new Map();
  #codedBytes = 0;
  /** @type {Map<string, Coarse|null>} null: there is no coarse picture of it */
  #coarse = new Map();
  /** @type {Map<string, Uint8Array|typeof DAMAGED>} */
  #full = new Map();
  #fullBytes = 0;
  /** Full pictures with their residual. @type {Map<string, Uint8Array>} */
  #exact = new Map();
  #wantsExact = false;
  /** @type {Set<string>} */
  #busy = new Set();
  /** What is on its way of the stack that is opened first, as far as it shows it at all. @type {Set<number>} */
  #awaited;
  /** Segments that were here once. @type {Set<number>} */
  #seen = new Set();
  /** Those of them that are no residual, and how many there are. */
  #here = 0;
  #all;
  /** What is looked at. @type {Eye} */
  eye;
  /** The series that is looked at beside it. @type {Eye|null} */
  beside = null;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #settling;
  #wantedAt = 0;
  /** @type {Gathering|null} */
  #gathering = null;
  /** The frame of it that is decoded next: what it refers to stays meanwhile. */
  #gathered = 0;
  /** Segments that a document waits for. @type {Map<number, PromiseWithResolvers<Uint8Array>>} */
  #awaitedApart = new Map();
  #closed = false;
  /** The decoder of what is carried as it came is on its way. @type {Promise<void>|null} */
  #equipping = null;
  #largeBusy = false;
  /** Why no segment comes now. @type {{code:string, who:string}|null} */
  #late = null;
  /** Why what is carried as it came cannot be decoded now. @type {{code:string, who:string}|null} */
  #unequipped = null;

  /** @param {Delivery} delivery @param {Decoder} decoder @param {import('./hanging.js').Hanging} hanging */
  constructor(delivery, decoder, hanging) {
    super();
    this.delivery = delivery;
    this.decoder = decoder;
    this.hanging = hanging;
    this.#all = delivery.segments.filter(({ kind }) => kind !== 'residual').length;
    this.stacks = delivery.series.map((series) => new Stack(series)).filter((stack) => stack.frames.length > 0);
    hanging.arrange(this.stacks);
    this.stacks = ranked(this.stacks, () => null);
    const stack = this.stacks[0] ?? new Stack(NOTHING);
    this.eye = { stack, place: stack.entry };
    for (const one of this.stacks) this.#order(one);
    this.eye.place = stack.entry;
    this.#awaited = new Set(stack.series.slabs.flatMap((_, slab) => firstOf(stack, slab)));
    this.arrived = this.arrived.bind(this);
    this.failed = this.failed.bind(this);
    delivery.addEventListener('segment', this.arrived);
    delivery.addEventListener('failed', this.failed);
    decoder.ready.then(() => this.#pump(), () => {});
    this.#want();
  }

  get #eyes() {
    return this.beside ? [this.eye, this.beside] : [this.eye];
  }

  /** @param {Event} event */
  arrived(event) {
    const { number, bytes } = /** @type {CustomEvent<{number:number, bytes:Uint8Array}>} */ (event).detail;
    const segment = this.delivery.segments.find((one) => one.number === number);
    if (!segment || this.#closed) return;
    this.#late = null;
    this.#awaitedApart.get(number)?.resolve(bytes);
    this.#awaitedApart.delete(number);
    if (!this.#seen.has(number)) {
      this.#seen.add(number);
      if (segment.kind !== 'residual' && ++this.#here === this.#all) this.dispatchEvent(new Event('complete'));
    }
    if (segment.kind === 'model') this.decoder.model(segment.series, bytes, segment.rawBytes);
    else if (segment.slab !== null || segment.kind === 'residual') this.#keep(number, segment.kind, bytes);
    else if (segment.kind === 'headers') {
      const stack = this.stacks.find(({ index }) => index === segment.series);
      if (stack) this.#order(stack);
    }
    this.dispatchEvent(new Event('arrived'));
    this.#settle(number);
    this.#pump();
  }

  /** Once the last coarse picture of the first stack came, or is known not to come, that stack can be scrolled through. @param {number} number */
  #settle(number) {
    if (this.#awaited.delete(number) && this.#awaited.size === 0) this.dispatchEvent(new Event('scrollable'));
  }

  /** A segment that came damaged never comes: what it would have shown is said to be damaged. All else is told till something comes again.
   * @param {Event} event */
  failed(event) {
    const { code, who, number } = /** @type {CustomEvent<{code:string, who:string, number:number|null}>} */ (event).detail;
    if (number === null) this.#late = { code, who };
    else {
      this.#settle(number);
      this.#awaitedApart.get(number)?.reject(new Refusal(code, /** @type {import('../portal.js').Who} */ (who)));
      this.#awaitedApart.delete(number);
    }
    for (const stack of this.stacks)
      stack.series.slabs.forEach(({ coarse, pixels }, slab) => {
        if (number !== null && (number === coarse || pixels.includes(number) || number === stack.series.model)) this.#full.set(name(stack, slab), DAMAGED);
      });
    this.dispatchEvent(new Event('arrived'));
  }

  /** @param {number} number @param {string} kind @param {Uint8Array} bytes */
  #keep(number, kind, bytes) {
    if (this.#coded.has(number)) return;
    this.#coded.set(number, bytes);
    if (kind === 'coarse') return;
    this.#codedBytes += bytes.length;
    if (this.#codedBytes > CODED_BYTES_MAX) this.#forgetCoded();
  }

  /** Coded full pictures that are farthest from the eye go, till a quarter of the room is free. */
  #forgetCoded() {
    for (const { stack, slab } of farthest(this.stacks, this.#eyes)) {
      if (this.#codedBytes <= CODED_BYTES_MAX * 0.75) return;
      for (const number of [...(stack.series.slabs[slab]?.pixels ?? []), stack.series.slabs[slab]?.residual ?? -1]) {
        this.#codedBytes -= this.#coded.get(number)?.length ?? 0;
        this.#coded.delete(number);
      }
    }
  }

  /** The stack's frames by their headers, once all are here; the eye stays on its image. @param {Stack} stack */
  #order(stack) {
    if (stack.ordered) return;
    const eyes = this.#eyes.filter((eye) => eye.stack === stack).map((eye) => ({ eye, seen: stack.frames[eye.place], first: eye.place === stack.entry }));
    stack.order((frame) => this.geometry(stack, frame));
    if (!stack.ordered) return;
    for (const { eye, seen, first } of eyes)
      eye.place = first && stack.keys.size === 0 && !this.#hasFull(stack, eye.place) ? stack.entry : Math.max(0, seen ? stack.frames.indexOf(seen) : 0);
    this.dispatchEvent(new Event('ordered'));
  }

  /** @param {Stack} stack @param {import('./stack.js').Frame|undefined} frame @returns {Geometry|null} */
  geometry(stack, frame) {
    return frame ? this.delivery.geometry(stack.index, frame.instance, frame.frame) : null;
  }

  /** The residual of the delivery was joined to it: pictures become exact, what is seen first. */
  refine() {
    this.#wantsExact = true;
    this.#want();
  }

  /** Moves the eye. What is on the way is fetched as planned; where it rests, that comes first. @param {Eye} eye @param {Eye|null} [beside] */
  look(eye, beside = null) {
    const known = this.#eyes.map(({ stack }) => stack);
    [this.eye, this.beside] = [eye, beside];
    clearTimeout(this.#settling);
    if (this.#eyes.some(({ stack }) => !known.includes(stack))) this.#want();
    // What plays never rests.
    else if (performance.now() - this.#wantedAt > RESTLESS_MS) this.#wantLacking();
    else this.#settling = setTimeout(() => this.#wantLacking(), SETTLED_MS);
    this.#pump();
  }

  #wantLacking() {
    this.#wantedAt = performance.now();
    if (this.#eyes.some(({ stack, place }) => this.#lacks(stack, place))) this.#want();
  }

  /** Whether a frame's full picture is not here, coded or decoded. @param {Stack} stack @param {number} place */
  #lacks(stack, place) {
    return !this.#hasFull(stack, place) && !!stack.frames[place]?.slabs.some((own) =>
      [...stack.neighbours(own), own].some((slab) => stack.series.slabs[slab]?.pixels.some((number) => !this.#coded.has(number)) ?? true));
  }

  /** Sends the plan. Coarse pictures that were dropped are never asked for again; coded ones near the eye are. */
  #want() {
    if (this.#closed) return;
    const near = new Set([...nearby(this.#eyes, REACH), ...this.#lacking()]);
    const order = plan(this.stacks, this.#eyes, this.#wantsExact);
    const planned = new Set(order);
    // Last what has no picture: the case is then whole on this device.
    const rest = this.delivery.segments.filter(({ number, kind }) => kind !== 'residual' && !planned.has(number)).map(({ number }) => number);
    const apart = this.#awaitedApart;
    this.delivery.want([...apart.keys(), ...[...order, ...rest]
      .filter((number) => !apart.has(number) && !this.#coded.has(number) && (!this.#seen.has(number) || near.has(number)))]);
  }

  /** Segments of what is no picture, before all else; they are not kept here. @param {number[]} numbers @returns {Promise<Uint8Array[]>} */
  bring(numbers) {
    const coming = numbers.map((number) => {
      /** @type {PromiseWithResolvers<Uint8Array>} */
      const awaited = this.#awaitedApart.get(number) ?? Promise.withResolvers();
      this.#awaitedApart.set(number, awaited);
      return awaited.promise;
    });
    this.#want();
    return Promise.all(coming);
  }

  /** Every frame of a stack that somebody lacks is decoded, from the eye outward; none any more where nobody does. @param {Gathering|null} gathering */
  gather(gathering) {
    this.#gathering = gathering;
    // What was dropped comes again from the device's own store.
    if ([...this.#lacking()].some((number) => this.#seen.has(number) && !this.#coded.has(number))) this.#want();
    this.#pump();
  }

  /** Segments of what is gathered. */
  #lacking() {
    const { stack, lacks } = this.#gathering ?? {}, eyes = stack && lacks ? [...stack.frames.keys()].filter(lacks).map((place) => ({ stack, place })) : [];
    return nearby(eyes, 0);
  }

  /** Bytes that decoded pictures may take: of those that are gathered there is a copy elsewhere. */
  get #room() {
    return this.#gathering ? DECODED_BYTES_MAX / 2 : DECODED_BYTES_MAX;
  }

  /** What can be shown of a frame now: full, coarse or nothing. @param {Stack} stack @param {number} place @returns {Picture|null} */
  picture(stack, place) {
    const frame = stack.frames[place];
    if (!frame) return null;
    if (this.#hasFull(stack, place)) {
      const photometric = this.geometry(stack, frame)?.photometric ?? '';
      const exact = frame.slabs.every((slab) => this.#exact.has(name(stack, slab)));
      const raw = frame.slabs.map((slab) => /** @type {Uint8Array} */ ((exact ? this.#exact : this.#full).get(name(stack, slab))));
      return { full: true, exact, parts: [sampled(frame.layout, raw, frame.inSlab, photometric)] };
    }
    const parts = this.#coarseOf(stack, frame);
    return parts && { full: false, exact: false, parts };
  }

  /** @param {Stack} stack @param {Frame} frame @returns {Part[]|null} */
  #coarseOf(stack, frame) {
    const coarse = frame.slabs.map((slab) => this.#coarse.get(name(stack, slab))), photometric = this.geometry(stack, frame)?.photometric ?? '';
    // A coarse sample may be off: of an index that is another colour.
    return coarse.some((one) => one) && photometric !== 'PALETTE COLOR' ? parted(frame.layout, coarse, frame.inSlab, photometric) : null;
  }

  /** What stands for a stack among the others; of what is carried as it came the thinned frame, which stays. @param {Stack} stack */
  small(stack) {
    const frame = stack.frames[stack.entry], thinned = frame?.layout.carried ? this.#coarseOf(stack, frame) : null;
    return (thinned ?? this.picture(stack, stack.entry)?.parts)?.[0];
  }

  /** Why nothing more is shown now. */
  get trouble() {
    return this.#late ?? this.#unequipped;
  }

  /** @param {Stack} stack @param {number} place */
  damaged(stack, place) {
    return !!stack.frames[place]?.slabs.some((slab) => this.#full.get(name(stack, slab)) === DAMAGED);
  }

  /** @param {Stack} stack @param {number} place */
  #hasFull(stack, place) {
    const slabs = stack.frames[place]?.slabs;
    return !!slabs?.every((slab) => this.#full.get(name(stack, slab)) instanceof Uint8Array);
  }

  /** Frames of a stack that can be scrolled through, coarse at least. @param {Stack} stack */
  here(stack) {
    return stack.frames.filter(({ slabs }) => slabs.every((slab) => this.#coarse.has(name(stack, slab)) || this.#full.has(name(stack, slab)))).length;
  }

  /** Segments of the whole case but its residual: how many came, of how many. */
  get progress() {
    return { here: this.#here, all: this.#all };
  }

  get held() {
    return { decoded: this.#fullBytes, coded: this.#codedBytes, coarse: [...this.#coarse.values()].reduce((sum, one) => sum + (one?.bytes.length ?? 0), 0) };
  }

  /** Gives the decoders what is needed most, as long as they take it. */
  #pump() {
    while (!this.#closed && this.decoder.free) {
      const next = this.#ofEyes(({ stack, place }) => this.#nextCoarse(stack, [place])) ?? this.#ofEyes((eye) => this.#nextFull(eye, 0))
        ?? this.#ofEyes(({ stack, place }) => this.#nextCoarse(stack, outward(place, stack.frames.length))) ?? this.#othersCoarse() ?? this.#nextGathered() ?? this.#ofEyes((eye) => this.#nextFull(eye, REACH));
      if (!next) return;
      next();
    }
  }

  /** The first that there is. @param {(eye: Eye) => (() => void)|undefined} next */
  #ofEyes(next) {
    return next(this.eye) ?? (this.beside ? next(this.beside) : undefined);
  }

  /** @param {Stack} stack @param {Iterable<number>} places @returns {(() => void)|undefined} */
  #nextCoarse(stack, places) {
    for (const place of places)
      for (const slab of stack.frames[place]?.slabs ?? []) {
        const key = name(stack, slab), coded = this.#coded.get(stack.series.slabs[slab]?.coarse ?? -1);
        if (coded && this.#hasModel(stack) && !this.#coarse.has(key) && !this.#busy.has(`coarse ${key}`)) return () => this.#decodeCoarse(stack, slab, coded);
      }
    return undefined;
  }

  #othersCoarse() {
    for (const stack of this.stacks) {
      const next = this.#nextCoarse(stack, outward(stack.entry, stack.frames.length)) ?? this.#nextCarried(stack);
      if (next) return next;
    }
    return undefined;
  }

  /** Of a series that is carried as it came, the frame that stands for it among the series. @param {Stack} stack @returns {(() => void)|undefined} */
  #nextCarried(stack) {
    const frame = stack.frames[stack.entry], slab = frame?.slabs[0];
    return slab !== undefined && frame?.layout.carried && !this.#coarse.has(name(stack, slab)) ? this.#fullOf(stack, slab) : undefined;
  }

  /** @param {Stack} stack */
  #hasModel(stack) {
    return stack.series.model === null || this.#seen.has(stack.series.model);
  }

  /** The nearest frame whose slab, with what it refers to, can be decoded. @param {Eye} eye @param {number} reach @returns {(() => void)|undefined} */
  #nextFull({ stack, place }, reach) {
    let bytes = 0;
    for (const at of outward(place, stack.frames.length, reach)) {
      const frame = stack.frames[at];
      bytes += frame ? frameBytes(frame.layout) : 0;
      if (bytes > this.#room / 2 / this.#eyes.length && at !== place) return undefined;
      for (const slab of frame?.slabs ?? []) {
        const next = this.#fullOf(stack, slab) ?? this.#exactOf(stack, slab);
        if (next) return next;
      }
    }
    return undefined;
  }

  /** The frame nearest to the eye that is lacked and can be decoded. @returns {(() => void)|undefined} */
  #nextGathered() {
    if (!this.#gathering) return undefined;
    const { stack, lacks } = this.#gathering, from = this.eye.stack === stack ? this.eye.place : stack.entry;
    for (const at of [this.#gathered, ...outward(from, stack.frames.length)]) {
      if (!lacks(at)) continue;
      for (const slab of stack.frames[at]?.slabs ?? []) {
        const next = this.#fullOf(stack, slab);
        if (next && !lacks(this.#gathered)) this.#gathered = at;
        if (next) return next;
      }
    }
    return undefined;
  }

  /** @param {Stack} stack @param {number} slab @returns {(() => void)|undefined} */
  #fullOf(stack, slab) {
    const key = name(stack, slab), own = stack.series.slabs[slab];
    if (!own || this.#full.has(key) || this.#busy.has(key) || !this.#hasModel(stack)) return undefined;
    if (own.coarse === null) return this.#carriedOf(stack, slab);
    const coarse = this.#coded.get(own.coarse), pixels = this.#coded.get(own.pixels[0] ?? -1);
    if (!coarse || !pixels) return undefined;
    /** @type {Uint8Array[]} */
    const references = [];
    for (const other of refers(coarse) ? stack.neighbours(slab) : []) {
      const decoded = this.#full.get(name(stack, other));
      if (decoded === DAMAGED) {
        this.#full.set(key, DAMAGED);
        return undefined;
      }
      if (!decoded) return this.#fullOf(stack, other);
      references.push(decoded);
    }
    return () => this.#decodeFull(stack, slab, coarse, pixels, references);
  }

  /** Of a frame that is carried as it came. Its decoder comes when the first is wanted. @param {Stack} stack @param {number} slab @returns {(() => void)|undefined} */
  #carriedOf(stack, slab) {
    const { instance = 0, frame = 0, pixels = [] } = stack.series.slabs[slab] ?? {}, chunks = pixels.flatMap((number) => this.#coded.get(number) ?? []);
    // Its headers say what its colours are.
    if (chunks.length !== pixels.length || !this.delivery.geometry(stack.index, instance, frame)) return undefined;
    if (this.#largeBusy) return undefined;
    if (this.decoder.takesCarried) return () => this.#decodeCarried(stack, slab, chunks);
    this.#equipping ??= this.#equip();
    return undefined;
  }

  /** What failed is tried again after a while. */
  async #equip() {
    while (!this.#closed && !this.decoder.takesCarried) {
      try {
        await this.decoder.loadCarried();
        this.#unequipped = null;
      } catch (error) {
        const { code, who } = /** @type {Refusal} */ (error);
        this.#unequipped = { code, who };
        this.dispatchEvent(new Event('arrived'));
        await new Promise((later) => setTimeout(later, EQUIP_AGAIN_MS));
      }
    }
    this.dispatchEvent(new Event('arrived'));
    this.#pump();
  }

  /** @param {Stack} stack @param {number} slab @returns {(() => void)|undefined} */
  #exactOf(stack, slab) {
    const key = name(stack, slab), decoded = this.#full.get(key), residual = this.#coded.get(stack.series.slabs[slab]?.residual ?? -1);
    if (!residual || !(decoded instanceof Uint8Array) || this.#exact.has(key) || this.#busy.has(`exact ${key}`)) return undefined;
    return () => this.#decodeExact(stack, slab, decoded, residual);
  }

  /** @param {Stack} stack @param {number} slab @param {Uint8Array} decoded @param {Uint8Array} residual */
  async #decodeExact(stack, slab, decoded, residual) {
    const key = name(stack, slab);
    this.#busy.add(`exact ${key}`);
    const { bytes } = await this.decoder.decode({ task: 'exact', ...this.#job(stack, slab), coarse: residual, pixels: null, references: [decoded] });
    this.#busy.delete(`exact ${key}`);
    // A residual that is damaged leaves the picture what it was, and its loss said. One without anything to add is the picture itself.
    if (bytes && this.#full.get(key) === decoded) {
      this.#exact.set(key, bytes);
      this.#fullBytes += bytes.length;
    }
    if (!bytes) this.#coded.delete(stack.series.slabs[slab]?.residual ?? -1);
    this.#decoded(stack, slab);
  }

  /** @param {Stack} stack @param {number} slab @param {Uint8Array} coarse */
  async #decodeCoarse(stack, slab, coarse) {
    const key = name(stack, slab);
    this.#busy.add(`coarse ${key}`);
    const result = await this.decoder.decode({ task: 'coarse', ...this.#job(stack, slab), coarse, pixels: null, references: [] });
    this.#busy.delete(`coarse ${key}`);
    this.#coarse.set(key, result.bytes && { bytes: result.bytes, columns: result.columns, rows: result.rows });
    this.#decoded(stack, slab);
  }

  /** @param {Stack} stack @param {number} slab @param {Uint8Array} coarse @param {Uint8Array} pixels @param {Uint8Array[]} references */
  async #decodeFull(stack, slab, coarse, pixels, references) {
    const key = name(stack, slab);
    this.#busy.add(key);
    const { bytes } = await this.decoder.decode({ task: 'slab', ...this.#job(stack, slab), coarse, pixels, references });
    this.#busy.delete(key);
    this.#full.set(key, bytes ?? DAMAGED);
    this.#fullBytes += bytes?.length ?? 0;
    this.#decoded(stack, slab);
  }

  /** @param {Stack} stack @param {number} slab @param {Uint8Array[]} chunks */
  async #decodeCarried(stack, slab, chunks) {
    const key = name(stack, slab), { instance, frame, pixels } = /** @type {import('../delivery.js').Slab} */ (stack.series.slabs[slab]);
    const sizes = pixels.map((number) => this.delivery.segments.find((one) => one.number === number)?.rawBytes ?? 0), job = this.#job(stack, slab);
    const order = { task: /** @type {const} */ ('carried'), ...job, codestream: stack.series.codestream ?? -1, isRgb: this.delivery.geometry(stack.index, instance, frame)?.told === 'RGB', isFirst: frame === 0, chunks, sizes };
    const isLarge = job.rawBytes > LARGE_BYTES;
    this.#busy.add(key);
    if (isLarge) this.#largeBusy = true;
    // One that stopped may have lacked memory that is free now.
    const first = await this.decoder.decode(order), { bytes } = first.stopped ? await this.decoder.decode(order) : first;
    this.#busy.delete(key);
    if (isLarge) this.#largeBusy = false;
    if (stack.frames[stack.entry]?.slabs.includes(slab)) this.#coarse.set(key, bytes && thinned(job.layout, bytes));
    // Of a series that nobody looks at the small picture is enough.
    if (!bytes || this.#gathering?.stack === stack || this.#eyes.some((eye) => eye.stack === stack)) {
      this.#full.set(key, bytes ?? DAMAGED);
      this.#fullBytes += bytes?.length ?? 0;
    }
    this.#decoded(stack, slab);
  }

  /** @param {Stack} stack @param {number} slab */
  #job(stack, slab) {
    const { instance, rawBytes } = stack.series.slabs[slab] ?? { instance: 0, rawBytes: 0 };
    return { series: stack.index, layout: /** @type {import('../delivery.js').Layout} */ (stack.series.layout[instance]), rawBytes };
  }

  /** @param {Stack} stack @param {number} slab */
  #decoded(stack, slab) {
    this.dispatchEvent(new CustomEvent('decoded', { detail: { stack, slab } }));
    // Whoever gathers has taken it by now.
    if (this.#fullBytes > this.#room) this.#forgetDecoded();
    this.#pump();
  }

  /** Decoded pictures that are farthest from the eye go; they are decoded again when it comes back. */
  #forgetDecoded() {
    const gathering = this.#gathering, kept = new Set(gathering?.lacks(this.#gathered) ? around(gathering.stack, this.#gathered) : []);
    for (const { stack, slab } of farthest(this.stacks, this.#eyes)) {
      if (this.#fullBytes <= this.#room * 0.75) return;
      const key = name(stack, slab), bytes = this.#full.get(key);
      if (!(bytes instanceof Uint8Array) || (stack === gathering?.stack && kept.has(slab))) continue;
      this.#full.delete(key);
      this.#fullBytes -= bytes.length + (this.#exact.get(key)?.length ?? 0);
      this.#exact.delete(key);
    }
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#settling);
    this.delivery.removeEventListener('segment', this.arrived);
    this.delivery.removeEventListener('failed', this.failed);
    this.delivery.close();
    this.decoder.close();
    for (const kept of [this.#coded, this.#coarse, this.#full, this.#exact]) kept.clear();
  }
}

/** @type {import('../delivery.js').Series} */
const NOTHING = {
  index: -1, modality: '', description: '', banner: null, mixedPatients: false, near: 0, maxError: 0, rmse: 0, ratio: 0, referenceOnly: false,
  keyImages: [], instances: [], layout: [], slabs: [], model: null, headers: [], heads: [], whole: {}, codestream: null, transferSyntax: '',
};

/** @param {Stack} stack @param {number} slab */
const name = (stack, slab) => `${stack.index}.${slab}`;

/** Whether a slab was coded with references: the lattice coder's flag (spec-bundle 3.2, spec-codec 2.1).
 * @param {Uint8Array} coarse */
const refers = (coarse) => coarse[0] === 2 && ((coarse[1] ?? 0) & 2) !== 0;
