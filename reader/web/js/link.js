// A link for somebody outside: the passphrase opens the private key that the site sealed into it (SPEC 10).

import { concat, fromBase64, fromHex, sha256, toBase64, toHex, utf8 } from './bytes.js';
import { Keys } from './keys.js';
import { Refusal } from './portal.js';
import { verifies } from './seal.js';
import { loadDevice, stretch } from './wasm.js';

/** @import { Bytes } from './bytes.js' */
/** @import { Home, Portal } from './portal.js' */

/** Salt of HKDF for what comes from the passphrase. */
const SALT = utf8('scanpost link\x01');
const NONCE_BYTES = 12;

/** @param {Portal} portal @param {string} link 32 hex digits @returns {Promise<{expires_at: number, uses_left: number, tries_left: number}>} */
export function linkInfo(portal, link) {
  return portal.link(link);
}

/**
 * Opens a link. @param {Portal} portal @param {string} link 32 hex digits @param {string} passphrase as typed
 * @returns {Promise<{home: Home, keys: Keys}>}
 */
export async function openLink(portal, link, passphrase) {
  const info = await portal.link(link);
  const master = await stretch(normalised(passphrase), fromBase64(info.salt), info.argon2);
  const from = await crypto.subtle.importKey('raw', master, 'HKDF', false, ['deriveBits']);
  master.fill(0);
  const output = async (/** @type {string} */ usage) => {
    const how = { name: 'HKDF', hash: 'SHA-256', salt: SALT, info: concat(utf8(usage), fromHex(link)) };
    return new Uint8Array(await crypto.subtle.deriveBits(how, from, 256));
  };
  const { statement, deliveries, hanging } = await portal.openLink(link, toBase64(await output('proof')));
  const keys = await unseal(statement, link, await output('key'), deliveries[0]?.site ?? null);
  return { home: { user: '', level: 'link', keys: null, deliveries, hanging, link: info }, keys };
}

/** Words joined by one blank, in one spelling. @param {string} passphrase @returns {string} */
function normalised(passphrase) {
  return passphrase.normalize('NFKC').toLowerCase().trim().split(/\s+/u).join(' ');
}

/** @param {string} statement base64 @param {string} link @param {Bytes} key @param {string|null} site @returns {Promise<Keys>} */
async function unseal(statement, link, key, site) {
  const parser = await loadDevice();
  const terms = parser.ask('link', { statement });
  if (terms.link !== link) throw new Refusal('replayed', 'operator');
  const sealed = fromBase64(terms.sealed);
  const how = { name: 'AES-GCM', iv: sealed.slice(0, NONCE_BYTES), additionalData: fromBase64(terms.associated) };
  let plain;
  try {
    const opening = await crypto.subtle.importKey('raw', key, 'AES-GCM', false, ['decrypt']);
    plain = new Uint8Array(await crypto.subtle.decrypt(how, opening, sealed.slice(NONCE_BYTES)));
  } catch {
    throw new Refusal('damaged', 'hospital', null, 'the link was changed or damaged on the way');
  }
  const secret = parser.ask('link_secret', { plain: toBase64(plain) });
  plain.fill(0);
  const pinned = parser.ask('certificate', { certificate: secret.site });
  if (!(await verifies(pinned.point, terms))) throw new Refusal('unsigned', 'hospital');
  const algorithm = { name: 'ECDH', namedCurve: 'P-256' };
  const handle = await crypto.subtle.importKey('pkcs8', fromBase64(secret.key), algorithm, false, ['deriveBits']);
  const certificate = fromBase64(terms.certificate);
  const opener = { certificate, digest: toHex(await sha256(certificate)), key: handle };
  return new Keys('', [opener], null, [{ name: site, certificate: fromBase64(secret.site) }], null, terms.case);
}
