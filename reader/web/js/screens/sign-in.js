// Who are you: the passkey first; by password the list only.
import { h } from '../dom.js';
import { language, speak, t } from '../texts.js';
import { action, form } from './parts.js';

/** @param {{device: () => Promise<void>, password: (user: string, password: string, code: string) => Promise<void>, again: () => void, told: string|null}} how */
export function signInScreen({ device, password, again, told }) {
  return h('section', { class: 'screen' },
    h('div', { class: 'brand' }, h('img', { src: '/icon.svg', alt: '' }), h('h1', { tabindex: -1 }, 'Scanpost'), h('p', { class: 'soft' }, t('sign in device hint'))),
    told ? h('p', { class: 'notice', role: 'alert' }, told) : null,
    h('div', { class: 'low' },
      action(t('sign in device'), device, 'main'),
      h('details', { class: 'card' }, h('summary', {}, t('sign in password')),
        form([['user', t('user'), { autocomplete: 'username' }], ['password', t('password'), { type: 'password', autocomplete: 'current-password' }],
          ['code', t('code'), { inputmode: 'numeric', autocomplete: 'one-time-code', pattern: '[0-9]{6}' }]],
        t('sign in'), ({ user = '', password: secret = '', code = '' }) => password(user, secret, code))),
      h('button', { class: 'quiet', lang: language() === 'ja' ? 'en' : 'ja', click: () => { speak(language() === 'ja' ? 'en' : 'ja'); again(); } }, language() === 'ja' ? 'English' : '日本語')));
}
