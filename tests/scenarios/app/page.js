// Runs in Chromium on a blank page of the stand-in: the app's modules without a screen. The scenario calls these by name.

import { sha256, toHex } from '/js/bytes.js';
import { Delivery } from '/js/delivery.js';
import * as keysOf from '/js/keys.js';
import { Portal, Refusal } from '/js/portal.js';

const portal = new Portal();
let keys = null;

/** @returns digests by number, and bytes that came over the network */
async function all(delivery) {
  const digests = {};
  const order = delivery.segments.map(({ number }) => number);
  await new Promise((resolve, reject) => {
    delivery.addEventListener('segment', async ({ detail }) => {
      digests[detail.number] = toHex(await sha256(detail.bytes));
      if (Object.keys(digests).length === order.length) resolve();
    });
    delivery.addEventListener('failed', ({ detail }) => reject(new Refusal(detail.code, detail.who)));
    delivery.want(order);
  });
  return { digests, fetched: delivery.fetchedBytes };
}

window.app = {
  async adopt(stored) {
    await keysOf.addDevice(portal, 'phone', null);
    keys = await keysOf.store(portal, stored);
    // A key that cannot be read out, not even here.
    return crypto.subtle.exportKey('pkcs8', keys.encryption[0].key).then(() => 'read', (error) => error.name);
  },
  async signIn() {
    const { home, keys: own } = await keysOf.signIn(portal);
    keys = own;
    return home.deliveries.length;
  },
  async offline() {
    const told = await keysOf.offlineSignIn();
    keys = told.keys;
    return told.entries;
  },
  async openAll(entry) {
    const delivery = await Delivery.open(entry, keys, portal);
    return { opened: delivery.opened, ...(await all(delivery)) };
  },
};
document.title = 'ready';
