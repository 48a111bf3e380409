// Receipts: what this device did, wants or says, signed by its identity (SPEC 7); words are sealed to the hospital first (SPEC 7.3).

import { concat, fromBase64, now, toBase64, toHex } from './bytes.js';
import { Refusal } from './portal.js';
import { sign } from './seal.js';
import { loadDevice } from './wasm.js';

/** @import { Bytes } from './bytes.js' */
/** @import { Keys } from './keys.js' */
/** @import { VerifiedCover } from './seal.js' */

/**
 * @typedef {'fetched'|'exact_wanted'|'first_image_shown'|'seen'|'read'|'answer'|'closed'|'passed_on'} Kind
 * @typedef {{kind: Kind, at: number, instances?: number, seconds?: number, sealed?: string}} Told at: seconds since 1970-01-01 UTC; seconds: of `read`;
 *   sealed: of `answer`, base64
 */

/** What the parser asks for of every receipt. @param {VerifiedCover} cover */
const about = (cover) => ({ delivery: cover.cover.delivery, cover: toHex(cover.digest), recipient: cover.opener.digest });

/** @param {VerifiedCover} cover @param {Keys} keys @param {Told} told @returns {Promise<Bytes|null>} DER; null for a guest, who has no identity */
export async function signReceipt(cover, keys, told) {
  if (!keys.identity) return null;
  const parser = await loadDevice();
  const receipt = { ...about(cover), ...told };
  const { message } = parser.ask('receipt', { receipt });
  const signature = await sign(keys.identity.key, message);
  return fromBase64(parser.ask('signed_receipt', { receipt, identity: toBase64(keys.identity.certificate), signature }).receipt);
}

/**
 * Seals an answer to the hospital, with a key that is used once. @param {VerifiedCover} cover @param {string} words none: call me back
 * @returns {Promise<Told>} to be signed; it can be kept, since only the hospital reads it
 */
export async function sealAnswer(cover, words) {
  const site = cover.cover.answers;
  if (!site) throw new Refusal('not_allowed', 'hospital', null, 'the hospital takes no answers to this delivery');
  const parser = await loadDevice();
  const curve = { name: 'ECDH', namedCurve: 'P-256' };
  const own = await crypto.subtle.generateKey(curve, false, ['deriveBits']);
  const sender = new Uint8Array(await crypto.subtle.exportKey('raw', own.publicKey));
  const { plain, salt, info } = parser.ask('answer', { ...about(cover), sender: toBase64(sender), site, words });
  const peer = await crypto.subtle.importKey('raw', fromBase64(site), curve, false, []);
  const secret = await crypto.subtle.deriveBits({ name: 'ECDH', public: peer }, own.privateKey, 256);
  const from = await crypto.subtle.importKey('raw', secret, 'HKDF', false, ['deriveKey']);
  const how = { name: 'HKDF', hash: 'SHA-256', salt: fromBase64(salt), info: fromBase64(info) };
  const key = await crypto.subtle.deriveKey(how, from, { name: 'AES-GCM', length: 256 }, false, ['encrypt']);
  const sealed = await crypto.subtle.encrypt({ name: 'AES-GCM', iv: new Uint8Array(12) }, key, fromBase64(plain));
  return { kind: 'answer', at: now(), sealed: toBase64(concat(sender, new Uint8Array(sealed))) };
}
