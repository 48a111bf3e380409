// Keeps the program's own files, and nothing else: no answer of the portal, no picture. Takes new files only if the signed list has their
// hashes; shows the notice, whose text is always the same.

const KEPT = 'shell';
const KEY = '/shell.key';
const PURPOSE = 'scanpost shell\0';
const NOTICE = { ja: '新着画像があります', en: 'New images' };

/** @type {any} */
const worker = self;

/** @param {string} text */
const fromBase64 = (text) => Uint8Array.from(atob(text.trim()), (one) => one.charCodeAt(0));
/** @param {ArrayBuffer} bytes */
const sha256 = async (bytes) => Array.from(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)), (byte) => byte.toString(16).padStart(2, '0')).join('');
/** @param {string} path */
const fresh = async (path) => {
  const answer = await fetch(path, { cache: 'no-cache' });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer;
};

/** Takes all files that changed, or none. The key of the first list is the one that signs all later ones; without any, hashes alone are checked. */
async function update() {
  const kept = await caches.open(KEPT);
  const list = await (await fresh('/shell.json')).arrayBuffer();
  const { key, files } = JSON.parse(new TextDecoder().decode(list));
  const pinned = await (await kept.match(KEY))?.text();
  if (pinned !== undefined ? pinned !== key : key === null ? false : !key) throw new Unsigned();
  if (key && !await signed(list, key)) throw new Unsigned();
  /** @type {[string, Response][]} */
  const changed = [];
  for (const [path, hash] of Object.entries(files)) {
    const own = await kept.match(path);
    if (own && await sha256(await own.clone().arrayBuffer()) === hash) continue;
    const answer = await fresh(path);
    if (await sha256(await answer.clone().arrayBuffer()) !== hash) throw new Unsigned();
    changed.push([path, answer]);
  }
  for (const [path, answer] of changed) await kept.put(path, answer);
  for (const request of await kept.keys()) {
    const { pathname } = new URL(request.url);
    if (pathname !== KEY && !(pathname in files)) await kept.delete(request);
  }
  if (key && pinned === undefined) await kept.put(KEY, new Response(key));
}

class Unsigned extends Error {}

/** @param {ArrayBuffer} list @param {string} key base64 of the point */
async function signed(list, key) {
  const answer = await fetch('/shell.sig', { cache: 'no-cache' });
  if (!answer.ok) return false;
  const own = await crypto.subtle.importKey('raw', fromBase64(key), { name: 'ECDSA', namedCurve: 'P-256' }, false, ['verify']);
  const purpose = new TextEncoder().encode(PURPOSE), message = new Uint8Array(purpose.length + list.byteLength);
  message.set(purpose);
  message.set(new Uint8Array(list), purpose.length);
  return crypto.subtle.verify({ name: 'ECDSA', hash: 'SHA-256' }, own, fromBase64(await answer.text()), message);
}

/** A lost link leaves what is here; a list that nobody signed is told to every page that is open. */
async function look() {
  try {
    await update();
  } catch (error) {
    if (!(error instanceof Unsigned)) return;
    for (const page of await worker.clients.matchAll({ includeUncontrolled: true })) page.postMessage({ unsigned: true });
  }
}

worker.addEventListener('install', (/** @type {any} */ event) => event.waitUntil(update().then(() => worker.skipWaiting())));
worker.addEventListener('activate', (/** @type {any} */ event) => event.waitUntil(worker.clients.claim()));

worker.addEventListener('fetch', (/** @type {any} */ event) => {
  const { pathname, origin } = new URL(event.request.url);
  if (origin !== location.origin || event.request.method !== 'GET' || pathname.startsWith('/api/') || pathname.startsWith('/shell.')) return;
  const page = event.request.mode === 'navigate';
  event.respondWith(caches.open(KEPT).then(async (kept) => await kept.match(page ? '/' : pathname) ?? fetch(event.request)));
});

// Each page asks once it can hear the answer.
worker.addEventListener('message', (/** @type {any} */ event) => event.waitUntil(look()));

worker.addEventListener('push', (/** @type {any} */ event) => event.waitUntil((async () => {
  let told = null;
  try { told = event.data?.json()?.notification ?? null; } catch { /* Shown all the same: a push without a notice ends the subscription. */ }
  const address = typeof told?.navigate === 'string' && told.navigate.startsWith(location.origin) ? told.navigate : '/';
  await worker.registration.showNotification('Scanpost', {
    body: NOTICE[navigator.language.startsWith('ja') ? 'ja' : 'en'], icon: '/icon.png', tag: address, renotify: true, data: address,
  });
})()));

worker.addEventListener('notificationclick', (/** @type {any} */ event) => {
  event.notification.close();
  event.waitUntil(worker.clients.openWindow(event.notification.data ?? '/'));
});
