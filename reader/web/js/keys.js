// The doctor's keys: wrapped by what the passkey's authenticator derives (PRF), kept by the portal, unwrapped here into keys that no
// script can read.

import { concat, fromBase64, fromBase64Url, now, random, sha256, toBase64, toBase64Url, toHex, utf8, same } from './bytes.js';
import { Refusal } from './portal.js';
import { sign } from './seal.js';
import { forgetAllBut, kept, keep, keptJson, keepJson, remove } from './store.js';
import { loadDevice } from './wasm.js';

/** @import { Bytes } from './bytes.js' */
/** @import { Entry, Home, Portal } from './portal.js' */

/**
 * @typedef {{certificate: Bytes, digest: string, key: CryptoKey}} Opener certificate (DER), its SHA-256 in hex, private key
 * @typedef {{credential: Bytes, kek: CryptoKey, check: Bytes}} Vault what wraps the keys: of a passkey, or of the recovery key
 * @typedef {{certificate: string, pkcs8: string}} StoredKey base64
 * @typedef {object} Stored the JSON inside the blob
 * @property {string} user
 * @property {StoredKey[]} encryption newest first
 * @property {StoredKey} identity
 * @property {{name: string, certificate: string}[]} sites pinned here, never taken from the portal
 * @property {{invitation: string, site: string, request: string}[]} pending requests to enrol that were sent
 * @property {{id: string, site: string, message: string}[]} [renewals] of the newest key that were not told yet
 * @property {string} [recovery] key encryption key of the recovery copy, so that it follows every change
 * @property {number} made_at when the newest encryption key was made
 */

const MAGIC = utf8('SCPK\x01');
const CHECK_BYTES = 8;
const NONCE_BYTES = 12;
/** Salt of HKDF for all that wraps keys. */
const SALT = utf8('scanpost keys\x01');
/** Names the copy that the recovery key opens. */
const RECOVERY = 'recovery';
/** 128 bits, and 32 that find a slip of the pen. */
const SECRET_BYTES = 16;
const SLIP_BYTES = 4;
/** Crockford's base 32, as in codes of invitations. */
const DIGITS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
/** A clock that is a little wrong makes no certificate that is not valid yet. */
const BACKDATED_S = 3600;
const DAY_S = 86_400;
const IDENTITY_DAYS = 5 * 365;
const ENCRYPTION_DAYS = 365;

/** @type {Vault|null} of the passkey that signed in on this page */
let current = null;

/** Who signs out leaves nothing to who comes next. */
export function forget() {
  current = null;
}

/** The keys of one doctor, or of a guest. They stay in memory, and no private key can be read out of them. */
export class Keys {
  /**
   * @param {string} user @param {Opener[]} encryption newest first @param {Opener|null} identity
   * @param {{name: string|null, certificate: Bytes}[]} sites @param {{vault: Vault, blob: Bytes}|null} wrapped
   * @param {string|null} onlyCase a guest's
   */
  constructor(user, encryption, identity, sites, wrapped, onlyCase = null) {
    this.user = user;
    this.encryption = encryption;
    this.identity = identity;
    this.sites = sites;
    this.wrapped = wrapped;
    this.onlyCase = onlyCase;
  }
}

/**
 * Signs in with a passkey. @param {Portal} portal
 * @returns {Promise<{home: Home, keys: Keys|null}>} no keys: this device has none yet
 */
export async function signIn(portal) {
  const { challenge, rp_id } = await portal.beginSignIn();
  const { credential, vault } = await assertion(fromBase64Url(challenge), rp_id, []);
  const answer = /** @type {AuthenticatorAssertionResponse} */ (credential.response);
  const home = await portal.finishSignIn({
    credential: toBase64Url(credential.rawId),
    client_data: toBase64Url(answer.clientDataJSON),
    authenticator_data: toBase64Url(answer.authenticatorData),
    signature: toBase64Url(answer.signature),
    user_handle: answer.userHandle ? toBase64Url(answer.userHandle) : null,
  });
  current = vault;
  if (!home.keys) return { home, keys: null };
  const keys = await unwrap(fromBase64(home.keys), needed(vault));
  // For a time without network; the picture does not wait for it.
  void keepJson('device', { credential: toBase64(new Uint8Array(credential.rawId)), rp_id, blob: home.keys }).catch(() => {});
  void remember(home.deliveries, keys).catch(() => {});
  return { home, keys };
}

/**
 * Opens what this device kept, without a network. @returns {Promise<{user: string, entries: Entry[], hanging: unknown, keys: Keys}|null>} null: nobody signed in
 * here before
 */
export async function offlineSignIn() {
  const device = await keptJson('device');
  if (!device?.blob) return null;
  const { vault } = await assertion(random(32), device.rp_id, [fromBase64(device.credential)]);
  const keys = await unwrap(fromBase64(device.blob), needed(vault));
  current = vault;
  const listed = async (/** @type {string} */ name) => (await keptSealed(name, keys).catch(() => null)) ?? [];
  return { user: keys.user, entries: await listed('entries'), hanging: await listed('hanging'), keys };
}

/**
 * Keeps the list for a time without network. @param {Entry[]} entries @param {Keys} keys @param {boolean} [whole] nothing else lies in the mailbox: the
 * ciphertext of what is not in the list is forgotten
 */
export async function remember(entries, keys, whole = false) {
  if (whole) await forgetAllBut(entries.map((entry) => entry.delivery));
  await keepSealed('entries', entries, keys);
}

/** Keeps a value on this device as its passkey alone opens it. @param {string} name @param {unknown} value @param {Keys} keys
 * @param {() => boolean} [isWanted] false once it was forgotten, which may be while it is written
 * @returns {Promise<boolean>} whether it is there after the page was closed */
export async function keepSealed(name, value, keys, isWanted = () => true) {
  if (!keys.wrapped) return false;
  const nonce = random(NONCE_BYTES);
  const how = { name: 'AES-GCM', iv: nonce, additionalData: utf8(name) };
  const sealed = await crypto.subtle.encrypt(how, keys.wrapped.vault.kek, utf8(JSON.stringify(value)));
  if (!isWanted()) return false;
  const isKept = await keep(name, concat(nonce, new Uint8Array(sealed)));
  if (isWanted()) return isKept;
  await remove(name);
  return false;
}

/** What {@link keepSealed} kept. @param {string} name @param {Keys} keys @returns {Promise<any>} null where nothing is kept; what this passkey does not open rejects */
export async function keptSealed(name, keys) {
  const sealed = await kept(name);
  if (!sealed || !keys.wrapped) return null;
  const how = { name: 'AES-GCM', iv: sealed.slice(0, NONCE_BYTES), additionalData: utf8(name) };
  return JSON.parse(new TextDecoder().decode(await crypto.subtle.decrypt(how, keys.wrapped.vault.kek, sealed.slice(NONCE_BYTES))));
}

/**
 * Makes a passkey on this device, and wraps the keys for it. Without keys (the first device) they come with {@link enrol}.
 * @param {Portal} portal @param {string} name @param {Keys|null} keys
 */
export async function addDevice(portal, name, keys) {
  const options = await portal.beginDevice();
  const { publicKey = options } = options;
  const ids = (/** @type {any[]} */ list) => (list ?? []).map((one) => ({ ...one, id: fromBase64Url(one.id) }));
  const made = await asked(async () => navigator.credentials.create({
    publicKey: {
      ...publicKey,
      challenge: fromBase64Url(publicKey.challenge),
      user: { ...publicKey.user, id: fromBase64Url(publicKey.user.id) },
      excludeCredentials: ids(publicKey.excludeCredentials),
      extensions: { prf: { eval: { first: await prfSalt() } } },
    },
  }));
  const answer = /** @type {AuthenticatorAttestationResponse} */ (made.response);
  await portal.finishDevice({
    credential: toBase64Url(made.rawId),
    client_data: toBase64Url(answer.clientDataJSON),
    attestation: toBase64Url(answer.attestationObject),
    name,
  });
  const credential = new Uint8Array(made.rawId);
  // Most authenticators derive nothing while they make a key.
  const vault = await vaultOf(made) ?? needed((await assertion(random(32), publicKey.rp.id, [credential])).vault);
  current = vault;
  // Without a network this passkey is asked for by name; enrolment brings the keys.
  const device = { credential: toBase64(credential), rp_id: publicKey.rp.id };
  await keepJson('device', { ...device, blob: null });
  if (!keys) return;
  const wrapped = { vault, blob: await wrap(await stored(keys), vault) };
  await portal.putKeys(toBase64Url(credential), wrapped.blob, identityOf(keys));
  keys.wrapped = wrapped;
  await keepJson('device', { ...device, blob: toBase64(wrapped.blob) });
}

/**
 * Makes a recovery key: a second copy of the keys is sealed for it. @param {Portal} portal @param {Keys} keys
 * @returns {Promise<string>} in groups; it is shown once and kept nowhere
 */
export async function recoveryKey(portal, keys) {
  const secret = random(SECRET_BYTES);
  const kek = await recoveryKek(secret);
  await change(portal, keys, (stored) => {
    stored.recovery = toBase64(kek);
  });
  return grouped(concat(secret, (await slip(secret)).slice(0, SLIP_BYTES)));
}

/**
 * Opens the second copy, after a sign-in by password and code; {@link addDevice} then wraps the keys for this device.
 * @param {Portal} portal @param {string} user @param {string} text of the recovery key @returns {Promise<{home: Home, keys: Keys}>}
 */
export async function recover(portal, user, text) {
  const bytes = ungrouped(text);
  const secret = bytes?.slice(0, SECRET_BYTES);
  if (!bytes || !secret || !same((await slip(secret)).slice(0, SLIP_BYTES), bytes.slice(SECRET_BYTES))) throw new Refusal('wrong', 'doctor');
  const home = await portal.home();
  if (!home.recovery) throw new Refusal('unknown', 'doctor');
  const keys = await unwrap(fromBase64(home.recovery), await recoveryVault(await recoveryKek(secret)));
  if (keys.user !== user) throw new Refusal('wrong', 'doctor');
  return { home, keys };
}

/**
 * New keys of a device, and where they will be wrapped. @param {string} user @returns {Promise<Stored>}
 */
export async function make(user) {
  const pair = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
  const certificate = await certify('identity', pair, pair.privateKey, IDENTITY_DAYS);
  const identity = { certificate, pkcs8: await pkcs8(pair.privateKey) };
  const encryption = [await makeEncryption(pair.privateKey)];
  return { user, encryption, identity, sites: [], pending: [], made_at: now() };
}

/** @param {CryptoKey} identity signs its certificate @returns {Promise<StoredKey>} */
export async function makeEncryption(identity) {
  const pair = await crypto.subtle.generateKey({ name: 'ECDH', namedCurve: 'P-256' }, true, ['deriveBits']);
  return { certificate: await certify('encryption', pair, identity, ENCRYPTION_DAYS), pkcs8: await pkcs8(pair.privateKey) };
}

/** @param {'identity'|'encryption'} role @param {CryptoKeyPair} pair @param {CryptoKey} signer @param {number} days @returns {Promise<string>} */
async function certify(role, pair, signer, days) {
  const parser = await loadDevice();
  const point = toBase64(new Uint8Array(await crypto.subtle.exportKey('raw', pair.publicKey)));
  const time = { not_before: now() - BACKDATED_S, not_after: now() + days * DAY_S };
  const { draft } = parser.ask('draft', { role, point, serial: toBase64(random(16)), ...time });
  return parser.ask('finish', { draft, signature: await sign(signer, draft) }).certificate;
}

/** @param {CryptoKey} key @returns {Promise<string>} */
async function pkcs8(key) {
  return toBase64(new Uint8Array(await crypto.subtle.exportKey('pkcs8', key)));
}

/**
 * Changes what is wrapped, on the portal first, then here. @param {Portal} portal @param {Keys} keys @param {(stored: Stored) => void|Promise<void>} edit
 */
export async function change(portal, keys, edit) {
  const content = await stored(keys);
  await edit(content);
  const fresh = await store(portal, content, keys.wrapped?.vault ?? null);
  Object.assign(keys, fresh);
}

/**
 * Wraps keys for the passkey of this page, and for the recovery key, and gives both to the portal.
 * @param {Portal} portal @param {Stored} content @param {Vault|null} [vault] @returns {Promise<Keys>}
 */
export async function store(portal, content, vault = null) {
  const own = needed(vault ?? current);
  const blob = await wrap(content, own);
  const keys = await unwrap(blob, own);
  await portal.putKeys(toBase64Url(own.credential), blob, identityOf(keys));
  if (content.recovery) {
    const copy = await wrap(content, await recoveryVault(fromBase64(content.recovery)));
    await portal.putKeys(RECOVERY, copy, identityOf(keys));
  }
  const device = await keptJson('device');
  if (device) await keepJson('device', { ...device, blob: toBase64(blob) });
  return keys;
}

/** The plain content, for as long as it takes to change it. @param {Keys} keys @returns {Promise<Stored>} */
export async function stored(keys) {
  if (!keys.wrapped) throw new Refusal('needs_device', 'doctor');
  return opened(keys.wrapped.blob, keys.wrapped.vault);
}

/** The keys that the portal keeps for the passkey of this page. @param {Portal} portal @returns {Promise<Keys|null>} null: none yet */
export async function keysOfDevice(portal) {
  if (!current) throw new Refusal('needs_device', 'doctor');
  const { keys } = await portal.home();
  return keys ? unwrap(fromBase64(keys), current) : null;
}

/** @param {Keys} keys @returns {string} */
function identityOf(keys) {
  return keys.identity?.digest ?? '';
}

/** @param {Stored} content @param {Vault} vault @returns {Promise<Bytes>} SCPK, 1, key check value, nonce, ciphertext */
async function wrap(content, vault) {
  const nonce = random(NONCE_BYTES);
  const how = { name: 'AES-GCM', iv: nonce, additionalData: concat(MAGIC, vault.credential) };
  const plain = utf8(JSON.stringify(content));
  const sealed = new Uint8Array(await crypto.subtle.encrypt(how, vault.kek, plain));
  plain.fill(0);
  return concat(MAGIC, vault.check, nonce, sealed);
}

/** @param {Bytes} blob @param {Vault} vault @returns {Promise<Stored>} */
async function opened(blob, vault) {
  const known = MAGIC.length - 1;
  if (!same(blob.slice(0, known), MAGIC.slice(0, known))) throw new Refusal('damaged', 'operator', null, 'the wrapped keys are damaged');
  if (blob[known] !== MAGIC[known]) throw new Refusal('newer_format', 'us');
  const [check, nonce, sealed] = [blob.slice(5, 13), blob.slice(13, 25), blob.slice(25)];
  // Some systems gave another value for the same passkey: said apart from damage, since another device still opens the keys.
  if (!same(check, vault.check)) throw new Refusal('other_key', 'doctor', null, 'this device derives another key than the one the keys were wrapped with');
  try {
    const how = { name: 'AES-GCM', iv: nonce, additionalData: concat(MAGIC, vault.credential) };
    return JSON.parse(new TextDecoder().decode(await crypto.subtle.decrypt(how, vault.kek, sealed)));
  } catch {
    throw new Refusal('damaged', 'operator', null, 'the wrapped keys are damaged');
  }
}

/** @param {Bytes} blob @param {Vault} vault @returns {Promise<Keys>} */
async function unwrap(blob, vault) {
  const content = await opened(blob, vault);
  const encryption = await Promise.all(content.encryption.map((key) => imported(key, { name: 'ECDH', namedCurve: 'P-256' }, ['deriveBits'])));
  const identity = await imported(content.identity, { name: 'ECDSA', namedCurve: 'P-256' }, ['sign']);
  const sites = content.sites.map(({ name, certificate }) => ({ name, certificate: fromBase64(certificate) }));
  return new Keys(content.user, encryption, identity, sites, { vault, blob });
}

/** @param {StoredKey} key @param {EcKeyImportParams} algorithm @param {KeyUsage[]} usages @returns {Promise<Opener>} not extractable */
async function imported(key, algorithm, usages) {
  const certificate = fromBase64(key.certificate);
  const secret = fromBase64(key.pkcs8);
  const handle = await crypto.subtle.importKey('pkcs8', secret, algorithm, false, usages);
  secret.fill(0);
  return { certificate, digest: toHex(await sha256(certificate)), key: handle };
}

/** @param {Vault|null} vault @returns {Vault} */
function needed(vault) {
  if (!vault) throw new Refusal('no_prf', 'doctor', null, 'this passkey derives no key');
  return vault;
}

/** @returns {Promise<Bytes>} what authenticators derive from: the same always */
function prfSalt() {
  return sha256(utf8('scanpost prf 1'));
}

/**
 * @param {Bytes} challenge @param {string} rpId @param {Bytes[]} credentials none: the doctor chooses
 * @returns {Promise<{credential: PublicKeyCredential, vault: Vault|null}>}
 */
async function assertion(challenge, rpId, credentials) {
  const allowCredentials = credentials.map((id) => /** @type {const} */ ({ type: 'public-key', id }));
  const extensions = { prf: { eval: { first: await prfSalt() } } };
  const credential = await asked(() => navigator.credentials.get({ publicKey: { challenge, rpId, allowCredentials, userVerification: 'required', extensions } }));
  return { credential, vault: await vaultOf(credential) };
}

/** @param {() => Promise<Credential|null>} ask @returns {Promise<PublicKeyCredential>} */
async function asked(ask) {
  let answer;
  try {
    answer = await ask();
  } catch (error) {
    throw new Refusal('cancelled', 'doctor', null, error instanceof Error ? error.name : '');
  }
  if (!answer) throw new Refusal('cancelled', 'doctor');
  return /** @type {PublicKeyCredential} */ (answer);
}

/** @param {PublicKeyCredential} credential @returns {Promise<Vault|null>} */
async function vaultOf(credential) {
  const derived = credential.getClientExtensionResults().prf?.results?.first;
  if (!derived) return null;
  const bytes = /** @type {Bytes} */ (derived instanceof ArrayBuffer ? new Uint8Array(derived) : new Uint8Array(derived.buffer, derived.byteOffset, derived.byteLength));
  return vaultFrom(bytes, new Uint8Array(credential.rawId));
}

/** @param {Bytes} derived @param {Bytes} credential @returns {Promise<Vault>} */
async function vaultFrom(derived, credential) {
  const from = await crypto.subtle.importKey('raw', derived, 'HKDF', false, ['deriveKey', 'deriveBits']);
  derived.fill(0);
  const how = (/** @type {Bytes} */ info) => ({ name: 'HKDF', hash: 'SHA-256', salt: SALT, info });
  const kek = await crypto.subtle.deriveKey(how(credential), from, { name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt']);
  const check = await crypto.subtle.deriveBits(how(concat(utf8('check'), credential)), from, 8 * CHECK_BYTES);
  return { credential, kek, check: new Uint8Array(check) };
}


/** @param {Bytes} secret @returns {Promise<Bytes>} */
async function recoveryKek(secret) {
  const from = await crypto.subtle.importKey('raw', secret, 'HKDF', false, ['deriveBits']);
  return new Uint8Array(await crypto.subtle.deriveBits({ name: 'HKDF', hash: 'SHA-256', salt: SALT, info: utf8(RECOVERY) }, from, 256));
}

/** @param {Bytes} kek @returns {Promise<Vault>} */
function recoveryVault(kek) {
  return vaultFrom(kek.slice(), utf8(RECOVERY));
}

/** @param {Bytes} secret */
function slip(secret) {
  return sha256(concat(utf8('scanpost recovery\x01'), secret));
}

/** @param {Bytes} bytes multiple of 5 @returns {string} groups of four digits */
function grouped(bytes) {
  const bits = Array.from(bytes, (byte) => byte.toString(2).padStart(8, '0')).join('');
  const digits = (bits.match(/.{5}/g) ?? []).map((five) => DIGITS[parseInt(five, 2)]).join('');
  return (digits.match(/.{4}/g) ?? []).join('-');
}

/** @param {string} text @returns {Bytes|null} */
function ungrouped(text) {
  const digits = text.toUpperCase().replaceAll(/[\s-]/g, '').replaceAll('O', '0').replaceAll(/[IL]/g, '1');
  const values = Array.from(digits, (digit) => DIGITS.indexOf(digit));
  if (values.length !== ((SECRET_BYTES + SLIP_BYTES) * 8) / 5 || values.includes(-1)) return null;
  const bits = values.map((value) => value.toString(2).padStart(5, '0')).join('');
  return Uint8Array.from(bits.match(/.{8}/g) ?? [], (byte) => parseInt(byte, 2));
}
