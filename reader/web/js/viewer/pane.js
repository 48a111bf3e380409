// One series on one canvas: its picture, and what stands on it: sides, place, window, and how it is turned.
import { h, put, putSaid } from '../dom.js';
import { sorry, t } from '../texts.js';
import { Camera, fill, onCanvas } from './camera.js';
import { gestures, stepOf } from './gestures.js';
import { Sides, edges } from './letters.js';
import { AS_SENT, wayOf } from './presentation.js';
import { Renderer } from './renderer.js';
import { Ruler, calibration, scaleOf, spacingOf } from './scale.js';
import { grey, hindrance } from './values.js';
import { windowWords } from './window.js';

/** @typedef {import('./stack.js').Stack} Stack */
/** @typedef {import('./pictures.js').Pictures} Pictures */
/** @typedef {import('./pictures.js').Picture} Picture */
/** @typedef {import('./presentation.js').Presentation} Presentation */
/** @typedef {{tool: () => import('./toolbar.js').Tool, scroll: (frames: number) => void, window: (dx: number, dy: number) => void, measure: (phase: import('./gestures.js').Phase, x: number, y: number) => void, cut: () => [[number, number], [number, number]]|null, drawn: (picture: Picture|null) => void}} Around cut: the line
 * of another slice, in columns and rows; drawn: with what is seen */

const SVG = 'http://www.w3.org/2000/svg';

export class Pane {
  /** @type {Stack} */
  stack;
  place = 0;
  #asked = false;

  canvas = /** @type {HTMLCanvasElement} */ (h('canvas', { 'aria-label': t('picture'), role: 'img', tabindex: 0 }));
  sides = new Sides();
  corner = h('p', { class: 'corner' });
  /** Who chose what is seen, where the doctor did not and it is not as sent. */
  arranged = h('p', { class: 'arranged' });
  state = h('p', { class: 'state', role: 'status' });
  /** Says what is not as it was sent, and takes it back. */
  mark = h('button', { class: 'mark', hidden: true, click: () => this.present(AS_SENT) });
  /** Which series this is and whether it follows, where there are two. */
  title = h('p', { class: 'title' });
  cut = document.createElementNS(SVG, 'line');
  ruler = new Ruler(0.3);
  element = h('div', { class: 'stage' }, this.canvas, ...this.sides.elements, drawing(this.cut), this.title, this.corner, this.arranged,
    this.ruler.element, this.mark, this.state);
  camera = new Camera(this.canvas);

  /** @param {Pictures} pictures @param {import('./window.js').Windows} windows @param {Map<Stack, Presentation>} presentations @param {Stack} stack @param {Around} around */
  constructor(pictures, windows, presentations, stack, around) {
    this.pictures = pictures;
    this.windows = windows;
    this.presentations = presentations;
    this.stack = stack;
    this.around = around;
    this.renderer = new Renderer(this.canvas);
    gestures(this.canvas, {
      tool: () => around.tool(),
      step: () => stepOf(this.canvas, this.stack.frames.length),
      scroll: (frames) => around.scroll(frames),
      window: (dx, dy) => around.window(dx, dy),
      measure: (phase, x, y) => around.measure(phase, x, y),
      zoom: (factor, x, y, dx, dy) => { this.camera.pinch(this.#shape, factor, x, y, dx, dy); this.ask(); },
      toggle: (x, y) => { this.camera.toggle(this.#shape, x, y); this.ask(); },
    });
    this.canvas.addEventListener('redraw', () => this.ask());
    this.observer = new ResizeObserver(() => this.ask());
    this.observer.observe(this.element);
  }

  /** @param {Stack} stack @param {number} place */
  open(stack, place) {
    if (stack !== this.stack) this.renderer.forget();
    this.stack = stack;
    this.place = place;
    this.camera.reset();
    this.#mark();
    this.ask();
  }

  get frame() {
    return this.stack.frames[this.place];
  }

  get geometry() {
    return this.pictures.geometry(this.stack, this.frame);
  }

  get window() {
    return this.windows.of(this.stack, this.place);
  }

  get presentation() {
    return this.presentations.get(this.stack) ?? AS_SENT;
  }

  /** @param {Presentation} presentation */
  present(presentation) {
    const { turn, mirrored } = this.presentation;
    this.presentations.set(this.stack, presentation);
    if (turn !== presentation.turn || mirrored !== presentation.mirrored) this.camera.reset();
    this.#mark();
    this.ask();
  }

  #mark() {
    const { turn, mirrored, inverted } = this.presentation;
    const words = [mirrored && t('mark mirrored'), turn && t('mark turned', turn * 90), inverted && t('mark inverted')].filter((one) => one).join(' · ');
    this.mark.hidden = !words;
    this.mark.classList.toggle('mirrored', mirrored);
    this.mark.setAttribute('aria-label', t('mark reset', words));
    this.mark.replaceChildren(words, h('span', { 'aria-hidden': 'true' }, '✕'));
  }

  /** @returns {import('./camera.js').Shape} */
  get #shape() {
    const spacing = spacingOf(this.geometry), { columns, rows } = this.frame?.layout ?? { columns: 0, rows: 0 };
    return { columns, rows, aspect: spacing ? spacing[0] / spacing[1] : 1, way: wayOf(this.presentation) };
  }

  get view() {
    return this.camera.view(this.#shape);
  }

  /** About its middle. @param {number|null} factor none: all of it, or its pixels */
  zoom(factor) {
    const { clientWidth, clientHeight } = this.canvas, x = clientWidth / 2, y = clientHeight / 2;
    if (factor === null) this.camera.toggle(this.#shape, x, y);
    else this.camera.pinch(this.#shape, factor, x, y, 0, 0);
    this.ask();
  }

  ask() {
    if (this.#asked) return;
    this.#asked = true;
    requestAnimationFrame(() => { this.#asked = false; this.#draw(); });
  }

  /** Whether this telephone's textures take the frame. */
  #fits() {
    const layout = this.frame?.layout;
    return !layout || Math.max(layout.columns, layout.rows) <= this.renderer.largest;
  }

  #draw() {
    const { canvas, frame, geometry } = this, isSeen = !this.element.closest('[hidden]');
    if (isSeen) fill(canvas, this.element);
    const picture = this.pictures.picture(this.stack, this.place);
    // Without its headers an image has neither its scale nor its sides: it waits for them.
    const hidden = geometry && hindrance(geometry, frame?.layout), shown = !!frame && !!picture && !!geometry && !hidden && this.#fits();
    const window = shown ? this.window : { center: 0, width: 1 }, how = grey(geometry, frame?.layout, window);
    if (isSeen) this.renderer.draw(shown ? picture.parts : [], frame?.layout.columns ?? 1, this.view, { ...how, invert: how.invert !== this.presentation.inverted });
    this.#words(shown ? picture : null, window, hidden);
    canvas.dataset.shown = !shown ? 'nothing' : picture.full ? 'full' : 'coarse';
    this.around.drawn(shown ? picture : null);
  }

  /** @param {Picture|null} picture @param {import('./window.js').Window} window @param {ReturnType<typeof hindrance>} hidden */
  #words(picture, window, hidden) {
    const { geometry, frame, stack } = this;
    this.sides.write(picture ? edges(geometry?.orientation, wayOf(this.presentation)) : null);
    const key = frame && stack.keys.has(frame.instance) ? ' ★' : '';
    const b = stack.bValues.length > 0 && typeof geometry?.bValue === 'number' ? `  b ${Math.round(geometry.bValue)}` : '';
    const came = geometry?.lossy ? `\n${t('came lossy')}` : '';
    put(this.corner, `${this.place + 1} / ${stack.frames.length}${key}${b}\n${windowWords(window, this.windows.name(stack, this.place))}${came}`);
    putSaid(this.arranged, picture ? this.windows.arrangedBy(stack, this.place) : '');
    this.#ruler(picture ? geometry : null);
    this.#cut(picture ? this.around.cut() : null);
    put(this.state, this.#trouble(hidden) ?? (!picture ? t('loading') : picture.full ? '' : t('coarse')));
    this.state.classList.toggle('bad', this.pictures.damaged(stack, this.place));
  }

  /** @param {[[number, number], [number, number]]|null} line */
  #cut(line) {
    this.cut.toggleAttribute('hidden', !line);
    line?.forEach(([column, row], end) => {
      const { x, y } = onCanvas(this.view, column, row);
      this.cut.setAttribute(`x${end + 1}`, String(this.canvas.offsetLeft + x / devicePixelRatio));
      this.cut.setAttribute(`y${end + 1}`, String(this.canvas.offsetTop + y / devicePixelRatio));
    });
  }

  /** @param {import('../delivery.js').Geometry|null} geometry */
  #ruler(geometry) {
    const { modality } = this.stack.series;
    this.ruler.draw(this.canvas, scaleOf(geometry, modality), this.view.scale, geometry ? calibration(geometry, modality) : '');
  }

  /** Why there is less to see than there should be. @param {ReturnType<typeof hindrance>} hidden */
  #trouble(hidden) {
    const { trouble } = this.pictures;
    if (trouble) return troubleWords(trouble);
    if (!this.frame) return t('no pictures');
    if (hidden) return t(hidden);
    if (!this.#fits()) return t('too large');
    return this.pictures.damaged(this.stack, this.place) ? t('damaged picture') : null;
  }

  close() {
    this.observer.disconnect();
    this.renderer.close();
  }
}

/** @param {NonNullable<Pictures['trouble']>} trouble */
export const troubleWords = (trouble) => (trouble.code === 'link_lost' ? t('lost link') : sorry(trouble));

/** @param {SVGElement} line */
function drawing(line) {
  const own = document.createElementNS(SVG, 'svg');
  own.setAttribute('class', 'cut');
  own.setAttribute('aria-hidden', 'true');
  own.append(line);
  return own;
}
