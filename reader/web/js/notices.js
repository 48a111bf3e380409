// Notices by Web Push, with a text that is always the same: subscribed by a tap, looked after at every open.
import { fromBase64Url, same } from './bytes.js';
import { h } from './dom.js';
import { t } from './texts.js';
import { action } from './screens/parts.js';

/** @typedef {import('./portal.js').Portal} Portal */

const able = () => 'serviceWorker' in navigator && 'PushManager' in window && 'Notification' in window;
const installed = () => matchMedia('(display-mode: standalone)').matches;

/** What stands on the list about notices; nothing where all is well. @param {Portal} portal @param {() => void} done @returns {HTMLElement|null} */
export function pushCard(portal, done) {
  if (!able()) return /iPhone|iPad/.test(navigator.userAgent) && !installed() ? h('p', { class: 'notice' }, t('push home')) : null;
  if (Notification.permission === 'granted') return null;
  if (Notification.permission === 'denied') return h('p', { class: 'notice' }, t('push denied'));
  return h('div', { class: 'notice' }, action(t('push on'), async () => {
    if (await Notification.requestPermission() === 'granted') await subscribe(portal);
    done();
  }, 'main'));
}

/** Permission does not say that a subscription lives: a browser may end one in silence. @param {Portal} portal */
export async function recheckPush(portal) {
  if (able() && Notification.permission === 'granted') await subscribe(portal);
}

/** @param {Portal} portal */
async function subscribe(portal) {
  const [{ vapid_public, subscribed }, registration] = await Promise.all([portal.push(), navigator.serviceWorker.ready]);
  const key = fromBase64Url(vapid_public);
  let own = await registration.pushManager.getSubscription();
  const fits = own?.options.applicationServerKey && same(new Uint8Array(own.options.applicationServerKey), key);
  if (own && fits && subscribed) return;
  if (own && !fits) { await own.unsubscribe(); own = null; }
  own ??= await registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
  const { endpoint = '', keys } = own.toJSON();
  await portal.subscribePush({ endpoint, p256dh: keys?.p256dh ?? '', auth: keys?.auth ?? '' });
}
