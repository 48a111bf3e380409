// Opens what a site sealed (docs/spec-mail.md): seal's parser says what to compute, WebCrypto computes it.

import { concat, fromBase64, fromHex, sha256, toBase64, toHex } from './bytes.js';
import { load, loadDevice } from './wasm.js';
import { Refusal } from './portal.js';

/** @import { Bytes } from './bytes.js' */
/** @import { Keys, Opener } from './keys.js' */

/**
 * @typedef {object} VerifiedCover a cover whose decryption, signature, addressee and format were checked
 * @property {any} cover what the site signed (seal::cover::Cover), without the content key
 * @property {CryptoKey} contentKey for HKDF, not extractable
 * @property {Bytes} digest SHA-256 of the DER
 * @property {Bytes} signer SHA-256 of the site's certificate
 * @property {string} site name under which that certificate is pinned
 * @property {Opener} opener whose certificate opened it
 */

/**
 * Opens and checks a cover (SPEC 5.4). An older key opens what was sealed before the newer one was known to the site.
 * @param {Bytes} der @param {Keys} keys @returns {Promise<VerifiedCover>}
 */
export async function openCover(der, keys) {
  let refusal = new Refusal('not_for_us', 'hospital');
  for (const opener of keys.encryption) {
    try {
      return await openBy(der, opener, keys.sites);
    } catch (error) {
      if (!(error instanceof Refusal) || error.code !== 'not_for_us') throw error;
      refusal = error;
    }
  }
  throw refusal;
}

/** @param {Bytes} der @param {Opener} opener @param {Keys['sites']} sites @returns {Promise<VerifiedCover>} */
async function openBy(der, opener, sites) {
  const parser = await load();
  const recipient = toBase64(opener.certificate);
  const request = parser.ask('envelope', { cover: toBase64(der), recipient });
  const signed = await decrypt(request, opener.key);
  const question = parser.ask('signed', { signed: toBase64(signed), sites: sites.map((site) => toBase64(site.certificate)) });
  const site = await signerOf(question);
  const cover = parser.ask('cover', { signed: toBase64(signed), site, recipient, cover_bytes: der.length });
  const pinned = sites.find((pinned) => toBase64(pinned.certificate) === site && (pinned.name === null || pinned.name === cover.site));
  // A site that we know speaks in the name of another one.
  if (!pinned) throw new Refusal('unknown_site', 'hospital');
  const contentKey = await crypto.subtle.importKey('raw', fromHex(cover.content_key), 'HKDF', false, ['deriveKey']);
  delete cover.content_key;
  signed.fill(0);
  const signer = await sha256(fromBase64(site));
  return { cover, contentKey, digest: await sha256(der), signer, site: cover.site, opener };
}

/** @param {Record<string, string>} request @param {CryptoKey} key @returns {Promise<Bytes>} */
async function decrypt(request, key) {
  const [wrapped, nonce, sealed] = [request.wrapped_key, request.nonce, request.sealed].map(fromBase64);
  try {
    const peer = await crypto.subtle.importKey('raw', fromBase64(request.ephemeral_point), { name: 'ECDH', namedCurve: 'P-256' }, false, []);
    const secret = new Uint8Array(await crypto.subtle.deriveBits({ name: 'ECDH', public: peer }, key, 256));
    const kek = await sha256(concat(secret, fromBase64(request.kdf_tail)));
    const unwrapping = await crypto.subtle.importKey('raw', kek, 'AES-KW', false, ['unwrapKey']);
    kek.fill(0);
    secret.fill(0);
    const content = await crypto.subtle.unwrapKey('raw', wrapped, unwrapping, 'AES-KW', 'AES-GCM', false, ['decrypt']);
    return new Uint8Array(await crypto.subtle.decrypt({ name: 'AES-GCM', iv: nonce }, content, sealed));
  } catch {
    throw new Refusal('damaged', 'hospital', null, 'the cover was changed or damaged on the way');
  }
}

/** The certificate whose key signed. @param {any} question @returns {Promise<string>} base64 DER */
async function signerOf(question) {
  for (const { certificate, point } of question.candidates) {
    if (await verifies(point, question)) return certificate;
  }
  throw new Refusal('unsigned', 'hospital', null, 'the cover bears the name of a known site and not its signature');
}

/** Whether the key at this point signed. @param {string} point @param {{message: string, signature: string}} question @returns {Promise<boolean>} */
export async function verifies(point, question) {
  try {
    const key = await crypto.subtle.importKey('raw', fromBase64(point), { name: 'ECDSA', namedCurve: 'P-256' }, false, ['verify']);
    return await crypto.subtle.verify({ name: 'ECDSA', hash: 'SHA-256' }, key, fromBase64(question.signature), fromBase64(question.message));
  } catch {
    return false;
  }
}

/** @param {CryptoKey} key @param {string} message base64 @returns {Promise<string>} base64 of r ‖ s */
export async function sign(key, message) {
  return toBase64(new Uint8Array(await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, key, fromBase64(message))));
}

/**
 * A signed statement (SPEC 8.2). @param {CryptoKey} key @param {{content: string, message: string}} toSign @returns {Promise<Bytes>}
 */
export async function signStatement(key, { content, message }) {
  const parser = await loadDevice();
  return fromBase64(parser.ask('statement', { content, signature: await sign(key, message) }).statement);
}

/**
 * The key of a piece (SPEC 2.1), if this is its header. @param {VerifiedCover} cover @param {Uint8Array} header @param {number} number
 * @returns {Promise<CryptoKey>}
 */
export async function pieceKey(cover, header, number) {
  const parser = await load();
  const { salt, info } = parser.ask('piece', { header: toBase64(header), delivery: cover.cover.delivery, number });
  const from = { name: 'HKDF', hash: 'SHA-256', salt: fromBase64(salt), info: fromBase64(info) };
  return crypto.subtle.deriveKey(from, cover.contentKey, { name: 'AES-GCM', length: 256 }, false, ['decrypt']);
}

/**
 * Opens a segment: its digest first, then its tag, so that who merely holds the content key cannot forge one.
 * @param {{key: CryptoKey, header: Uint8Array}} piece @param {number} number @param {number} counter @param {Bytes} sealed
 * @param {string} digest hex @returns {Promise<Bytes>}
 */
export async function openSegment(piece, number, counter, sealed, digest) {
  const parser = await load();
  if (toHex(await sha256(sealed)) !== digest) throw damaged();
  const { nonce, associated } = parser.bound(piece.header, number, counter);
  const how = { name: 'AES-GCM', iv: nonce, additionalData: associated };
  try {
    return new Uint8Array(await crypto.subtle.decrypt(how, piece.key, sealed));
  } catch {
    throw damaged();
  }
}

function damaged() {
  return new Refusal('damaged', 'hospital', null, 'a segment was changed or damaged on the way');
}
