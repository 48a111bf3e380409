// Makes this device known to a site by a one-time code, and the site to this device (SPEC 8); tells sites of a new key.

import { concat, fromBase64, now, toBase64, toHex, sha256 } from './bytes.js';
import { change, keysOfDevice, make, makeEncryption, store, stored } from './keys.js';
import { Refusal } from './portal.js';
import { openCover, signStatement, verifies } from './seal.js';
import { load, loadDevice } from './wasm.js';

/** @import { Keys, Stored } from './keys.js' */
/** @import { Entry, Portal } from './portal.js' */

/** Pause between two looks for the answer. */
const POLL_MS = 1500;
/** A certificate that ends within this time is renewed. */
const RENEW_BEFORE_S = 30 * 86_400;
/** An older key stays for mails that are on their way. */
const RETIRE_AFTER_S = 7 * 86_400;

/** @typedef {{site: string, invitation: string, request: CryptoKey, confirmation: CryptoKey}} CodeKeys */

/**
 * Enrols this device. The same code can be given again after an interruption: the same request goes out.
 * @param {Portal} portal @param {Keys|null} keys of a device that knows another site already @param {string} code as typed @param {string} deviceName
 * @param {{onFingerprint: (text: string) => void, signal?: AbortSignal, user?: string}} how
 * @returns {Promise<Keys>} once an administrator confirmed
 */
export async function enrol(portal, keys, code, deviceName, { onFingerprint, signal, user }) {
  // Keys of an enrolment that was interrupted: other ones would end the invitation.
  let own = keys ?? (await keysOfDevice(portal));
  const codeKeys = await derive(code);
  const content = own ? await stored(own) : await make(user ?? (await portal.home()).user);
  let pending = content.pending.find((one) => one.invitation === codeKeys.invitation);
  if (!pending) {
    pending = { invitation: codeKeys.invitation, site: codeKeys.site, request: await request(content, codeKeys, deviceName) };
    content.pending.push(pending);
    // Kept before it is sent: a second, different request would end the invitation.
    own = await store(portal, content, own?.wrapped?.vault ?? null);
  }
  if (!own) throw new Refusal('ours', 'us');
  onFingerprint(await fingerprint(content, codeKeys));
  await portal.postEnrolment(codeKeys.invitation, codeKeys.site, fromBase64(pending.request));
  const site = await confirmed(portal, content, codeKeys, signal);
  await change(portal, own, (content) => {
    content.pending = content.pending.filter((one) => one.invitation !== codeKeys.invitation);
    content.sites = [...content.sites.filter((one) => one.name !== codeKeys.site), { name: codeKeys.site, certificate: site }];
  });
  if (keys) Object.assign(keys, own);
  return own;
}

/**
 * Makes a new encryption key where the newest one ends soon, or where it is wanted, and tells all sites; older ones still open.
 * @param {Portal} portal @param {Keys} keys @param {boolean} [always] @returns {Promise<boolean>} whether there is a new one
 */
export async function renew(portal, keys, always = false) {
  await tellRenewals(portal, keys);
  const { not_after } = (await load()).ask('certificate', { certificate: toBase64(keys.encryption[0].certificate) });
  if (!always && not_after > now() + RENEW_BEFORE_S) return false;
  const identity = keys.identity;
  if (!identity) throw new Refusal('needs_device', 'doctor');
  const made = await makeEncryption(identity.key);
  const parser = await loadDevice();
  const renewal = parser.ask('renewal', { identity: identity.digest, certificate: made.certificate, at: now() });
  const message = await signStatement(identity.key, renewal);
  // The key is kept before a site can seal for it.
  await change(portal, keys, (content) => {
    content.encryption.unshift(made);
    content.made_at = now();
    content.renewals = [...(content.renewals ?? []), ...content.sites.map((site) => ({ id: renewal.id, site: site.name, message: toBase64(message) }))];
  });
  await tellRenewals(portal, keys);
  return true;
}

/** Posts renewals that wait: a link that broke between keeping the key and telling of it loses none. @param {Portal} portal @param {Keys} keys */
async function tellRenewals(portal, keys) {
  const { renewals = [] } = await stored(keys);
  for (const { id, site, message } of renewals) await portal.postRenewal(id, site, fromBase64(message));
  if (renewals.length === 0) return;
  await change(portal, keys, (content) => {
    content.renewals = (content.renewals ?? []).filter((one) => !renewals.some((told) => told.id === one.id && told.site === one.site));
  });
}

/**
 * Forgets older keys that nothing needs: a site has sealed for the newest, and no delivery in the mailbox is for the older.
 * @param {Portal} portal @param {Keys} keys @param {Entry[]} entries all that lie in the mailbox
 */
export async function retire(portal, keys, entries) {
  if (keys.encryption.length < 2 || (await stored(keys)).made_at + RETIRE_AFTER_S > now()) return;
  const used = new Set();
  for (const { cover, twins = [] } of entries) {
    // One that is not here might be for any of them.
    if (!cover) return;
    for (const der of [cover, ...twins.map((twin) => twin.cover)]) {
      const opened = await openCover(fromBase64(der), keys).catch(() => null);
      if (opened) used.add(opened.opener.digest);
    }
  }
  if (!used.has(keys.encryption[0].digest)) return;
  const stays = keys.encryption.filter(({ digest }, at) => at === 0 || used.has(digest)).map(({ certificate }) => toBase64(certificate));
  await change(portal, keys, (content) => {
    content.encryption = content.encryption.filter(({ certificate }) => stays.includes(certificate));
  });
}

/** @param {string} text @returns {Promise<CodeKeys>} */
async function derive(text) {
  const parser = await loadDevice();
  const code = parser.ask('code', { text });
  const secret = await crypto.subtle.importKey('raw', fromBase64(code.secret), 'HKDF', false, ['deriveBits']);
  const output = async (/** @type {string} */ info) => {
    const how = { name: 'HKDF', hash: 'SHA-256', salt: fromBase64(code.salt), info: fromBase64(info) };
    return new Uint8Array(await crypto.subtle.deriveBits(how, secret, 256));
  };
  const mac = async (/** @type {string} */ info, /** @type {KeyUsage} */ usage) =>
    crypto.subtle.importKey('raw', await output(info), { name: 'HMAC', hash: 'SHA-256' }, false, [usage]);
  return {
    site: code.site,
    invitation: toHex((await output(code.invitation)).slice(0, 16)),
    request: await mac(code.request, 'sign'),
    confirmation: await mac(code.confirmation, 'verify'),
  };
}

/** @param {Stored} content @param {CodeKeys} codeKeys @param {string} device @returns {Promise<string>} base64 */
async function request(content, { invitation, request }, device) {
  const parser = await loadDevice();
  const [{ certificate }] = content.encryption;
  const toSign = parser.ask('request', { invitation, certificate, identity: content.identity.certificate, device, at: now() });
  const pkcs8 = fromBase64(content.identity.pkcs8);
  const key = await crypto.subtle.importKey('pkcs8', pkcs8, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign']);
  const statement = await signStatement(key, toSign);
  return toBase64(concat(new Uint8Array(await crypto.subtle.sign('HMAC', request, statement)), statement));
}

/** @param {Stored} content @returns {Promise<{certificate: string, identity: string}>} digests in hex */
async function digests(content) {
  const of = async (/** @type {string} */ der) => toHex(await sha256(fromBase64(der)));
  return { certificate: await of(content.encryption[0].certificate), identity: await of(content.identity.certificate) };
}

/** @param {Stored} content @param {CodeKeys} codeKeys @returns {Promise<string>} */
async function fingerprint(content, { invitation }) {
  return (await loadDevice()).ask('fingerprint', { invitation, ...(await digests(content)) }).fingerprint;
}

/** @param {Portal} portal @param {Stored} content @param {CodeKeys} codeKeys @param {AbortSignal} [signal] @returns {Promise<string>} the site's certificate, base64 */
async function confirmed(portal, content, codeKeys, signal) {
  for (;;) {
    for (const message of await portal.confirmations(codeKeys.invitation, codeKeys.site).catch(patient)) {
      const site = await open(message, content, codeKeys);
      if (site) return site;
    }
    await pause(signal);
  }
}

/** A lost link is waited for. @param {unknown} error @returns {string[]} */
function patient(error) {
  if (error instanceof Refusal && ['link_lost', 'mailbox_down', 'mailbox_changed'].includes(error.code)) return [];
  throw error;
}

/** @param {string} message base64 @param {Stored} content @param {CodeKeys} codeKeys @returns {Promise<string|null>} null for a message of somebody else */
async function open(message, content, { invitation, confirmation }) {
  const parser = await loadDevice();
  try {
    const { mac, statement } = parser.ask('confirmation_mac', { message });
    if (!(await crypto.subtle.verify('HMAC', confirmation, fromBase64(mac), fromBase64(statement)))) return null;
    const answer = parser.ask('confirmation', { statement, invitation, ...(await digests(content)) });
    return (await verifies(answer.site.point, answer)) ? answer.site.certificate : null;
  } catch (error) {
    if (error instanceof Refusal) return null;
    throw error;
  }
}

/** @param {AbortSignal} [signal] @returns {Promise<void>} */
function pause(signal) {
  return new Promise((resolve, reject) => {
    const stop = () => reject(new Refusal('cancelled', 'doctor'));
    if (signal?.aborted) return stop();
    signal?.addEventListener('abort', stop, { once: true });
    setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, POLL_MS);
  });
}
