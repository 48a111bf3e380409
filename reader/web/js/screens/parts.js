// What the screens are made of.
import { h } from '../dom.js';
import { sorry, t } from '../texts.js';

/** @param {string} title @param {(() => void)|null} back @param {...(Node|string|null|false|undefined)} children */
export function screen(title, back, ...children) {
  const heading = h('h1', { tabindex: -1 }, title);
  return h('section', { class: 'screen' },
    h('header', {}, back ? h('button', { class: 'quiet', 'aria-label': t('back'), click: back }, '‹') : null, heading), ...children);
}

/** A button that works for a while: it says what went wrong under it. @param {string} words @param {() => Promise<unknown>|void} work @param {string} [look] */
export function action(words, work, look = '') {
  const told = h('p', { role: 'alert', class: 'notice bad', hidden: true });
  const button = /** @type {HTMLButtonElement} */ (h('button', { class: look, type: 'button', click: () => run(button, told, work) }, words));
  return h('div', { class: 'action' }, button, told);
}

/** @param {HTMLButtonElement} button @param {HTMLElement} told @param {() => Promise<unknown>|void} work */
async function run(button, told, work) {
  if (button.disabled) return;
  button.disabled = true;
  told.hidden = true;
  try {
    await work();
  } catch (error) {
    // Whoever dismissed the sheet of Face ID knows.
    if (/** @type {any} */ (error)?.code !== 'cancelled') {
      told.textContent = sorry(error);
      told.hidden = false;
    }
  } finally {
    button.disabled = false;
  }
}

/** Fields and a button. @param {[name: string, words: string, more?: Record<string, unknown>][]} fields @param {string} words
 * @param {(values: Record<string, string>) => Promise<unknown>} work */
export function form(fields, words, work) {
  const told = h('p', { role: 'alert', class: 'notice bad', hidden: true });
  const inputs = fields.map(([name, , more]) => /** @type {HTMLInputElement} */ (h('input', { name, required: true, autocapitalize: 'off', autocorrect: 'off', spellcheck: 'false', ...more })));
  const button = /** @type {HTMLButtonElement} */ (h('button', { class: 'main', type: 'submit' }, words));
  return h('form', {
    submit: (/** @type {Event} */ event) => {
      event.preventDefault();
      void run(button, told, () => work(Object.fromEntries(inputs.map((input) => [input.name, input.value]))));
    },
  }, ...fields.map(([, label], n) => h('label', {}, label, inputs[n] ?? '')), told, button);
}
