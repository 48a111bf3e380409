// What the hospital is to be told and was not yet: it goes out when there is a network, also after this page was closed. Nothing in it tells of
// the patient: random ids, times, and words that only the hospital can read.

import { Refusal } from './portal.js';

/** @import { Told } from './receipt.js' */

const NAME = 'outbox', DONE = 'told';
/** More than a night's. */
const WAITING_MAX = 200, DONE_MAX = 600;

/** Refusals of all that waits for now, and of one for ever. Whatever else goes wrong holds up no other. */
const LATER = ['link_lost', 'mailbox_down', 'mailbox_changed', 'signed_out', 'needs_device', 'too_many_tries', 'ours'];
const NEVER = ['unknown', 'gone', 'bad_request', 'too_large', 'replayed', 'not_for_us', 'unsigned', 'damaged'];

/** @param {string} name @returns {any[]} */
const read = (name) => JSON.parse(localStorage.getItem(name) ?? '[]');
/** @param {string} name @param {any[]} list */
const write = (name, list) => localStorage.setItem(name, JSON.stringify(list));
/** @param {string} delivery @param {Told} told */
const name = (delivery, { kind }) => `${delivery} ${kind}`;

/** @type {Promise<void>} one flush after the other */
let flushing = Promise.resolve();

/**
 * Keeps what is to be told of a delivery. @param {string} delivery @param {Told} told @param {boolean} [once] of this kind, for each delivery
 */
export function tell(delivery, told, once = false) {
  const waiting = read(NAME);
  if (once) {
    if (read(DONE).includes(name(delivery, told)) || waiting.some((one) => name(one.delivery, one.told) === name(delivery, told))) return;
  }
  write(NAME, [...waiting, { delivery, told, once }].slice(-WAITING_MAX));
}

/** Whether something waits, of this delivery. @param {string} delivery */
export const waits = (delivery) => read(NAME).some((one) => one.delivery === delivery);

/**
 * Posts what waits, the oldest first. What can never be posted is given up; without a network it waits.
 * @param {(delivery: string, told: Told) => Promise<boolean>} post false: not now, but others may go
 * @returns {Promise<void>}
 */
export function flush(post) {
  flushing = flushing.catch(() => {}).then(async () => {
    for (const one of read(NAME)) {
      try {
        if (!(await post(one.delivery, one.told))) continue;
        if (one.once) write(DONE, [name(one.delivery, one.told), ...read(DONE)].slice(0, DONE_MAX));
      } catch (error) {
        const code = error instanceof Refusal ? error.code : '';
        if (LATER.includes(code)) return;
        if (!NEVER.includes(code)) continue;
      }
      const text = JSON.stringify(one);
      write(NAME, read(NAME).filter((other) => JSON.stringify(other) !== text));
    }
  });
  return flushing;
}
