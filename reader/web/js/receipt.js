// Receipts: what this device did or wants, signed by its identity (SPEC 7).

import { fromBase64, now, toBase64, toHex } from './bytes.js';
import { sign } from './seal.js';
import { load } from './wasm.js';

/** @import { Bytes } from './bytes.js' */
/** @import { Keys } from './keys.js' */
/** @import { VerifiedCover } from './seal.js' */

/**
 * @param {VerifiedCover} cover @param {Keys} keys @param {string} kind @param {number} instances @returns {Promise<Bytes|null>} DER; null for a guest,
 * who has no identity
 */
export async function signReceipt(cover, keys, kind, instances) {
  if (!keys.identity) return null;
  const parser = await load();
  const receipt = {
    format: 1,
    delivery: cover.cover.delivery,
    cover: toHex(cover.digest),
    recipient: cover.opener.digest,
    kind,
    at: now(),
    instances,
  };
  const { message } = parser.ask('receipt', { receipt });
  const signature = await sign(keys.identity.key, message);
  return fromBase64(parser.ask('signed_receipt', { receipt, identity: toBase64(keys.identity.certificate), signature }).receipt);
}
