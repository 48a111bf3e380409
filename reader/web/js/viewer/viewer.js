// One case on the screen: whose it is, its pictures, what was lost in them, and the doctor's answer.
import { h, put, said } from '../dom.js';
import { later } from '../later.js';
import { t } from '../texts.js';
import { Pictures } from './pictures.js';
import { Cine, recordedRate } from './cine.js';
import { Pair } from './pair.js';
import { Pane } from './pane.js';
import { Hanging } from './hanging.js';
import { Keyboard } from './keyboard.js';
import { VOLUME_SLICES_MIN, ranked } from './stack.js';
import { Toolbar } from './toolbar.js';
import { Windows } from './window.js';
import { banner, lossWords } from './banner.js';
import { thumbnail } from './thumbnail.js';
import { answers } from './answers.js';

/** @typedef {import('../delivery.js').Delivery} Delivery */
/** @typedef {import('../decoder.js').Decoder} Decoder */
/** @typedef {import('./stack.js').Stack} Stack */
/** @typedef {{back: () => void, exact: () => Promise<void>, shown: () => void, scrollable: () => void, complete: () => void, answer: import('./answers.js').Say|null, measuring?: import('./measuring.js').Keeper|null, hanging?: unknown}} Around answer: none where
 * nobody listens; measuring: where arrows and measures are kept; hanging: how sites want their cases to be met */

export class Viewer {
  #first = true;
  /** How each series is turned, in whichever pane it stands. @type {Map<Stack, import('./presentation.js').Presentation>} */
  #presentations = new Map();
  /** Once its module is here. @type {import('./measuring.js').Measuring|null} */
  measuring = null;
  /** Three planes, while they are open. @type {import('./mpr.js').Mpr|null} */
  mpr = null;
  /** What is no picture, once it is listed. @type {import('./documents.js').Documents|null} */
  documents = null;
  /** Some may be still to be found, or were not loaded. */
  coming = h('p', { class: 'soft', role: 'status' }, t('documents coming'));
  /** Where documents are listed: there may be some. */
  shelf = h('div', { class: 'documents', hidden: true }, this.coming);
  /** Why there are none. */
  refused = h('p', { class: 'refused soft', role: 'status', hidden: true });
  /** Documents are being looked for. */
  #listing = false;
  /** One of them was read, or handed over. */
  #hasRead = false;
  /** Whether a series was chosen by hand. */
  #chosen = false;
  /** @type {Toolbar} */
  toolbar;
  /** What is acted on. @type {Pane} */
  pane;
  stages = h('div', { class: 'stages' });
  who = h('div', { class: 'who' });
  lossy = h('span', { class: 'lossy' });
  loss = h('div', { class: 'loss', hidden: true });
  slider = /** @type {HTMLInputElement} */ (h('input', { type: 'range', min: 1, step: 1, 'aria-label': t('slice'), input: () => this.show(Number(this.slider.value) - 1) }));
  play = h('button', { class: 'play', 'aria-keyshortcuts': 'Space', click: () => this.cine.toggle() });
  pace = h('span', { class: 'pace' });
  strip = h('div', { class: 'strip', role: 'group', 'aria-label': t('series') });
  bar = /** @type {HTMLProgressElement} */ (h('progress', { max: 1, value: 0, 'aria-label': t('loaded') }));

  /** @param {Delivery} delivery @param {Decoder} decoder @param {Around} around */
  constructor(delivery, decoder, around) {
    this.delivery = delivery;
    this.around = around;
    this.pictures = new Pictures(delivery, decoder, new Hanging(around.hanging, delivery.site));
    this.windows = new Windows(this.pictures);
    const { stack, place } = this.pictures.eye;
    this.cine = new Cine({ pane: () => this.pane, show: (place) => this.#go(place), changed: () => this.#pace() });
    this.pane = this.#make(stack, place);
    this.pair = new Pair({ pictures: this.pictures, pane: () => this.pane, make: (stack) => this.#make(stack, stack.entry), arranged: () => this.#beside(), changed: () => { this.#look(); this.#series(); } });
    this.toolbar = new Toolbar({ pane: () => this.pane, measuring: () => this.measuring, pair: this.pair, planes: { possible: () => this.#hasPlanes(), open: () => !!this.mpr, toggle: () => this.#togglePlanes() }, nextKey: () => this.#nextKey(), help: () => void this.keyboard.help(), window: (window) => this.#setWindow(window) });
    this.answers = around.answer && answers(around.answer);
    this.element = this.#build();
    this.pictures.addEventListener('decoded', (event) => {
      const { stack, slab } = /** @type {CustomEvent<{stack:Stack, slab:number}>} */ (event).detail;
      for (const pane of this.panes) if (stack === pane.stack && pane.frame?.slabs.includes(slab)) pane.ask();
      if (stack.frames[stack.entry]?.slabs.includes(slab)) this.#thumbnails();
    });
    this.pictures.addEventListener('ordered', () => {
      this.pane.place = this.pictures.eye.place;
      if (this.pair.other && this.pictures.beside) this.pair.other.place = this.pictures.beside.place;
      this.#follow();
      this.#lost();
      // What a finger goes to does not move under it.
      if (!this.#chosen) this.pictures.stacks = ranked(this.pictures.stacks, (one) => this.pictures.geometry(one, one.frames[0])?.seriesNumber);
      this.#thumbnails();
      // Whether there are planes, and what its values are, is known now.
      if (!this.toolbar.menu.hidden || this.toolbar.isStale) this.toolbar.show();
    });
    this.pictures.addEventListener('arrived', () => { this.#follow(); for (const pane of this.panes) pane.ask(); });
    this.pictures.addEventListener('scrollable', () => this.around.scrollable());
    this.pictures.addEventListener('complete', () => this.around.complete());
    this.keyboard = new Keyboard(this);
    this.#series();
    this.pane.ask();
    this.pair.arrange();
    if (delivery.series.some(({ whole }) => Object.keys(whole).length > 0)) void this.#list();
    // Nobody waits for a picture.
    if (this.pictures.stacks.length === 0) around.scrollable();
    if (around.measuring) void this.#measure(around.measuring).catch(() => this.toolbar.menu.after(h('p', { class: 'soft', role: 'status' }, t('no measuring'))));
  }

  /** A module that no picture needs comes behind them. @param {import('./measuring.js').Keeper} keeper */
  async #measure(keeper) {
    await later();
    const { Measuring } = await import('./measuring.js');
    this.measuring = await Measuring.open(this, keeper);
    this.toolbar.show();
  }

  /** So does the list of documents. */
  async #list() {
    this.shelf.hidden = false;
    this.#listing = true;
    this.#thumbnails();
    await later();
    try {
      const { Documents } = await import('./documents.js');
      this.documents = new Documents(this);
      await this.documents.look();
      this.coming.remove();
      this.documents.show();
    } catch {
      put(this.coming, t('no documents'));
    }
    this.#listing = false;
    this.#thumbnails();
    this.#seen();
  }

  /** What is in a document was seen, or handed over. */
  read() {
    this.#hasRead = true;
    this.#seen();
  }

  /** Of a case that holds nothing but documents, that is what was waited for; images that cannot be shown here were not seen by it. */
  #seen() {
    if (!this.#first || !this.#hasRead || this.#listing || this.documents?.series !== this.delivery.series.length) return;
    this.#first = false;
    this.around.shown();
  }

  #hasPlanes() {
    const { stack, geometry } = this.pane;
    return stack.frames.length >= VOLUME_SLICES_MIN && !!geometry?.orientation && !!geometry.position;
  }

  /** The series that is to stand beside the one that is opened, until another was chosen. */
  #beside() {
    return this.#chosen || this.mpr ? undefined : this.pictures.hanging.beside(this.pane.stack, this.pictures.stacks);
  }

  /** Their program comes when they are asked for. */
  async #togglePlanes() {
    this.#refuse('');
    if (this.mpr) return this.#closePlanes();
    const { stack } = this.pane, loaded = await import('./mpr.js').catch(() => null);
    // Meanwhile another series may have been chosen, or the viewer left.
    if (this.mpr || stack !== this.pane.stack || !this.element.isConnected) return;
    const opened = loaded ? loaded.Mpr.open(this) : { refused: 'no planes' };
    if ('refused' in opened) return this.#refuse(t(opened.refused));
    this.mpr = opened;
    this.cine.stop();
    this.pair.close();
    if (this.toolbar.tool === 'measure') this.toolbar.tool = 'scroll';
    this.#look();
    this.#series();
  }

  #closePlanes() {
    this.mpr?.close();
    this.mpr = null;
    this.toolbar.show();
    this.pane.ask();
  }

  /** @param {string} words */
  #refuse(words) {
    put(this.refused, words);
    this.refused.hidden = !words;
  }

  get panes() {
    return this.pair.other ? [this.pane, this.pair.other] : [this.pane];
  }

  /** @param {Stack} stack @param {number} place */
  #make(stack, place) {
    /** @type {Pane} */
    const pane = new Pane(this.pictures, this.windows, this.#presentations, stack, {
      tool: () => this.toolbar.tool,
      scroll: (frames) => { this.#actOn(pane); this.show(pane.place + frames); },
      window: (dx, dy) => { this.#actOn(pane); this.drag(dx, dy); },
      cut: () => this.pair.cut(pane),
      measure: (phase, x, y) => { this.cine.stop(); this.measuring?.finger(pane, phase, x, y); },
      drawn: (picture) => { if (pane === this.pane) this.#drawn(picture); this.measuring?.draw(pane, picture); this.mpr?.draw(); },
    });
    pane.place = place;
    pane.element.addEventListener('pointerdown', () => this.#actOn(pane), true);
    pane.element.addEventListener('focusin', () => this.#actOn(pane));
    this.stages.append(pane.element);
    return pane;
  }

  /** @param {Pane} pane */
  #actOn(pane) {
    if (pane === this.pane) return;
    this.cine.stop();
    this.pair.swap(this.pane);
    this.pane = pane;
    this.#look();
    this.#series();
    pane.ask();
  }

  /** Headers tell late where slices lie. */
  #follow() {
    if (this.pair.follow()) this.#look();
  }

  #look() {
    const { other } = this.pair;
    this.pictures.look({ stack: this.pane.stack, place: this.pane.place }, other && { stack: other.stack, place: other.place });
  }

  #build() {
    const { note } = this.delivery;
    return h('section', { class: 'viewer' },
      h('header', {}, h('button', { class: 'back', 'aria-label': t('back'), click: () => this.around.back() }, '‹'), this.who),
      note ? h('details', { class: 'note', open: true }, h('summary', {}, t('note')), said(note, {}, true)) : null,
      this.stages,
      this.loss, this.bar, h('div', { class: 'rail' }, this.play, this.slider, this.pace), this.toolbar.element, this.toolbar.menu, this.refused, this.shelf, this.strip, this.answers);
  }

  /** Another series: whose it is, its tools, its loss. */
  #series() {
    const { stack } = this.pane, { series } = stack;
    for (const pane of this.panes) pane.element.classList.toggle('active', !!this.pair.other && pane === this.pane);
    this.who.replaceChildren(...banner(this.#whose(), this.delivery));
    this.#lost();
    this.loss.classList.toggle('reference', series.referenceOnly);
    this.loss.replaceChildren(this.lossy, h('span', { class: 'whole' }, t('exact here')), this.#exactButton());
    this.slider.max = String(stack.frames.length);
    this.#pace();
    this.toolbar.show();
    this.documents?.show();
    this.#thumbnails();
  }

  /** The series that is seen; of a case without pictures any, where all are of one patient. */
  #whose() {
    const { delivery: { series: [first], onePatient }, pane: { stack } } = this;
    return stack.series.index < 0 && first ? { ...first, mixedPatients: !onePatient } : stack.series;
  }

  /** Headers tell late what its values are counted in. */
  #lost() {
    const lost = lossWords(this.pane.stack.series, this.pane.geometry);
    this.loss.hidden = !lost;
    put(this.lossy, lost ?? '');
  }

  /** Whether it plays, how fast, and how much of that is seen. */
  #pace() {
    const { playing, lacking } = this.cine, { rate, recorded } = recordedRate(this.pane.geometry), told = Number(rate.toFixed(1));
    this.play.hidden = this.pane.stack.frames.length < 2;
    // Nobody is told of each picture that passes.
    this.pane.state.setAttribute('aria-live', playing ? 'off' : 'polite');
    put(this.play, playing ? '❚❚' : '▶');
    this.play.setAttribute('aria-label', t(playing ? 'pause' : 'play'));
    this.pace.hidden = this.play.hidden || !(playing || recorded);
    this.pace.classList.toggle('slow', lacking !== null);
    put(this.pace, lacking !== null ? t('pace slow', lacking, told) : t(recorded ? 'pace' : 'pace assumed', told));
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

  #nextKey() {
    const { stack, place } = this.pane, { frames } = stack, count = frames.length;
    for (let n = 1; n <= count; n++) {
      const next = (place + n) % count, frame = frames[next];
      if (frame && stack.keys.has(frame.instance)) return this.show(next);
    }
  }

  #thumbnails() {
    const { stacks } = this.pictures;
    // What may be a document is not counted before it is known.
    const others = this.#listing ? 0 : this.delivery.series.length - stacks.length - (this.documents?.series ?? 0);
    const missing = this.#listing ? 0 : stacks.reduce((sum, { series }) => sum + this.#missing(series), 0);
    this.strip.hidden = stacks.length < 2 && others === 0 && missing === 0;
    if (this.strip.hidden) return;
    this.strip.replaceChildren(...stacks.map((stack) => thumbnail(stack, this.pictures, this.panes.some((pane) => pane.stack === stack), this.windows.of(stack, stack.entry), () => this.open(stack))),
      others > 0 ? h('p', { class: 'others' }, t('others', others)) : '', missing > 0 ? h('p', { class: 'others' }, t('missing', missing)) : '');
  }

  /** Instances of a series that is shown which are neither pictures here nor documents. @param {import('../delivery.js').Series} series */
  #missing(series) {
    return series.layout.filter((one, at) => !one && !this.documents?.all.some((document) => document.series === series && document.at === at)).length;
  }

  /** @param {Stack} stack */
  open(stack) {
    this.#chosen = true;
    this.cine.stop();
    this.#refuse('');
    if (stack === this.pane.stack && this.mpr) return;
    if (this.mpr) this.#closePlanes();
    if (stack === this.pair.other?.stack) return this.#actOn(this.pair.other);
    if (!this.pair.takes(stack)) this.pair.close();
    this.pane.open(stack, stack.entry);
    this.pair.follow();
    this.#look();
    this.#series();
  }

  /** By hand: what plays stops. @param {number} place */
  show(place) {
    this.cine.stop();
    this.#go(place);
  }

  /** @param {number} place */
  #go(place) {
    const next = Math.min(this.pane.stack.frames.length - 1, Math.max(0, place));
    if (next === this.pane.place) return;
    this.pane.place = next;
    this.pair.follow();
    this.#look();
    this.pane.ask();
  }

  /** @param {import('./window.js').Window|null} window */
  #setWindow(window) {
    this.windows.set(this.pane.stack, window);
    this.toolbar.show();
    this.pane.ask();
  }

  /** Right widens, down darkens, as everywhere. @param {number} dx @param {number} dy */
  drag(dx, dy) {
    const { stack, window: { center, width } } = this.pane, speed = Math.max(0.25, width / 250);
    this.windows.set(stack, { center: Math.round((center + dy * speed) * 100) / 100, width: Math.max(1, Math.round((width + dx * speed) * 100) / 100) });
    if (this.toolbar.isStale) this.toolbar.show();
    this.pane.ask();
  }

  /** @param {import('./pictures.js').Picture|null} picture */
  #drawn(picture) {
    const { place, stack } = this.pane, { here, all } = this.pictures.progress;
    // Planes are cut through what was compressed, also where some of it became exact.
    this.loss.classList.toggle('exact', !!picture?.exact && !this.mpr);
    if (picture?.full && this.cine.playing) this.cine.drawn(place);
    this.#pace();
    if (document.activeElement !== this.slider || Number(this.slider.value) !== place + 1) this.slider.value = String(place + 1);
    this.slider.setAttribute('aria-valuetext', t('slice of', place + 1, stack.frames.length));
    this.bar.value = all ? here / all : 1;
    this.bar.classList.toggle('done', here === all);
    if (picture && this.#first) { this.#first = false; this.around.shown(); }
  }

  close() {
    this.keyboard.close();
    this.cine.close();
    this.documents?.end();
    this.mpr?.close();
    this.pictures.close();
    this.pair.end();
    this.pane.close();
  }
}
