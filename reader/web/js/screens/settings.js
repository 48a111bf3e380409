// Devices, recovery key, notices, sign out.
import { toBase64Url } from '../bytes.js';
import { h, said } from '../dom.js';
import { clock, t } from '../texts.js';
import { action, form, screen } from './parts.js';

/** @typedef {import('../portal.js').Portal} Portal */
/** @typedef {import('../keys.js').Keys} Keys */

/** @param {{portal: Portal, keys: Keys|null, level: string, back: () => void, again: () => void, enrol: () => void, recover: () => void, addDevice: (name: string) => Promise<void>,
 *   recoveryKey: () => Promise<string>, signOut: () => Promise<void>, push: HTMLElement|null, gone: (error: unknown) => void}} how */
export function settingsScreen({ portal, keys, level, back, again, enrol, recover, addDevice, recoveryKey, signOut, push, gone }) {
  const list = h('div', { class: 'card' }, h('h2', {}, t('devices')));
  const own = keys?.wrapped ? toBase64Url(keys.wrapped.vault.credential) : null;
  portal.devices().then((devices) => list.append(...devices.map((device) => h('div', { class: 'device' },
    h('div', {}, said(device.name), h('p', { class: 'soft' }, [device.credential === own ? t('this device') : '', device.has_keys ? '' : t('no keys'),
      device.last_used_at ? t('last used', clock(device.last_used_at)) : ''].filter(Boolean).join(' · '))),
    action(t('remove'), async () => {
      if (!confirm(t('remove sure', device.name))) return;
      await portal.removeDevice(device.credential);
      again();
    }, 'danger')))), gone);
  const made = h('p', { class: 'big', hidden: true });
  return screen(t('menu'), back, push, list,
    level !== 'device' ? h('div', { class: 'card' }, h('h2', {}, t('add device')),
      form([['name', t('device name'), { value: guess(), maxlength: 64 }]], t('add device'), ({ name = '' }) => addDevice(name)),
      action(t('recovery use'), recover)) : null,
    level === 'device' ? h('div', { class: 'card' }, h('h2', {}, t('enrol')), action(t('enrol'), enrol)) : null,
    keys && level === 'device' ? h('div', { class: 'card' }, h('h2', {}, t('recovery')), h('p', { class: 'soft' }, t('recovery hint')), made,
      action(t('recovery make'), async () => { made.textContent = await recoveryKey(); made.hidden = false; })) : null,
    h('div', { class: 'low' }, action(t('sign out'), signOut)));
}

/** A name to begin with. */
const guess = () => /iPhone|iPad|Android/.exec(navigator.userAgent)?.[0] ?? 'PC';

/** @param {(code: string, name: string, told: (fingerprint: string) => void) => Promise<void>} enrol @param {(() => void)|null} back */
export function enrolScreen(enrol, back) {
  const fingerprint = h('div', { class: 'card', hidden: true });
  return screen(t('enrol'), back, h('p', { class: 'soft' }, t('enrol needed')),
    form([['code', t('enrol code'), { autocomplete: 'off' }], ['name', t('device name'), { value: guess(), maxlength: 64 }]], t('enrol next'),
      ({ code = '', name = '' }) => enrol(code, name, (text) => {
        fingerprint.hidden = false;
        fingerprint.replaceChildren(h('h2', {}, t('fingerprint')), h('p', { class: 'big' }, text), h('p', {}, t('fingerprint hint')), h('p', { role: 'status', class: 'soft' }, t('enrol waiting')));
      })), fingerprint);
}

/** @param {(text: string) => Promise<void>} recover @param {() => void} back */
export const recoverScreen = (recover, back) =>
  screen(t('recovery use'), back, form([['key', t('recovery'), { autocomplete: 'off' }]], t('open'), ({ key = '' }) => recover(key)));

/** @param {{expires_at: number, tries_left: number}} info @param {(passphrase: string) => Promise<void>} open */
export const guestScreen = (info, open) =>
  screen(t('guest'), null, h('p', { class: 'soft' }, `${t('link until', clock(info.expires_at))} · ${t('tries left', info.tries_left)}`),
    form([['passphrase', t('passphrase'), { autocomplete: 'off' }]], t('open'), ({ passphrase = '' }) => open(passphrase)));
