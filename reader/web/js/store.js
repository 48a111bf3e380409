// What this device keeps between two visits: ciphertext, digests of covers that were seen, the sealed keys. Nothing that a thief of the
// storage could read. Where the browser gives no storage, it is kept as long as the page is open.

import { concat } from './bytes.js';

/** @import { Bytes } from './bytes.js' */

/** The service worker leaves caches alone whose names begin like this. */
const NAME = 'scanpost-data-1';
/** Addresses that no server has. */
const BASE = 'https://scanpost.invalid/';
/** Ciphertext is written in files of this size or after this pause: a file for every segment would be slow. */
const FILE_BYTES = 512 << 10;
const PAUSE_MS = 400;

/** @type {Map<string, {body: Bytes, names: string}>} */
const memory = new Map();

function cache() {
  return 'caches' in globalThis ? caches.open(NAME).catch(() => null) : Promise.resolve(null);
}

/** @param {string} path @param {Bytes} body @param {string} [names] @returns {Promise<boolean>} whether it is there after the page was closed */
async function put(path, body, names = '') {
  const open = await cache();
  try {
    if (open) await open.put(BASE + path, new Response(body, { headers: { 'X-Names': names } }));
    else memory.set(path, { body, names });
    return !!open;
  } catch {
    // A full disk: what was fetched is fetched again.
    return false;
  }
}

/** @param {string} path @returns {Promise<{blob: Blob, names: string}|null>} null: nothing is kept; what cannot be read rejects */
async function find(path) {
  const open = await cache();
  if (!open) {
    const kept = memory.get(path);
    return kept ? { blob: new Blob([kept.body]), names: kept.names } : null;
  }
  const answer = await open.match(BASE + path);
  return answer ? { blob: await answer.blob(), names: answer.headers.get('X-Names') ?? '' } : null;
}

/** @returns {Promise<string[]>} */
async function paths() {
  const open = await cache();
  return open ? (await open.keys()).map((request) => request.url.slice(BASE.length)) : [...memory.keys()];
}

/** @param {string} path */
export async function remove(path) {
  const open = await cache();
  memory.delete(path);
  if (open) await open.delete(BASE + path);
}

/** @param {string} name @returns {Promise<Bytes|null>} */
export async function kept(name) {
  const found = await find(name);
  return found && new Uint8Array(await found.blob.arrayBuffer());
}

/** @param {string} name @param {Bytes} bytes */
export function keep(name, bytes) {
  return put(name, bytes);
}

/** @param {string} name @returns {Promise<any>} null where nothing, or no JSON, is kept */
export async function keptJson(name) {
  try {
    const bytes = await kept(name);
    return bytes && JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return null;
  }
}

/** @param {string} name @param {unknown} value */
export function keepJson(name, value) {
  return put(name, /** @type {Bytes} */ (new TextEncoder().encode(JSON.stringify(value))));
}

/** Forgets the ciphertext of every delivery but these, and what was measured in it. @param {string[]} deliveries */
export async function forgetAllBut(deliveries) {
  const stays = new Set(deliveries);
  for (const path of await paths()) {
    const [kind, delivery] = path.split('/');
    if ((kind === 'sealed' || kind === 'measures') && !stays.has(delivery)) await remove(path);
  }
}

/** The ciphertext of one delivery, by names of its parts. */
export class SealedParts {
  /** @param {string} delivery */
  static async of(delivery) {
    const parts = new SealedParts(delivery);
    const own = (await paths()).filter((path) => path.startsWith(`sealed/${delivery}/`));
    for (const path of own) {
      const found = await find(path).catch(() => null);
      if (found) parts.#learn(path, found.names);
    }
    parts.#next = own.length;
    return parts;
  }

  /** @param {string} delivery @private */
  constructor(delivery) {
    this.#delivery = delivery;
  }

  #delivery;
  #next = 0;
  /** @type {Map<string, {path: string, start: number, bytes: number}>} */
  #places = new Map();
  /** @type {Map<string, Bytes>} not written yet */
  #waiting = new Map();
  /** @type {Map<string, Bytes>} being written */
  #writing = new Map();
  #waitingBytes = 0;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #timer;

  /** @param {string} name */
  has(name) {
    return this.#places.has(name) || this.#waiting.has(name) || this.#writing.has(name);
  }

  /** @param {string} name @returns {Promise<Bytes|null>} */
  async get(name) {
    const waiting = this.#waiting.get(name) ?? this.#writing.get(name);
    if (waiting) return waiting;
    const place = this.#places.get(name);
    const found = place && (await find(place.path).catch(() => null));
    if (!found) {
      this.#places.delete(name);
      return null;
    }
    const { start, bytes } = place;
    return new Uint8Array(await found.blob.slice(start, start + bytes).arrayBuffer());
  }

  /** Of bytes that were verified. @param {string} name @param {Bytes} bytes */
  put(name, bytes) {
    if (this.has(name)) return;
    this.#waiting.set(name, bytes);
    this.#waitingBytes += bytes.length;
    if (this.#waitingBytes >= FILE_BYTES) void this.flush();
    else this.#timer ??= setTimeout(() => void this.flush(), PAUSE_MS);
  }

  /** @param {string} name what was kept and is found damaged */
  drop(name) {
    this.#places.delete(name);
    this.#waiting.delete(name);
    this.#writing.delete(name);
  }

  /** Writes what waits. */
  async flush() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#waiting.size === 0) return;
    const written = this.#waiting;
    this.#waiting = new Map();
    this.#waitingBytes = 0;
    for (const [name, bytes] of written) this.#writing.set(name, bytes);
    const path = `sealed/${this.#delivery}/${this.#next++}`;
    const names = [...written].map(([name, bytes]) => `${name}:${bytes.length}`).join(' ');
    await put(path, concat(...written.values()), names);
    this.#learn(path, names);
    for (const name of written.keys()) this.#writing.delete(name);
  }

  /** @param {string} path @param {string} names */
  #learn(path, names) {
    let start = 0;
    for (const word of names.split(' ')) {
      const [name, length] = word.split(':');
      const bytes = Number(length);
      this.#places.set(name, { path, start, bytes });
      start += bytes;
    }
  }
}
