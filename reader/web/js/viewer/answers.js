// What the doctor says back: seen, call me back, a few words, that another doctor is to take the case, or that it is over. One row of buttons, and a line to write in.
import { h } from '../dom.js';
import { sorry, t } from '../texts.js';

/** Characters that the hospital takes (mail SPEC 7.3). */
const WORDS_MAX = 100;
/** What is typed or pasted and is no plain line: it goes, so that nobody is refused for it. */
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\uffff\ue000-\uf8ff]|[\u{e0000}-\u{e00ff}\u{e01f0}-\u{10ffff}]/gu;

/** How long a button that nothing takes back waits for the second tap, in milliseconds. */
const SURE_MS = 5_000;

/** @typedef {'seen'|'call_back'|'words'|'closed'|'passed_on'} Kind */
/** @typedef {(kind: Kind, text: string) => Promise<boolean>} Say true: posted; false: it goes when there is a network */

/** @param {Say} say @returns {HTMLElement} */
export function answers(say) {
  const told = h('p', { class: 'told', role: 'status' });
  const input = /** @type {HTMLInputElement} */ (h('input', { type: 'text', maxlength: WORDS_MAX, autocomplete: 'off', enterkeyhint: 'send', 'aria-label': t('words hint'), placeholder: t('words hint') }));
  const sending = (/** @type {Kind} */ kind, /** @type {HTMLElement} */ button, /** @type {string} */ text) => async () => {
    button.setAttribute('disabled', '');
    try {
      put(told, t((await say(kind, text)) ? `told ${kind}` : 'told later'), false);
    } catch (error) {
      button.removeAttribute('disabled');
      put(told, sorry(error), true);
      return false;
    }
    return true;
  };
  const tap = (/** @type {'seen'|'call_back'} */ kind) => {
    const button = h('button', { type: 'button', class: 'answer', click: () => sending(kind, button, '')() }, t(`answer ${kind}`));
    return button;
  };
  const send = h('button', { type: 'submit', class: 'answer main' }, t('send'));
  const form = h('form', {
    hidden: true, submit: async (/** @type {Event} */ event) => {
      event.preventDefault();
      const text = input.value.normalize('NFC').replace(HIDDEN, ' ').trim();
      if (text && await sending('words', send, text)()) open(false);
      send.removeAttribute('disabled');
    },
  }, input, send);
  const words = h('button', { type: 'button', class: 'answer', 'aria-expanded': 'false', click: () => open(form.hidden) }, t('answer words'));
  const open = (/** @type {boolean} */ on) => {
    form.hidden = !on;
    words.setAttribute('aria-expanded', String(on));
    if (on) input.focus();
    else input.value = '';
  };
  // The first tap asks, the second does it.
  const sure = (/** @type {'closed'|'passed_on'} */ kind) => {
    const button = h('button', { type: 'button', class: 'answer', click: () => {
      if (button.classList.toggle('sure')) {
        button.textContent = t(`sure ${kind}`);
        setTimeout(reset, SURE_MS);
      } else {
        reset();
        sending(kind, button, '')();
      }
    } }, t(`answer ${kind}`));
    const reset = () => {
      button.classList.remove('sure');
      button.textContent = t(`answer ${kind}`);
    };
    return button;
  };
  // Another part of the page adds to the words; whoever writes them sends them.
  const add = (/** @type {CustomEvent<string>} */ event) => {
    const text = [input.value.trim(), event.detail].filter((one) => one).join('; ');
    if (text.length > WORDS_MAX) return event.preventDefault();
    open(true);
    input.value = text;
  };
  return h('div', { class: 'answers', add, role: 'group', 'aria-label': t('answers') }, h('div', { class: 'row' }, tap('seen'), tap('call_back'), words, sure('passed_on'), sure('closed')), form, told);
}

/** @param {HTMLElement} element @param {string} text @param {boolean} bad */
function put(element, text, bad) {
  element.textContent = text;
  element.classList.toggle('bad', bad);
}
