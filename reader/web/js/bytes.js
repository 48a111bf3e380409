// Bytes as texts, and joined: what the other modules share.

/** @typedef {Uint8Array<ArrayBuffer>} Bytes */

/** @param {Uint8Array} bytes @returns {string} base64 with padding */
export function toBase64(bytes) {
  let text = '';
  // In pieces: a call takes only so many arguments.
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
}

/** @param {string} text base64 with padding @returns {Bytes} */
export function fromBase64(text) {
  return Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
}

/** @param {ArrayBuffer|Uint8Array} bytes @returns {string} base64url without padding */
export function toBase64Url(bytes) {
  return toBase64(new Uint8Array(bytes)).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

/** @param {string} text base64url @returns {Bytes} */
export function fromBase64Url(text) {
  return fromBase64(text.replaceAll('-', '+').replaceAll('_', '/'));
}

/** @param {Uint8Array} bytes @returns {string} lower-case hex */
export function toHex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** @param {string} text hex @returns {Bytes} */
export function fromHex(text) {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

/** @param {string} text @returns {Bytes} UTF-8 */
export function utf8(text) {
  return /** @type {Bytes} */ (new TextEncoder().encode(text));
}

/** @param {...Uint8Array} parts @returns {Bytes} */
export function concat(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** @param {Uint8Array} one @param {Uint8Array} other @returns {boolean} for what is no secret */
export function same(one, other) {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}

/** @param {Uint8Array} bytes @returns {Promise<Bytes>} SHA-256 */
export async function sha256(bytes) {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', /** @type {Bytes} */ (bytes)));
}

/** @param {number} count @returns {Bytes} */
export function random(count) {
  return crypto.getRandomValues(new Uint8Array(count));
}

/** @returns {number} seconds since 1970-01-01 UTC */
export function now() {
  return Math.floor(Date.now() / 1000);
}
