// One decoder: a WASM instance with a memory of its own. One message in, one out, in order.

/** @typedef {import('./delivery.js').Layout} Layout */
/** @typedef {{id:number, task:'coarse'|'slab'|'exact', series:number, layout:Layout, rawBytes:number, coarse:Uint8Array, pixels:Uint8Array|null, references:Uint8Array[]}} Job
 *  (exact: `references` has the decoded slab alone, `coarse` is its residual) */
/** A frame that is carried as it came: its chunks, and how long each is unpacked.
 * @typedef {{id:number, task:'carried', series:number, layout:Layout, rawBytes:number, codestream:number, isRgb:boolean, isFirst:boolean, chunks:Uint8Array[], sizes:number[]}} Carried */
/** @typedef {{task:'module', module:WebAssembly.Module} | {task:'carried module', module:WebAssembly.Module} | {task:'model', series:number, bytes:Uint8Array, rawBytes:number} | Job | Carried} Order */
/** @typedef {{id:number, bytes:Uint8Array|null, columns:number, rows:number, ms:number, stopped?:boolean}} Result  (bytes null: damaged; stopped: or for want of memory) */

/** Memory of an instance that is kept for the next frame. */
const KEPT_BYTES_MAX = 32 << 20;

/** The decoder's exports (reader/wasm/src/lib.rs). @type {Promise<any>} */
let wasm;
/** The decoders of what is carried as it came, and an instance of them. @type {WebAssembly.Module|null} */
let carriedModule = null;
/** @type {any} */
let carriedDecoder = null;
/** @type {Map<number, {bytes:Uint8Array, rawBytes:number}>} */
const models = new Map();
/** The series whose model the decoder holds. @type {number|null} */
let held = null;

self.addEventListener('message', async ({ data }) => {
  const order = /** @type {Order} */ (data);
  if (order.task === 'module') {
    wasm = WebAssembly.instantiate(order.module, {}).then((instance) => instance.exports);
  } else if (order.task === 'carried module') {
    carriedModule = order.module;
  } else if (order.task === 'model') {
    models.set(order.series, order);
    held = null;
  } else {
    const result = order.task === 'carried' ? await decodeCarried(order) : decode(await wasm, order);
    self.postMessage(result, { transfer: result.bytes ? [result.bytes.buffer] : [] });
  }
});

/** @param {any} decoder @param {Job} job @returns {Result} */
function decode(decoder, job) {
  const start = performance.now();
  const { columns, rows, samples, bits, signed, planar, bigEndian } = job.layout;
  const flags = (signed ? 1 : 0) | (planar ? 2 : 0) | (bigEndian ? 4 : 0);
  take(decoder, job.series);
  let told;
  if (job.task === 'coarse') {
    told = give(decoder, [job.coarse]) ? decoder.scanpost_coarse(columns, rows, samples, bits, flags, job.rawBytes) : -1;
  } else if (job.task === 'exact') {
    told = give(decoder, [...job.references, job.coarse]) ? decoder.scanpost_exact(columns, rows, samples, bits, flags, job.rawBytes) : -1;
  } else {
    const parts = [...job.references, job.coarse, job.pixels ?? new Uint8Array()];
    told = give(decoder, parts)
      ? decoder.scanpost_slab(columns, rows, samples, bits, flags, job.rawBytes, job.references.length, job.coarse.length)
      : -1;
  }
  const bytes = told === 0 ? new Uint8Array(decoder.memory.buffer, decoder.scanpost_output(), decoder.scanpost_output_bytes()).slice() : null;
  const coarse = job.task === 'coarse' && bytes;
  return {
    id: job.id, bytes, ms: performance.now() - start,
    columns: coarse ? decoder.scanpost_coarse_columns() : columns, rows: coarse ? decoder.scanpost_coarse_rows() : rows,
  };
}

/** @param {Carried} job @returns {Promise<Result>} */
async function decodeCarried(job) {
  const start = performance.now(), { columns, rows, samples, bits, stored, signed } = job.layout;
  /** @type {Uint8Array|null} */
  let bytes = null;
  let stopped = false;
  try {
    carriedDecoder ??= (await WebAssembly.instantiate(/** @type {WebAssembly.Module} */ (carriedModule), {})).exports;
    const sizes = new DataView(new ArrayBuffer(8 * job.chunks.length));
    job.chunks.forEach((chunk, at) => { sizes.setUint32(8 * at, chunk.length, true); sizes.setUint32(8 * at + 4, job.sizes[at] ?? 0, true); });
    const flags = (signed ? 1 : 0) | (job.isFirst ? 2 : 0) | (job.isRgb ? 4 : 0), parts = [new Uint8Array(sizes.buffer), ...job.chunks];
    const told = give(carriedDecoder, parts) ? carriedDecoder.scanpost_picture(job.codestream, columns, rows, samples, bits, stored, flags, job.chunks.length) : -1;
    if (told === 0) bytes = new Uint8Array(carriedDecoder.memory.buffer, carriedDecoder.scanpost_output(), carriedDecoder.scanpost_output_bytes()).slice();
  } catch {
    // It stopped in the middle of foreign bytes: the next frame goes to a new one.
    carriedDecoder = null;
    stopped = true;
  }
  // A memory never shrinks, and one frame may have needed much.
  if (carriedDecoder && carriedDecoder.memory.buffer.byteLength > KEPT_BYTES_MAX) carriedDecoder = null;
  return { id: job.id, bytes, ms: performance.now() - start, columns, rows, stopped };
}

/** Loads the model of the series; one without is decoded without (spec-bundle 3.4). @param {any} decoder @param {number} series */
function take(decoder, series) {
  const model = models.get(series);
  if (held === series || !model) return;
  give(decoder, [model.bytes]);
  decoder.scanpost_model(model.rawBytes);
  held = series;
}

/** @param {any} decoder @param {Uint8Array[]} parts */
function give(decoder, parts) {
  // First the room, then the buffer: asking for room may grow the memory, which makes a new buffer.
  const place = decoder.scanpost_input(parts.reduce((sum, part) => sum + part.length, 0));
  if (!place) return false;
  let offset = place;
  for (const part of parts) {
    new Uint8Array(decoder.memory.buffer, offset, part.length).set(part);
    offset += part.length;
  }
  return true;
}

export {};
