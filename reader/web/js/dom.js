// Elements without markup: texts of others never pass through a parser.

/** @param {string} tag @param {Record<string, unknown>} [attributes] @param {...(Node|string|null|undefined|false)} children @returns {HTMLElement} */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(name, /** @type {EventListener} */ (value));
    else if (value === true) element.setAttribute(name, '');
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Control characters and marks of direction of another's text become visible: nothing turns a line round or hides in it (spec-bundle 4.3).
 * @param {string} text @param {boolean} [lines] whether line ends stay */
function plain(text, lines = false) {
  return text.replace(/\r\n?/g, '\n').replace(/[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g,
    (mark) => (mark === '\n' && lines ? mark : mark === '\n' || mark === '\t' ? ' ' : '\ufffd'));
}

/** Another's text on the page, apart from the direction of what stands around it. @param {string} text @param {Record<string, unknown>} [attributes] @param {boolean} [lines] */
export const said = (text, attributes = {}, lines = false) => h('bdi', attributes, plain(text, lines));

/** As `put`, another's text. @param {HTMLElement} element @param {string} text */
export function putSaid(element, text) {
  if (element.textContent !== plain(text)) element.replaceChildren(said(text));
}

/** Writes only what changed: whoever listens to the page is told once. @param {HTMLElement} element @param {string} text */
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
