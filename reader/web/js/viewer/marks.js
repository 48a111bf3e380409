// What was measured or marked, drawn on a picture: it lies with the image, its words stand upright.

/** @typedef {{x:number, y:number}} Place CSS pixels */
/** @typedef {{kind:'arrow'|'length'|'angle'|'ellipse'|'value', places:Place[], lines:string[]}} Mark */

const SVG = 'http://www.w3.org/2000/svg';
const LINE_PX = 18;
/** From a mark to its words; from a finger to the value under it. */
const BESIDE_PX = 12, ABOVE_PX = 64;
const CROSS_PX = 10, HANDLE_PX = 7, EDGE_PX = 4;
/** The two strokes of an arrow's head, and each one's angle from its shaft. */
const HEAD_PX = 14, HEAD_ANGLE = Math.PI / 7;

/** @param {string} name @param {Record<string, string|number>} attributes @param {...Node} children */
export function svg(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.append(...children);
  return element;
}

/** Whether some of a mark may be seen: where a picture is zoomed, no words stand for what lies beside the screen. @param {Mark} mark @param {{width:number, height:number}} room */
export function isInside({ places }, { width, height }) {
  const xs = places.map(({ x }) => x), ys = places.map(({ y }) => y);
  return Math.max(...xs) >= 0 && Math.min(...xs) <= width && Math.max(...ys) >= 0 && Math.min(...ys) <= height;
}

/** @param {Element} surface @param {Mark[]} marks @param {{width:number, height:number}} room @param {boolean} handles whether they can be taken */
export function drawMarks(surface, marks, room, handles) {
  const texts = marks.filter(({ lines }) => lines.length > 0).map((mark) => words(mark, room));
  surface.replaceChildren(...marks.flatMap((mark) => [
    // Dark below light: seen on black and on white.
    ...['under', 'over'].map((layer) => svg('path', { class: layer, d: outline(mark) })),
    ...(handles && mark.kind !== 'value' ? mark.places.map(({ x, y }) => svg('circle', { cx: x, cy: y, r: HANDLE_PX })) : []),
  ]), ...texts);
  // How wide words are is known once they stand there: not one is cut off.
  for (const text of texts) {
    const { x, y, width, height } = text.getBBox(), shift = (/** @type {number} */ from, /** @type {number} */ size, /** @type {number} */ whole) => Math.max(EDGE_PX - from, Math.min(0, whole - EDGE_PX - from - size));
    text.setAttribute('transform', `translate(${shift(x, width, room.width)} ${shift(y, height, room.height)})`);
  }
}

/** @param {Mark} mark */
function outline({ kind, places }) {
  const [from = { x: 0, y: 0 }, to = from] = places;
  if (kind === 'value') return `M${from.x - CROSS_PX} ${from.y}h${2 * CROSS_PX}M${from.x} ${from.y - CROSS_PX}v${2 * CROSS_PX}`;
  if (kind === 'arrow') {
    const along = Math.atan2(to.y - from.y, to.x - from.x), head = [-HEAD_ANGLE, HEAD_ANGLE].map((turn) => `${from.x + HEAD_PX * Math.cos(along + turn)} ${from.y + HEAD_PX * Math.sin(along + turn)}`);
    return `M${to.x} ${to.y}L${from.x} ${from.y}M${head.join(`L${from.x} ${from.y} `)}`;
  }
  if (kind !== 'ellipse') return `M${places.map(({ x, y }) => `${x} ${y}`).join('L')}`;
  const [wide, high] = [Math.abs(to.x - from.x) / 2, Math.abs(to.y - from.y) / 2], [left, middle] = [Math.min(from.x, to.x), (from.y + to.y) / 2];
  return `M${left} ${middle}a${wide} ${high} 0 1 0 ${2 * wide} 0a${wide} ${high} 0 1 0 ${-2 * wide} 0`;
}

/** Beside the mark, on the side where there is more room. @param {Mark} mark @param {{width:number, height:number}} room @returns {SVGTextElement} */
function words({ kind, places, lines }, { width }) {
  const right = Math.max(...places.map(({ x }) => x)), left = Math.min(...places.map(({ x }) => x)), top = Math.min(...places.map(({ y }) => y));
  // A finger covers what lies below it, and beside it.
  const isLeft = (left + right) / 2 > width / 2, isAbove = kind === 'value' && top > ABOVE_PX + LINE_PX, beside = isAbove ? 0 : kind === 'value' ? ABOVE_PX : BESIDE_PX;
  const x = isLeft ? left - beside : right + beside;
  const said = lines.map((line, n) => {
    const span = svg('tspan', { x, y: (isAbove ? top - ABOVE_PX : top) + LINE_PX * n });
    span.textContent = line;
    return span;
  });
  return /** @type {SVGTextElement} */ (svg('text', { 'text-anchor': isLeft ? 'end' : 'start' }, ...said));
}
