// Measuring by finger: what is drawn, mended, listed, kept with the case and put into an answer. For a site that wants it.
import { h, put, said } from '../dom.js';
import { t } from '../texts.js';
import { onCanvas } from './camera.js';
import { drawMarks, isInside, svg } from './marks.js';
import { onImage, within } from './measure.js';
import { lines, placeWords, valueAt, valuesIn } from './measured.js';

/** @typedef {import('./gestures.js').Phase} Phase */
/** @typedef {import('./measured.js').Kind} Kind */
/** @typedef {import('./measured.js').Measure} Measure */
/** @typedef {import('./pane.js').Pane} Pane */
/** @typedef {import('./pictures.js').Picture} Picture */
/** @typedef {import('./planes.js').Point} Point */
/** An image of the delivery. @typedef {{series:number, instance:number, frame:number}} Place */
/** With the case, on this device. @typedef {{kept: () => Promise<Measure[]|null>, keep: (all: Measure[]) => Promise<boolean>}} Keeper keep: whether it is there after the page was closed */
/** What a finger holds; `before`: the places as they were, null where it draws. @typedef {{measure:Measure, at:number, off:{x:number, y:number}, before:Point[]|null}} Held */

const KINDS = /** @type {const} */ (['length', 'angle', 'ellipse', 'value']);
const SIGNS = { length: '↔', angle: '∠', ellipse: '◯', value: '＋' };
/** Of a case: more than anybody looks through. */
const MEASURES_MAX = 100;
/** A handle is taken from so far: 44 px across. A shorter way than a tap's draws nothing. */
const REACH_PX = 22, SHORTEST_PX = 12;

document.head.append(h('link', { rel: 'stylesheet', href: '/measure.css' }));

export class Measuring {
  /** @type {Measure[]} */
  #all;
  /** An angle that lacks an arm. @type {Measure|null} */
  #begun = null;
  /** @type {Held|null} */
  #held = null;
  /** Where a value is asked for. @type {(Place & {point: Point})|null} */
  #probe = null;
  /** The pixels that the values of an ellipse are of. @type {WeakMap<Measure, unknown>} */
  #of = new WeakMap();
  /** @type {WeakMap<Pane, {surface: Element, reference: HTMLElement}>} */
  #overlays = new WeakMap();
  /** One after the other. */
  #keeping = Promise.resolve();
  /** @type {string|null} */
  #listed = null;
  /** @type {Kind|'value'} */
  kind = 'length';
  kinds = h('div', { class: 'row' });
  told = h('p', { class: 'told', role: 'status' });
  count = h('summary');
  list = h('ul');
  all = h('details', {}, this.count, this.list, h('button', { class: 'chip', click: () => { if (confirm(t('delete sure'))) this.#change([]); } }, t('delete all')));
  element = h('div', { class: 'measuring', role: 'group', 'aria-label': t('tool measure'), hidden: true }, this.kinds, this.all, this.told);

  /** @param {import('./viewer.js').Viewer} viewer @param {Keeper} keeper */
  static async open(viewer, keeper) {
    const measuring = new Measuring(viewer, keeper, (await keeper.kept()) ?? []);
    viewer.toolbar.menu.after(measuring.element);
    viewer.pictures.addEventListener('ordered', () => measuring.#list());
    return measuring;
  }

  /** @param {import('./viewer.js').Viewer} viewer @param {Keeper} keeper @param {Measure[]} all @private */
  constructor(viewer, keeper, all) {
    this.viewer = viewer;
    this.keeper = keeper;
    this.#all = all;
  }

  /** What can be drawn, and what was. */
  show() {
    this.element.hidden = this.viewer.toolbar.tool !== 'measure';
    if (this.element.hidden) this.#probe = this.#begun = null;
    this.kinds.replaceChildren(...KINDS.map((kind) => h('button', { class: 'chip', 'aria-pressed': String(this.kind === kind), click: () => this.#choose(kind) },
      h('span', { 'aria-hidden': 'true' }, SIGNS[kind]), t(`kind ${kind}`))));
    this.#list();
    this.#ask();
  }

  /** @param {Kind|'value'} kind */
  #choose(kind) {
    this.kind = kind;
    this.#probe = this.#begun = null;
    put(this.told, '');
    this.show();
  }

  #ask() {
    for (const pane of this.viewer.panes) pane.ask();
  }

  /** @param {Pane} pane @param {Phase} phase @param {number} x @param {number} y CSS pixels of the canvas */
  finger(pane, phase, x, y) {
    const { frame } = pane, here = (/** @type {{x:number, y:number}} */ off) => /** @type {Point} */ (frame ? within(onImage(pane.view, (x + off.x) * devicePixelRatio, (y + off.y) * devicePixelRatio), frame.layout) : [0, 0]);
    if (phase === 'cancel') this.#cancel();
    else if (!frame || pane.canvas.dataset.shown === 'nothing') return;
    else if (this.kind === 'value') this.#probe = phase === 'up' ? this.#probe : { ...placeOf(pane), point: here({ x: 0, y: 0 }) };
    // The other arm begins where the first one ends: that is no handle yet.
    else if (phase === 'down') this.#held = (this.#begun ? null : this.#take(pane, x, y)) ?? this.#begin(pane, here({ x: 0, y: 0 }));
    else if (this.#held && isOf(this.#held.measure, pane)) {
      const { measure, at, off } = this.#held;
      measure.points[at] = here(off);
      measure.values = null;
      if (phase === 'up') this.#end(pane, this.#held);
    }
    pane.ask();
  }

  /** The handle under the finger, which stays as far from it as it was. @param {Pane} pane @param {number} x @param {number} y @returns {Held|null} */
  #take(pane, x, y) {
    const all = this.#seen(pane).flatMap((measure) => measure.points.map((point, at) => {
      const place = onCanvas(pane.view, ...point), off = { x: place.x / devicePixelRatio - x, y: place.y / devicePixelRatio - y };
      return { measure, at, off, before: [...measure.points], away: Math.hypot(off.x, off.y) };
    }));
    const [nearest] = all.sort((a, b) => a.away - b.away);
    return nearest && nearest.away <= REACH_PX ? nearest : null;
  }

  /** @param {Pane} pane @param {Point} point @returns {Held|null} */
  #begin(pane, point) {
    const off = { x: 0, y: 0 }, begun = this.#begun;
    if (begun && isOf(begun, pane)) return { measure: begun, at: begun.points.push(point) - 1, off, before: null };
    this.#begun = null;
    if (this.#all.length >= MEASURES_MAX) {
      put(this.told, t('measures full', MEASURES_MAX));
      return null;
    }
    const kind = /** @type {Kind} */ (this.kind);
    return { measure: { kind, ...placeOf(pane), points: [point, point], values: null }, at: 1, off, before: null };
  }

  /** @param {Pane} pane @param {Held} held */
  #end(pane, held) {
    const { measure, at, before } = held, [from, to] = [measure.points[at - 1], measure.points[at]].map((point) => onCanvas(pane.view, ...(point ?? [0, 0])));
    if (!before && from && to && Math.hypot(to.x - from.x, to.y - from.y) / devicePixelRatio < SHORTEST_PX) return this.#cancel();
    this.#held = null;
    this.#begun = measure.kind === 'angle' && measure.points.length < 3 ? measure : null;
    if (this.#begun) put(this.told, t('second arm'));
    else this.#change(this.#all.includes(measure) ? this.#all : [...this.#all, measure], measure);
  }

  /** Two fingers, or a tap: as it was. */
  #cancel() {
    const { measure, before, at } = this.#held ?? {};
    if (measure && before) measure.points = before;
    else if (measure && at === 2) measure.points.pop();
    this.#held = null;
  }

  /** @param {Measure[]} all @param {Measure} [changed] */
  #change(all, changed) {
    this.#all = all;
    put(this.told, changed ? this.#words(changed) : '');
    this.#list();
    this.#ask();
    this.#keep();
  }

  #keep() {
    this.#keeping = this.#keeping.then(() => this.keeper.keep(this.#all)).catch(() => false).then((isKept) => { if (!isKept) put(this.told, t('not kept')); });
  }

  /** Those of the image that a pane shows. @param {Pane} pane */
  #seen(pane) {
    return [...new Set([...this.#all, this.#begun, this.#held?.measure])].filter((one) => !!one).filter((one) => isOf(one, pane));
  }

  /** @param {Pane} pane @param {Picture|null} picture that is seen */
  draw(pane, picture) {
    const { stack, frame, geometry, canvas } = pane, { surface, reference } = this.#overlay(pane);
    const onScreen = (/** @type {Point} */ point) => {
      const { x, y } = onCanvas(pane.view, ...point);
      return { x: canvas.offsetLeft + x / devicePixelRatio, y: canvas.offsetTop + y / devicePixelRatio };
    };
    /** @type {import('./marks.js').Mark[]} */
    const marks = !picture || !frame || !geometry ? [] : this.#seen(pane).map((measure) => {
      this.#value(measure, pane, picture, geometry);
      // Never a value of a coarse picture, nor one of before the image was whole here.
      const own = picture.full ? measure : { ...measure, values: null };
      return { kind: measure.kind, places: measure.points.map(onScreen), lines: lines(own, geometry, stack.series.modality) };
    });
    if (picture && frame && geometry && this.#probe && isOf(this.#probe, pane)) {
      const value = valueAt(this.#probe.point, stack, frame, geometry, picture);
      marks.push({ kind: 'value', places: [onScreen(this.#probe.point)], lines: value });
      put(this.told, value.join(', '));
    }
    const room = { width: canvas.clientWidth, height: canvas.clientHeight }, seen = marks.filter((mark) => isInside(mark, room));
    drawMarks(surface, seen, room, this.viewer.toolbar.tool === 'measure');
    reference.hidden = seen.length === 0;
  }

  /** Of other pixels, as where exact ones came, other values. @param {Measure} measure @param {Pane} pane @param {Picture} picture @param {import('../delivery.js').Geometry} geometry */
  #value(measure, { stack, frame }, picture, geometry) {
    const data = picture.parts[0]?.data;
    if (measure.kind !== 'ellipse' || measure === this.#held?.measure || !frame || !picture.full || (measure.values && this.#of.get(measure) === data)) return;
    const before = JSON.stringify(measure.values);
    measure.values = valuesIn(measure.points, stack, frame, geometry, picture);
    this.#of.set(measure, data);
    if (JSON.stringify(measure.values) === before) return;
    put(this.told, this.#words(measure));
    this.#list();
    this.#keep();
  }

  /** @param {Pane} pane */
  #overlay(pane) {
    const known = this.#overlays.get(pane);
    if (known) return known;
    const surface = svg('svg', { class: 'marks', 'aria-hidden': 'true' }), reference = h('p', { class: 'reference' }, t('for reference'));
    pane.canvas.after(surface, reference);
    this.#overlays.set(pane, { surface, reference });
    return { surface, reference };
  }

  /** @param {Measure} measure */
  #at(measure) {
    const { pictures } = this.viewer, stack = pictures.stacks.find(({ index }) => index === measure.series);
    const place = stack?.frames.findIndex(({ instance, frame }) => instance === measure.instance && frame === measure.frame) ?? -1;
    const geometry = stack && place >= 0 ? pictures.geometry(stack, stack.frames[place]) : null;
    return stack && geometry ? { stack, place, geometry } : null;
  }

  /** @param {Measure} measure */
  #words(measure) {
    const at = this.#at(measure);
    return at ? lines(measure, at.geometry, at.stack.series.modality).join(', ') : t('loading');
  }

  /** In words, for whoever does not see the picture; rebuilt where they changed. */
  #list() {
    const rows = this.#all.map((measure) => ({ measure, words: this.#words(measure), at: this.#at(measure) }));
    const listed = JSON.stringify(rows.map(({ words, at }) => [words, at?.place]));
    if (listed === this.#listed) return;
    this.#listed = listed;
    put(this.count, t('measured all', rows.length));
    this.list.replaceChildren(...rows.map(({ measure, words, at }) => {
      const place = at ? placeWords(measure, at.stack, at.geometry) || `${at.place + 1} / ${at.stack.frames.length}` : '', line = t('measured line', words, place);
      const isSaid = measure.kind !== 'ellipse' || (!!measure.values && !('none' in measure.values));
      return h('li', {}, h('button', { class: 'go', click: () => this.#go(measure) }, h('span', {}, words), said(place, { class: 'soft' })),
        this.viewer.answers && at && isSaid ? h('button', { 'aria-label': t('to answer hint', line), click: () => this.#answer(line) }, t('to answer')) : null,
        h('button', { 'aria-label': t('delete hint', `${words}, ${place}`), click: () => this.#change(this.#all.filter((one) => one !== measure)) }, '✕'));
    }));
  }

  /** @param {Measure} measure */
  #go(measure) {
    const at = this.#at(measure);
    if (!at) return;
    if (this.viewer.pane.stack !== at.stack) this.viewer.open(at.stack);
    this.viewer.show(at.place);
  }

  /** @param {string} line */
  #answer(line) {
    const fits = this.viewer.answers?.dispatchEvent(new CustomEvent('add', { detail: line, cancelable: true }));
    put(this.told, fits ? '' : t('answer full'));
  }
}

/** @param {Pane} pane @returns {Place} */
const placeOf = ({ stack, frame }) => ({ series: stack.index, instance: frame?.instance ?? -1, frame: frame?.frame ?? -1 });

/** @param {Place} place @param {Pane} pane */
const isOf = (place, pane) => Object.entries(placeOf(pane)).every(([name, number]) => place[/** @type {keyof Place} */ (name)] === number);
