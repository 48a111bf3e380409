// The WASM modules: seal's parsers for this page, in two parts, the reader of documents, and the decoder for whoever runs one (decode-worker.js).

import { concat, utf8 } from './bytes.js';
import { Refusal } from './portal.js';

/** @import { Bytes } from './bytes.js' */

/** A function of one vector instruction: engines without SIMD do not take it. */
const SIMD = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11);

/** @type {Map<string, Promise<WebAssembly.Module>>} */
const compiled = new Map();
/** @type {Map<string, Promise<Parser>>} */
const loaded = new Map();

/** The decoder in the best build that this browser takes, compiled once; it can be posted to a worker. @returns {Promise<WebAssembly.Module>} */
export function compile() {
  return module(WebAssembly.validate(SIMD) ? 'simd' : 'plain');
}

/** The page's own instance, which parses what is sealed. @returns {Promise<Parser>} */
export function load() {
  return parser('parser');
}

/** Its other part: what this device signs, and links. No picture waits for it. @returns {Promise<Parser>} */
export function loadDevice() {
  return parser('device');
}

/** The decoders of frames that came compressed; as {@link compile}. @returns {Promise<WebAssembly.Module>} */
export function compileCarried() {
  return module('pictures');
}

/** What reads reports and documents: an instance of its own, whose memory goes with it. @returns {Promise<Parser>} */
export async function loadDocuments() {
  return new Parser(await instance(await module('documents')));
}

/** @param {'parser'|'device'} name @returns {Promise<Parser>} */
function parser(name) {
  const known = loaded.get(name);
  if (known) return known;
  const made = module(name).then(async (module) => new Parser(await instance(module)));
  loaded.set(name, made);
  made.catch(() => loaded.delete(name));
  return made;
}

/** @param {'parser'|'device'|'documents'|'pictures'|'simd'|'plain'} name @returns {Promise<WebAssembly.Module>} */
function module(name) {
  const known = compiled.get(name);
  if (known) return known;
  const made = build(name);
  compiled.set(name, made);
  // What failed is tried again the next time.
  made.catch(() => compiled.delete(name));
  return made;
}

/** Compiled as it comes. @param {string} name */
async function build(name) {
  let answer;
  try {
    answer = await fetch(new URL(`../wasm/${name}.wasm`, import.meta.url));
  } catch {
    throw new Refusal('link_lost', 'doctor');
  }
  if (!answer.ok) throw new Refusal('ours', 'operator');
  try {
    return await WebAssembly.compileStreaming(answer);
  } catch (error) {
    throw error instanceof WebAssembly.CompileError ? new Refusal('ours', 'us') : new Refusal('link_lost', 'doctor');
  }
}

/** @param {WebAssembly.Module} module @returns {Promise<Exports>} */
async function instance(module) {
  const made = await WebAssembly.instantiate(module, {});
  return /** @type {Exports} */ (/** @type {unknown} */ (made.exports));
}

/**
 * @typedef {object} Exports what parsing needs of reader/wasm/src/lib.rs
 * @property {WebAssembly.Memory} memory
 * @property {(bytes: number) => number} scanpost_input
 * @property {() => number} scanpost_output
 * @property {() => number} scanpost_output_bytes
 * @property {() => number} scanpost_ask
 * @property {(segment: number, counter: number) => number} scanpost_bound
 * @property {(pieces: number) => number} scanpost_index
 * @property {() => number} scanpost_manifest
 * @property {(questionBytes: number) => number} scanpost_geometry
 * @property {(questionBytes: number) => number} scanpost_documents
 * @property {(questionBytes: number) => number} scanpost_document
 * @property {(memoryKib: number, iterations: number, lanes: number) => number} scanpost_argon2id
 */

/** Header segments that are given: coded and raw bytes of each. @typedef {{transfer_syntax: string, heads: number[][], parts: number[][]}} Headers */

/** Parses and lays out bytes; it has no key and computes no primitive but SHA-256 and Argon2id. */
export class Parser {
  /** @param {Exports} exports */
  constructor(exports) {
    this.#exports = exports;
  }

  /** @type {Exports} */
  #exports;

  /**
   * Asks one question of reader/wasm/src/opening.rs or device.rs. Bytes go in and out as base64.
   * @param {string} name @param {Record<string, unknown>} fields @returns {any}
   */
  ask(name, fields) {
    return jsonOf(this.#run(utf8(JSON.stringify({ [name]: fields })), () => this.#exports.scanpost_ask(), name));
  }

  /** Nonce and associated data of a segment. @param {Uint8Array} header @param {number} segment @param {number} counter */
  bound(header, segment, counter) {
    const both = this.#run(header, () => this.#exports.scanpost_bound(segment, counter));
    return { nonce: both.slice(0, 12), associated: both.slice(12) };
  }

  /**
   * The places of all segments. @param {number[]} pieces bytes of each piece @param {Uint8Array} index
   * @returns {{piece: number, offset: number, bytes: number, counter: number, digest: Bytes}[]}
   */
  index(pieces, index) {
    const lengths = new DataView(new ArrayBuffer(4 * pieces.length));
    pieces.forEach((bytes, at) => lengths.setUint32(4 * at, bytes, true));
    const input = concat(new Uint8Array(lengths.buffer), index);
    const places = this.#run(input, () => this.#exports.scanpost_index(pieces.length));
    const view = new DataView(places.buffer);
    return Array.from({ length: places.length / 48 }, (_, number) => {
      const [piece, offset, bytes, counter] = [0, 4, 8, 12].map((at) => view.getUint32(48 * number + at, true));
      return { piece, offset, bytes, counter, digest: places.subarray(48 * number + 16, 48 * number + 48) };
    });
  }

  /** What reader/wasm/src/study.rs tells of a manifest. @param {Uint8Array} segment @returns {any} */
  manifest(segment) {
    return jsonOf(this.#run(segment, () => this.#exports.scanpost_manifest()));
  }

  /**
   * Where the images of a series lie, as far as its header segments are here.
   * @param {Headers} question @param {Uint8Array[]} parts @returns {any}
   */
  geometry(question, parts) {
    return jsonOf(this.#answer(question, parts, (bytes) => this.#exports.scanpost_geometry(bytes)));
  }

  /**
   * What reader/wasm/src/documents.rs names of the documents of a series, for each instance; null where it is none.
   * @param {Headers & {bulks: number[]}} question bulks: instances that have a bulk value @param {Uint8Array[]} parts @returns {any[]}
   */
  documents(question, parts) {
    return jsonOf(this.#answer(question, parts, (bytes) => this.#exports.scanpost_documents(bytes)));
  }

  /**
   * What it tells of one of them, and the file in it, where there is one that may be opened.
   * @param {Headers & {instance: number, sha256: string, chunks: number[][]}} question @param {Uint8Array[]} parts header segments, then chunks @returns {{told: any, file: Bytes}}
   */
  document(question, parts) {
    const output = this.#answer(question, parts, (bytes) => this.#exports.scanpost_document(bytes)), length = output.length - 4;
    const end = new DataView(output.buffer).getUint32(length, true);
    return { told: jsonOf(output.subarray(0, end)), file: output.subarray(end, length) };
  }

  /** @param {Uint8Array} input salt, then passphrase @param {{memory_kib: number, iterations: number, lanes: number}} cost */
  argon2id(input, cost) {
    return this.#run(input, () => this.#exports.scanpost_argon2id(cost.memory_kib, cost.iterations, cost.lanes));
  }

  /** To a question with bytes behind it. @param {object} question @param {Uint8Array[]} parts @param {(questionBytes: number) => number} call */
  #answer(question, parts, call) {
    const json = utf8(JSON.stringify(question));
    return this.#run(concat(json, ...parts), () => call(json.length));
  }

  /** @param {Uint8Array} input @param {() => number} call @param {string} [name] of the question @returns {Bytes} */
  #run(input, call, name = 'bytes') {
    const place = this.#exports.scanpost_input(input.length);
    if (place === 0) throw new Refusal('damaged', 'hospital', null, 'larger than the format allows');
    new Uint8Array(this.#exports.memory.buffer, place, input.length).set(input);
    let code;
    try {
      code = call();
    } catch {
      // A mistake of ours stopped it in the middle: the next question goes to a new instance.
      loaded.clear();
      throw new Refusal('ours', 'us', null, `${name}: the parser stopped`);
    }
    const output = new Uint8Array(this.#exports.memory.buffer, this.#exports.scanpost_output(), this.#exports.scanpost_output_bytes());
    const copy = output.slice();
    output.fill(0);
    if (code !== 0) {
      const { code, words } = JSON.parse(new TextDecoder().decode(copy));
      throw new Refusal(code, code === 'ours' ? 'us' : code === 'wrong' ? 'doctor' : 'hospital', null, `${name}: ${words}`);
    }
    return copy;
  }
}

/**
 * Argon2id in an instance of its own, whose memory goes with it.
 * @param {string} passphrase @param {Uint8Array} salt @param {{memory_kib: number, iterations: number, lanes: number}} cost
 * @returns {Promise<Bytes>} 32 bytes
 */
export async function stretch(passphrase, salt, cost) {
  const parser = new Parser(await instance(await module('device')));
  return parser.argon2id(concat(salt, utf8(passphrase)), cost);
}

/** @param {Uint8Array} output @returns {any} */
const jsonOf = (output) => JSON.parse(new TextDecoder().decode(output));
