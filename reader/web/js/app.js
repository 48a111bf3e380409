// The app: which screen, whose keys, which case. Keys and pictures live in this page's memory and nowhere else.
import { h } from './dom.js';
import { sorry, t } from './texts.js';
import { Portal, Refusal } from './portal.js';
import { addDevice, forget, keepSealed, keptSealed, offlineSignIn, recover, recoveryKey, remember, signIn } from './keys.js';
import { enrol, renew, retire } from './enrol.js';
import { linkInfo, openLink } from './link.js';
import { Delivery } from './delivery.js';
import { compile, load } from './wasm.js';
import { Decoder } from './decoder.js';
import { hold, later, release } from './later.js';
import { flush, tell, waits } from './outbox.js';
import { Reading } from './reading.js';
import { Viewer } from './viewer/viewer.js';
import { casesScreen } from './screens/cases.js';
import { enrolScreen, guestScreen, recoverScreen, settingsScreen } from './screens/settings.js';
import { signInScreen } from './screens/sign-in.js';
import { screen, action } from './screens/parts.js';
import { pushCard, recheckPush } from './notices.js';
import { script } from './trusted.js';

/** @typedef {import('./portal.js').Entry} Entry */
/** @typedef {import('./keys.js').Keys} Keys */

const portal = new Portal();
const root = /** @type {HTMLElement} */ (document.querySelector('#app'));
/** Ids of cases that were opened here, so that the list marks new ones; random numbers, as many as a list shows. */
const OPENED = 'opened', IDS_MAX = 200;
/** A line that a proxy holds back tells nothing: the list looks by itself now and then, ms. */
const LOOK_MS = 30_000;
/** Who opens no case by then is in no hurry: the program is kept, or looked after, ms. */
const KEPT_MS = 5000;

const state = {
  /** @type {Entry[]} */ entries: [],
  /** @type {Keys|null} */ keys: null,
  /** How sites want their cases to be met. @type {unknown} */ hanging: null,
  user: '', level: '', offline: false, lost: false,
  /** Percent of the mailbox, where the doctor is to be told. @type {number|null} */ full: null,
  /** @type {Viewer|null} */ viewer: null,
  /** Whose a case is, once it was opened. @type {Map<string, string>} */ names: new Map(),
  /** Deliveries that only complete others. @type {Set<string>} */ hidden: new Set(),
  /** @type {(() => void)|null} */ events: null,
  /** Of the case that is looked at. @type {Reading|null} */ reading: null,
  /** Somebody touched the page since it looked last. */ touched: true,
};
/** Made while the doctor looks at the phone: the first case finds decoder and parser ready. @type {Decoder|null} */
let decoder = new Decoder(compile());
void load().catch(() => {});

/** @param {HTMLElement} element */
function show(element) {
  leave();
  root.replaceChildren(element);
  // A screen reader begins at the title.
  const heading = element.querySelector('h1');
  if (heading instanceof HTMLElement) heading.focus({ preventScroll: true });
}

/** What is looked at leaves the screen. */
function leave() {
  state.reading?.close();
  state.viewer?.close();
  Object.assign(state, { viewer: null, reading: null });
}

/** @param {string|null} [told] */
function start(told = null) {
  show(signInScreen({ device: byDevice, password: byPassword, again: () => start(told), told }));
}

async function byDevice() {
  hold();
  try {
    const { home, keys } = await signIn(portal);
    entered(home, keys);
    if (!keys) return showEnrol(null);
  } catch (error) {
    const code = /** @type {any} */ (error)?.code;
    if (navigator.onLine && code !== 'link_lost' && !(error instanceof TypeError)) throw error;
    const kept = await offlineSignIn();
    if (!kept) throw error;
    Object.assign(state, { entries: kept.entries, hanging: kept.hanging, keys: kept.keys, user: kept.user, full: null, level: 'device', offline: true });
  }
  await afterwards();
}

/** @param {string} user @param {string} password @param {string} code */
async function byPassword(user, password, code) {
  entered(await portal.signInPassword(user, password, code), null);
  await afterwards();
}

/** @param {import('./portal.js').Home} home @param {Keys|null} keys */
function entered(home, keys) {
  Object.assign(state, { entries: home.deliveries, hanging: home.hanging, full: home.full_percent ?? null, keys, user: home.user, level: home.level, offline: false });
  if (home.level === 'link') return;
  if (keys) {
    void remember(home.deliveries, keys).catch(() => {});
    void keepSealed('hanging', state.hanging, keys).catch(() => {});
    void later().then(tellHospital);
    void later().then(() => tend(keys));
  }
  state.events?.();
  state.events = portal.events(() => state.entries[0]?.delivery ?? '', (name) => {
    if (name === 'cases') void refresh(true).catch(ended);
    else if (name === 'gone') signedOut('signed_out');
    else {
      state.lost = name === 'lost';
      if (!state.viewer) again();
      if (name === 'back') void tellHospital();
    }
  });
  void later().then(() => recheckPush(portal)).catch(() => {});
}

/** The case that the notice names, else the list. */
async function afterwards() {
  const delivery = /^\/c\/([0-9a-f]{32})$/.exec(location.pathname)?.[1];
  const entry = state.entries.find((one) => one.delivery === delivery);
  if (entry && state.keys) await openCase(entry);
  else showCases();
}

/** Redraws the list where it is seen. */
function again() {
  if (root.querySelector('.screen[data-list]')) showCases();
}

function showCases() {
  release();
  history.replaceState(null, '', '/');
  const element = casesScreen({
    entries: state.entries.filter(({ delivery }) => !state.hidden.has(delivery)), level: state.level, offline: state.offline, lost: state.lost, full: state.full,
    opened: (delivery) => opened().includes(delivery), name: (delivery) => state.names.get(delivery) ?? null,
    open: (entry) => void openCase(entry), settings: showSettings, push: state.level === 'device' && !state.offline ? pushCard(portal, showCases) : null,
  });
  element.dataset.list = '';
  show(element);
}

function look() {
  if (document.visibilityState !== 'visible' || !state.level || state.level === 'link' || state.offline) return;
  void refresh(!state.touched).catch(ended);
  void tellHospital();
  state.touched = false;
}

/** What waits to be told, of deliveries that are still there. */
function tellHospital() {
  const { keys } = state;
  if (!keys || state.offline) return Promise.resolve();
  return flush(async (delivery, told) => {
    const entry = state.entries.find((one) => one.delivery === delivery);
    return !!entry?.cover && keys === state.keys && Delivery.tell(entry, keys, portal, told);
  });
}

/** Keys that end soon are renewed, and those that nothing needs are forgotten. @param {Keys} keys */
async function tend(keys) {
  if (!keys.wrapped || state.level !== 'device') return;
  try {
    await renew(portal, keys);
    // The whole list is asked for only where there is something to forget: the first picture is on its way.
    if (keys.encryption.length > 1) await retire(portal, keys, (await portal.deliveries(true)).deliveries);
  } catch {
    // At the next sign-in.
  }
}

/** @param {boolean} idle nobody asked for it */
async function refresh(idle) {
  const known = new Set(state.entries.map(({ delivery }) => delivery)), before = state.full;
  const { deliveries, full_percent: full = null } = await portal.deliveries(idle);
  Object.assign(state, { entries: deliveries, full });
  if (state.keys) void remember(state.entries, state.keys, true).catch(() => {});
  const changed = full !== before || state.entries.length !== known.size || state.entries.some(({ delivery }) => !known.has(delivery));
  if (!state.viewer && changed) again();
  else if (state.viewer) for (const entry of state.entries) if (!known.has(entry.delivery)) void joined(state.viewer, entry);
}

/** A residual that comes while its case is looked at makes it exact. @param {Viewer} viewer @param {Entry} entry */
async function joined(viewer, entry) {
  const { keys } = state;
  const of = keys && await Delivery.residualOf(entry, keys).catch(() => null);
  if (!keys || !of) return;
  state.hidden.add(entry.delivery);
  if (of !== viewer.delivery.id || viewer !== state.viewer) return;
  const residual = await Delivery.open(entry, keys, portal).catch(() => null);
  if (residual && viewer === state.viewer) viewer.exact(residual);
}

/** @param {Entry} entry @returns {Promise<void>} */
async function openCase(entry) {
  const keys = state.keys;
  if (!keys) return;
  hold();
  show(h('section', { class: 'screen', 'aria-busy': 'true' }, h('div', { class: 'brand' }, h('h1', { tabindex: -1 }, t('opening')))));
  try {
    const delivery = await Delivery.open(entry, keys, portal);
    if (delivery.residualOf) {
      state.hidden.add(entry.delivery);
      const original = state.entries.find((one) => one.delivery === delivery.residualOf);
      return original ? await openCase(original) : showCases();
    }
    showCase(entry, delivery);
  } catch (error) {
    release();
    if (/** @type {any} */ (error)?.code === 'signed_out') return signedOut('signed_out');
    const retry = error instanceof Refusal && error.who === 'doctor' ? action(t('retry'), () => openCase(entry), 'main') : null;
    show(screen(t('cases'), state.level === 'link' ? null : showCases, h('p', { class: 'notice bad', role: 'alert' }, sorry(error)), retry));
  }
}

/** @param {Entry} entry @param {Delivery} delivery */
function showCase(entry, delivery) {
  const own = decoder ?? new Decoder(compile());
  decoder = null;
  const guest = state.level === 'link', { keys } = state, measures = `measures/${delivery.id}`, isListed = () => state.entries.some((one) => one.delivery === entry.delivery);
  const wantsMeasuring = !!entry.measuring && entry.site === delivery.site;
  const viewer = new Viewer(delivery, own, {
    back: () => {
      decoder ??= new Decoder(compile());
      guest ? location.reload() : showCases();
    },
    exact: async () => { await delivery.exact(); },
    shown: () => {
      remembered(entry.delivery);
      void later().then(keepProgram);
      if (guest) return;
      tell(delivery.id, delivery.told('first_image_shown'), true);
      void later().then(tellHospital);
      state.reading = new Reading((seconds) => {
        tell(delivery.id, delivery.told('read', seconds));
        void tellHospital();
      });
    },
    scrollable: release,
    complete: () => {
      // What the hospital waits for: every piece is verified, and kept on this device.
      if (guest || delivery.residualOf) return;
      tell(delivery.id, delivery.told('fetched'), true);
      void tellHospital();
    },
    answer: delivery.canAnswer ? async (kind, text) => {
      tell(delivery.id, await delivery.answer(kind, text));
      await tellHospital();
      return !waits(delivery.id);
    } : null,
    hanging: state.hanging,
    // An arrow is for an answer; figures are for a site that wants them.
    measuring: keys && (wantsMeasuring || delivery.canAnswer) ? { kept: () => keptSealed(measures, keys), keep: (all) => keepSealed(measures, all, keys, isListed), measures: wantsMeasuring } : null,
  });
  const { banner, mixedPatients } = delivery.series[0] ?? {};
  if (banner && !mixedPatients) state.names.set(entry.delivery, (banner.name_ideographic || banner.name_alphabetic || '').replace(/\^+/g, ' ').trim() || entry.site);
  show(viewer.element);
  state.viewer = viewer;
  if (state.level === 'device') for (const other of state.entries) if (other.delivery !== entry.delivery && other.site === entry.site && !opened().includes(other.delivery)) void joined(viewer, other);
}

function showSettings() {
  show(settingsScreen({
    portal, keys: state.keys, level: state.level, back: showCases, again: showSettings, enrol: () => showEnrol(state.keys), push: pushCard(portal, showSettings),
    recover: () => show(recoverScreen(async (text) => {
      const { keys } = await recover(portal, state.user, text);
      state.keys = keys;
      showSettings();
    }, showSettings)),
    addDevice: async (name) => {
      await addDevice(portal, name, state.keys);
      const home = await portal.home();
      entered(home, state.keys);
      state.keys ? showCases() : showEnrol(null);
    },
    recoveryKey: () => state.keys ? recoveryKey(portal, state.keys) : Promise.reject(new Refusal('needs_device', 'doctor')),
    signOut: async () => { await portal.signOut(); signedOut(null); },
    gone: ended,
  }));
}

/** @param {Keys|null} keys */
function showEnrol(keys) {
  show(enrolScreen(async (code, name, told) => {
    state.keys = await enrol(portal, keys, code, name, { onFingerprint: told, user: state.user });
    entered(await portal.home(), state.keys);
    showCases();
  }, showCases));
}

/** What ended the session is said; all else passes, or is said where it matters. @param {unknown} error */
function ended(error) {
  if (/** @type {any} */ (error)?.code === 'signed_out') signedOut('signed_out');
}

/** Keys and pictures go. @param {string|null} code */
function signedOut(code) {
  forget();
  state.events?.();
  leave();
  Object.assign(state, { entries: [], keys: null, level: '', events: null, names: new Map() });
  start(code && t(`error ${code}`));
}

/** @param {string} name @returns {string[]} */
const kept = (name) => JSON.parse(localStorage.getItem(name) ?? '[]');
/** @param {string} name @param {string} delivery */
const keep = (name, delivery) => localStorage.setItem(name, JSON.stringify([delivery, ...kept(name).filter((one) => one !== delivery)].slice(0, IDS_MAX)));
const opened = () => kept(OPENED);
/** @param {string} delivery */
const remembered = (delivery) => keep(OPENED, delivery);

/** @param {string} link */
async function guest(link) {
  try {
    const info = await linkInfo(portal, link);
    show(guestScreen(info, async (passphrase) => {
      const { home, keys } = await openLink(portal, link, passphrase);
      entered(home, keys);
      const [entry] = home.deliveries;
      if (!entry) throw new Refusal('gone', 'hospital');
      await openCase(entry);
    }));
  } catch (error) {
    show(screen(t('guest'), null, h('p', { class: 'notice bad', role: 'alert' }, sorry(error)), action(t('retry'), () => guest(link), 'main')));
  }
}

addEventListener('online', () => { if (state.offline) start(); });
// A telephone that slept heard nothing of what came.
document.addEventListener('visibilitychange', () => { if (document.visibilityState === 'visible') look(); });
setInterval(look, LOOK_MS);
for (const name of ['pointerdown', 'keydown', 'wheel']) addEventListener(name, () => { state.touched = true; }, { passive: true, capture: true });
navigator.serviceWorker?.addEventListener('message', ({ data }) => {
  if (data?.unsigned) signedOut(null), start(t('unsigned'));
});

/** Once. */
function keepProgram() {
  clearTimeout(keeping);
  if (keeping) navigator.serviceWorker?.register(script('/sw.js')).then(() => navigator.serviceWorker.ready).then(({ active }) => active?.postMessage('look'), () => {});
  keeping = 0;
}
let keeping = setTimeout(() => void later().then(keepProgram), KEPT_MS);

const link = /^\/l\/([0-9a-f]{32})$/.exec(location.pathname)?.[1];
if (link) void guest(link);
else start();

export { state };
