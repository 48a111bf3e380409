// One case on the screen: whose it is, its pictures, what was lost in them, and the doctor's answer.
import { h, said } from '../dom.js';
import { sorry, t } from '../texts.js';
import { Pictures } from './pictures.js';
import { Renderer } from './renderer.js';
import { gestures } from './gestures.js';
import { edges } from './letters.js';
import { PRESETS, measured, storedValue } from './window.js';
import { banner, lossWords } from './banner.js';
import { thumbnail } from './thumbnail.js';
import { answers } from './answers.js';

/** @typedef {import('../delivery.js').Delivery} Delivery */
/** @typedef {import('../decoder.js').Decoder} Decoder */
/** @typedef {import('./stack.js').Stack} Stack */
/** @typedef {import('./samples.js').Part} Part */
/** @typedef {import('./window.js').Window} Window */
/** @typedef {{back: () => void, exact: () => Promise<void>, shown: () => void, scrollable: () => void, complete: () => void, answer: import('./answers.js').Say|null}} Around answer: none where
 * nobody listens */

const ZOOM_MAX = 24;

export class Viewer {
  /** @type {Stack} */
  #stack;
  #place = 0;
  /** @type {'scroll'|'window'} */
  #tool = 'scroll';
  /** The doctor's own window of a series; none: as the image says. @type {Map<Stack, Window>} */
  #windows = new Map();
  /** What the values of a picture say, which takes a sort of all of them. @type {WeakMap<object, {key:string, window:Window}>} */
  #measured = new WeakMap();
  /** From the fit of the frame on the canvas. */
  #zoom = 1;
  #shift = { x: 0, y: 0 };
  #asked = false;
  #first = true;

  canvas = /** @type {HTMLCanvasElement} */ (h('canvas', { 'aria-label': t('picture'), role: 'img', tabindex: 0 }));
  edges = { left: h('span', { class: 'edge left' }), right: h('span', { class: 'edge right' }), top: h('span', { class: 'edge top' }), bottom: h('span', { class: 'edge bottom' }) };
  corner = h('p', { class: 'corner' });
  state = h('p', { class: 'state', role: 'status' });
  stage = h('div', { class: 'stage' }, this.canvas, ...Object.values(this.edges), this.corner, this.state);
  who = h('div', { class: 'who' });
  loss = h('div', { class: 'loss', hidden: true });
  slider = /** @type {HTMLInputElement} */ (h('input', { type: 'range', min: 1, step: 1, 'aria-label': t('slice'), input: () => this.show(Number(this.slider.value) - 1) }));
  tools = h('div', { class: 'tools', role: 'toolbar', 'aria-label': t('tools') });
  strip = h('div', { class: 'strip', role: 'group', 'aria-label': t('series') });
  bar = /** @type {HTMLProgressElement} */ (h('progress', { max: 1, value: 0, 'aria-label': t('loaded') }));

  /** @param {Delivery} delivery @param {Decoder} decoder @param {Around} around */
  constructor(delivery, decoder, around) {
    this.delivery = delivery;
    this.around = around;
    this.pictures = new Pictures(delivery, decoder);
    this.#stack = this.pictures.eye.stack;
    this.#place = this.pictures.eye.place;
    this.element = this.#build();
    this.renderer = new Renderer(this.canvas);
    gestures(this.canvas, {
      tool: () => this.#tool,
      step: () => Math.min(16, Math.max(3, (this.canvas.clientHeight * 0.8) / Math.max(1, this.#stack.frames.length))),
      scroll: (frames) => this.show(this.#place + frames),
      window: (dx, dy) => this.#drag(dx, dy),
      zoom: (factor, x, y, dx, dy) => this.#pinch(factor, x, y, dx, dy),
      toggle: (x, y) => this.#toggle(x, y),
    });
    this.pictures.addEventListener('decoded', (event) => {
      const { stack, slab } = /** @type {CustomEvent<{stack:Stack, slab:number}>} */ (event).detail;
      if (stack === this.#stack && this.#stack.frames[this.#place]?.slabs.includes(slab)) this.#ask();
      if (stack.frames[stack.entry]?.slabs.includes(slab)) this.#thumbnails();
    });
    this.pictures.addEventListener('ordered', () => { this.#place = this.pictures.eye.place; this.#ask(); });
    this.pictures.addEventListener('arrived', () => this.#ask());
    this.pictures.addEventListener('scrollable', () => this.around.scrollable());
    this.pictures.addEventListener('complete', () => this.around.complete());
    this.canvas.addEventListener('redraw', () => this.#ask());
    this.observer = new ResizeObserver(() => this.#ask());
    this.observer.observe(this.stage);
    this.keys = this.keys.bind(this);
    addEventListener('keydown', this.keys);
    this.#series();
    this.#ask();
  }

  #build() {
    const { note } = this.delivery;
    return h('section', { class: 'viewer' },
      h('header', {}, h('button', { class: 'back', 'aria-label': t('back'), click: () => this.around.back() }, '‹'), this.who),
      note ? h('details', { class: 'note', open: true }, h('summary', {}, t('note')), said(note, {}, true)) : null,
      this.stage,
      this.loss, this.bar, h('div', { class: 'rail' }, this.slider), this.tools, this.strip, this.around.answer ? answers(this.around.answer) : null);
  }

  /** Another series: whose it is, its tools, its loss. */
  #series() {
    const { series } = this.#stack;
    this.who.replaceChildren(...banner(series, this.delivery));
    const lost = lossWords(series, this.#geometry());
    this.loss.hidden = !lost;
    this.loss.classList.toggle('reference', series.referenceOnly);
    this.loss.replaceChildren(h('span', { class: 'lossy' }, lost ?? ''), h('span', { class: 'whole' }, t('exact here')), this.#exactButton());
    this.slider.max = String(this.#stack.frames.length);
    this.#toolbar();
    this.#thumbnails();
  }

  /** The residual came: what is seen becomes exact. @param {Delivery} residual */
  exact(residual) {
    this.delivery.join(residual);
    this.pictures.refine();
    this.#series();
  }

  #exactButton() {
    if (!this.delivery.exactCanBeAsked) return '';
    const button = h('button', {
      class: 'small', click: async () => {
        button.setAttribute('disabled', '');
        try { await this.around.exact(); button.textContent = t('exact asked'); } catch { button.removeAttribute('disabled'); button.textContent = t('exact failed'); }
      },
    }, t('exact'));
    return button;
  }

  #toolbar() {
    const pressed = (/** @type {boolean} */ on) => (on ? 'true' : 'false');
    const own = this.#windows.get(this.#stack);
    const tool = (/** @type {'scroll'|'window'} */ name) =>
      h('button', { 'aria-pressed': pressed(this.#tool === name), class: 'tool', click: () => { this.#tool = name; this.#toolbar(); } }, t(`tool ${name}`));
    const presets = this.#stack.series.modality !== 'CT' ? [] : PRESETS.map(({ name, center, width }) =>
      h('button', { class: 'chip', 'aria-pressed': pressed(own?.center === center && own.width === width), click: () => this.#setWindow({ center, width }) }, t(name)));
    const keys = this.#stack.keys.size > 0 ? [h('button', { class: 'chip key', click: () => this.#nextKey() }, `★ ${t('key images')}`)] : [];
    this.tools.replaceChildren(tool('scroll'), tool('window'),
      h('div', { class: 'chips' }, ...keys, h('button', { class: 'chip', 'aria-pressed': pressed(!own), click: () => this.#setWindow(null) }, t('as sent')), ...presets));
  }

  #nextKey() {
    const frames = this.#stack.frames, count = frames.length;
    for (let n = 1; n <= count; n++) {
      const place = (this.#place + n) % count, frame = frames[place];
      if (frame && this.#stack.keys.has(frame.instance)) return this.show(place);
    }
  }

  #thumbnails() {
    const { stacks } = this.pictures;
    const others = this.delivery.series.length - stacks.length;
    this.strip.hidden = stacks.length < 2 && others === 0;
    if (this.strip.hidden) return;
    this.strip.replaceChildren(...stacks.map((stack) => thumbnail(stack, this.pictures, stack === this.#stack, this.#windowOf(stack, stack.entry), () => this.open(stack))),
      others > 0 ? h('p', { class: 'others' }, t('others', others)) : '');
  }

  /** @param {Stack} stack */
  open(stack) {
    this.#stack = stack;
    this.#zoom = 1;
    this.#shift = { x: 0, y: 0 };
    this.#place = stack.entry;
    this.pictures.look(stack, this.#place);
    this.#series();
    this.#ask();
  }

  /** @param {number} place */
  show(place) {
    const next = Math.min(this.#stack.frames.length - 1, Math.max(0, place));
    if (next === this.#place) return;
    this.#place = next;
    this.pictures.look(this.#stack, next);
    this.#ask();
  }

  /** @param {KeyboardEvent} event */
  keys(event) {
    if (event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement) return;
    const steps = /** @type {Record<string, number>} */ ({ ArrowDown: 1, ArrowUp: -1, ArrowRight: 1, ArrowLeft: -1, PageDown: 10, PageUp: -10, Home: -1e6, End: 1e6 });
    const step = steps[event.key];
    if (step === undefined || event.metaKey || event.ctrlKey) return;
    event.preventDefault();
    this.show(this.#place + step);
  }

  get frame() {
    return this.#stack.frames[this.#place];
  }

  get series() {
    return this.#stack.series;
  }

  get zoom() {
    return this.#zoom;
  }

  get window() {
    return this.#windowOf(this.#stack, this.#place);
  }

  #geometry(stack = this.#stack, place = this.#place) {
    return this.pictures.geometry(stack, stack.frames[place]);
  }

  /** The doctor's, the image's, or that of the values. @param {Stack} stack @param {number} place @returns {Window} */
  #windowOf(stack, place) {
    const own = this.#windows.get(stack), geometry = this.#geometry(stack, place);
    if (own) return own;
    if (geometry?.center !== null && geometry?.center !== undefined && geometry.width) return { center: geometry.center, width: geometry.width };
    const layout = stack.frames[place]?.layout, part = this.pictures.picture(stack, stack.entry)?.parts[0] ?? this.pictures.picture(stack, place)?.parts[0];
    if (!layout || !part || part.kind === 'colour') return { center: 128, width: 256 };
    const { padding, slope = 1, intercept = 0 } = geometry ?? {};
    const key = `${padding} ${slope} ${intercept}`, known = this.#measured.get(part.data);
    if (known?.key === key) return known.window;
    const window = measured(part.data, (word) => {
      const value = storedValue(word, layout);
      return value === padding ? null : value * slope + intercept;
    });
    this.#measured.set(part.data, { key, window });
    return window;
  }

  /** @param {Window|null} window */
  #setWindow(window) {
    if (window) this.#windows.set(this.#stack, window);
    else this.#windows.delete(this.#stack);
    this.#toolbar();
    this.#ask();
  }

  /** Right widens, down darkens, as everywhere. @param {number} dx @param {number} dy */
  #drag(dx, dy) {
    const { center, width } = this.#windowOf(this.#stack, this.#place), speed = Math.max(0.25, width / 250);
    const had = this.#windows.has(this.#stack);
    this.#windows.set(this.#stack, { center: Math.round((center + dy * speed) * 100) / 100, width: Math.max(1, Math.round((width + dx * speed) * 100) / 100) });
    if (!had) this.#toolbar();
    this.#ask();
  }

  /** Device pixels a column at zoom 1, and how much taller than wide a pixel is. */
  #fit() {
    const frame = this.#stack.frames[this.#place], spacing = this.#geometry()?.spacing;
    if (!frame) return { scale: 1, aspect: 1 };
    const aspect = spacing && spacing[0] > 0 && spacing[1] > 0 ? spacing[0] / spacing[1] : 1;
    return { scale: Math.min(this.canvas.width / frame.layout.columns, this.canvas.height / (frame.layout.rows * aspect)), aspect };
  }

  /** @returns {import('./renderer.js').View} */
  get view() {
    const { scale, aspect } = this.#fit(), layout = this.#stack.frames[this.#place]?.layout, own = scale * this.#zoom;
    const width = (layout?.columns ?? 0) * own, height = (layout?.rows ?? 0) * own * aspect;
    // Whole device pixels: at one pixel each, what is seen is what was decoded.
    return { left: Math.round((this.canvas.width - width) / 2 + this.#shift.x), top: Math.round((this.canvas.height - height) / 2 + this.#shift.y), scale: own, aspect };
  }

  /** @param {number} factor @param {number} x @param {number} y CSS pixels @param {number} dx @param {number} dy */
  #pinch(factor, x, y, dx, dy) {
    const zoom = Math.min(ZOOM_MAX, Math.max(1, this.#zoom * factor)), grown = zoom / this.#zoom, ratio = devicePixelRatio;
    const [fromX, fromY] = [x * ratio - this.canvas.width / 2, y * ratio - this.canvas.height / 2];
    this.#zoom = zoom;
    this.#shift = { x: fromX - (fromX - this.#shift.x) * grown + dx * ratio, y: fromY - (fromY - this.#shift.y) * grown + dy * ratio };
    this.#hold();
    this.#ask();
  }

  /** The picture stays on the screen. */
  #hold() {
    const { scale, aspect } = this.#fit(), layout = this.#stack.frames[this.#place]?.layout;
    const room = (/** @type {number} */ size, /** @type {number} */ canvas) => Math.max(0, (size * scale * this.#zoom - canvas) / 2);
    const [x, y] = [room(layout?.columns ?? 0, this.canvas.width), room((layout?.rows ?? 0) * aspect, this.canvas.height)];
    this.#shift = { x: Math.min(x, Math.max(-x, this.#shift.x)), y: Math.min(y, Math.max(-y, this.#shift.y)) };
  }

  /** Fit, or one pixel of the image for each of the screen (two, where it is smaller than that). @param {number} x @param {number} y */
  #toggle(x, y) {
    const { scale } = this.#fit(), pixels = Math.max(1, Math.ceil(scale + 0.01)) / scale;
    this.#pinch(this.#zoom > 1.001 ? 1 / this.#zoom : pixels, x, y, 0, 0);
  }

  #ask() {
    if (this.#asked) return;
    this.#asked = true;
    requestAnimationFrame(() => { this.#asked = false; this.#draw(); });
  }

  /** The canvas on whole pixels of page and screen, so that each of its own is one of the screen: a browser would mix them otherwise. */
  #fill() {
    const { canvas } = this, stage = this.stage.getBoundingClientRect(), ratio = devicePixelRatio;
    const [left, top] = [Math.ceil(stage.left - 0.01), Math.ceil(stage.top - 0.01)];
    const [wide, high] = [Math.max(1, Math.floor(stage.right + 0.01) - left), Math.max(1, Math.floor(stage.bottom + 0.01) - top)];
    const [width, height] = [Math.round(wide * ratio), Math.round(high * ratio)];
    Object.assign(canvas.style, { left: `${left - stage.left}px`, top: `${top - stage.top}px`, width: `${wide}px`, height: `${high}px` });
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  }

  /** Whether this telephone's textures take the frame. */
  #fits() {
    const layout = this.#stack.frames[this.#place]?.layout;
    return !layout || Math.max(layout.columns, layout.rows) <= this.renderer.largest;
  }

  #draw() {
    const { canvas } = this, frame = this.#stack.frames[this.#place];
    this.#fill();
    const picture = this.pictures.picture(this.#stack, this.#place), geometry = this.#geometry();
    // Without its headers an image has neither its scale nor its sides: it waits for them.
    const shown = !!frame && !!picture && !!geometry?.known && PHOTOMETRIC.has(geometry.photometric) && this.#fits();
    const window = shown ? this.#windowOf(this.#stack, this.#place) : { center: 0, width: 1 };
    this.renderer.draw(shown ? picture.parts : [], frame?.layout.columns ?? 1, this.view, {
      slope: geometry?.slope ?? 1, intercept: geometry?.intercept ?? 0, ...window, invert: geometry?.photometric === 'MONOCHROME1',
      padding: geometry?.padding ?? null, signed: frame?.layout.signed ?? false, stored: frame?.layout.stored ?? 16,
    });
    this.#words(shown, !!picture?.full, window);
    this.loss.classList.toggle('exact', !!picture?.exact);
    canvas.dataset.shown = !shown ? 'nothing' : picture.full ? 'full' : 'coarse';
    if (shown && this.#first) { this.#first = false; this.around.shown(); }
  }

  /** @param {boolean} shown @param {boolean} full @param {Window} window */
  #words(shown, full, window) {
    const geometry = this.#geometry();
    const frames = this.#stack.frames.length, frame = this.#stack.frames[this.#place], letters = shown ? edges(geometry?.orientation) : null;
    for (const [side, element] of Object.entries(this.edges)) put(element, letters?.[/** @type {'left'} */ (side)] ?? '');
    const key = frame && this.#stack.keys.has(frame.instance) ? ' ★' : '';
    const rounded = (/** @type {number} */ value) => Math.round(value);
    put(this.corner, `${this.#place + 1} / ${frames}${key}\nW ${rounded(window.width)}  L ${rounded(window.center)}`);
    const { trouble } = this.pictures;
    put(this.state, trouble ? (trouble.code === 'link_lost' ? t('lost link') : sorry(trouble)) : !frame ? t('no pictures') : geometry && !geometry.known ? t('unknown place') : geometry && !PHOTOMETRIC.has(geometry.photometric) ? t('palette') : !this.#fits() ? t('too large')
      : this.pictures.damaged(this.#stack, this.#place) ? t('damaged picture') : !shown ? t('loading') : full ? '' : t('coarse'));
    this.state.classList.toggle('bad', this.pictures.damaged(this.#stack, this.#place));
    if (document.activeElement !== this.slider || Number(this.slider.value) !== this.#place + 1) this.slider.value = String(this.#place + 1);
    this.slider.setAttribute('aria-valuetext', t('slice of', this.#place + 1, frames));
    const { here, all } = this.pictures.progress;
    this.bar.value = all ? here / all : 1;
    this.bar.classList.toggle('done', here === all);
  }

  close() {
    removeEventListener('keydown', this.keys);
    this.observer.disconnect();
    this.pictures.close();
    this.renderer.close();
  }
}

/** What the renderer shows rightly. */
const PHOTOMETRIC = new Set(['MONOCHROME1', 'MONOCHROME2', 'RGB', 'YBR_FULL']);

/** @param {HTMLElement} element @param {string} text */
function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
