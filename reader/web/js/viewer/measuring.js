// Arrows and measures by finger: what is drawn, mended, listed, kept with the case and put into an answer. Measures are for a site that wants them.
import { h, put, said } from '../dom.js';
import { t } from '../texts.js';
import { onCanvas } from './camera.js';
import { drawMarks, isInside, svg } from './marks.js';
import { onImage, pixelAt, within } from './measure.js';
import { brief, lines, placeWords, valueAt, valuesIn } from './measured.js';

/** @typedef {import('./gestures.js').Phase} Phase */
/** @typedef {import('./measured.js').Kind} Kind */
/** @typedef {import('./measured.js').Measure} Measure */
/** @typedef {import('./pane.js').Pane} Pane */
/** @typedef {import('./stack.js').Frame} Frame */
/** @typedef {import('./pictures.js').Picture} Picture */
/** @typedef {import('./planes.js').Point} Point */
/** An image of the delivery; `kind`: of what is drawn there. @typedef {{series:number, instance:number, frame:number, kind?:Kind}} Place */
/** With the case, on this device. @typedef {{kept: () => Promise<Measure[]|null>, keep: (all: Measure[]) => Promise<boolean>, measures: boolean}} Keeper kept: null where nothing is, rejects where it cannot be opened; keep: whether it is there after the page
 * was closed; measures: the site wants them */
/** Of a measure, what a finger takes; `off`: how far from the finger it lies, `before`: what it was, null where it draws.
 * @typedef {{measure:Measure, at:number, off:{x:number, y:number}, before:Pick<Measure, 'points'|'values'>|null}} Taken */
/** `from`: where the finger came down; `way`: the farthest that it was from there, CSS pixels. @typedef {Taken & {pane:Pane, from:{x:number, y:number}, way:number}} Held */

const KINDS = /** @type {const} */ (['length', 'angle', 'ellipse', 'value', 'arrow']);
const SIGNS = { arrow: '↙', length: '↔', angle: '∠', ellipse: '◯', value: '＋' };
/** Of a case: more than anybody looks through. */
const MEASURES_MAX = 100;
/** A handle is taken from so far: 44 px across. A way no longer than a tap's draws and mends nothing. */
const REACH_PX = 22, SHORTEST_PX = 12;

document.head.append(h('link', { rel: 'stylesheet', href: '/measure.css' }));

export class Measuring {
  /** @type {Measure[]} */
  #all;
  /** Measured while the site wanted it: kept, and not shown. @type {Measure[]} */
  #unwanted;
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
  kind;
  kinds = h('div', { class: 'row' });
  told = h('p', { class: 'told', role: 'status' });
  /** The image that what is told is of. @type {Place|null} */
  #toldOf = null;
  count = h('summary');
  list = h('ul');
  all = h('details', {}, this.count, this.list, h('button', { class: 'chip', click: () => { if (confirm(t('delete sure'))) this.#change([]); } }, t('delete all')));
  element;

  /** @param {import('./viewer.js').Viewer} viewer @param {Keeper} keeper */
  static async open(viewer, keeper) {
    const all = await keeper.kept().then((kept) => kept ?? [], () => null), measuring = new Measuring(viewer, keeper, all);
    viewer.toolbar.menu.after(measuring.element);
    viewer.pictures.addEventListener('ordered', () => measuring.#list());
    return measuring;
  }

  /** @param {import('./viewer.js').Viewer} viewer @param {Keeper} keeper @param {Measure[]|null} all null: they cannot be opened, and nothing may be kept in their place @private */
  constructor(viewer, keeper, all) {
    this.viewer = viewer;
    this.keeper = all ? keeper : { ...keeper, keep: async () => false };
    this.unkept = all ? 'not kept' : 'not opened';
    const { measures } = keeper;
    this.#all = (all ?? []).filter((one) => measures || isArrow(one));
    this.#unwanted = (all ?? []).filter((one) => !this.#all.includes(one));
    /** What the tool is called. */
    this.name = t(measures ? 'tool measure' : 'kind arrow');
    this.kind = measures ? 'length' : 'arrow';
    this.element = h('div', { class: 'measuring', role: 'group', 'aria-label': this.name, hidden: true }, measures ? this.kinds : null, this.all, this.told);
    if (!all) this.#tell(t(this.unkept));
  }

  /** @param {string} words @param {Place|null} [of] */
  #tell(words, of = null) {
    put(this.told, words);
    this.#toldOf = of;
  }

  /** What can be drawn, and what was. */
  show() {
    this.element.hidden = this.viewer.toolbar.tool !== 'measure';
    if (this.element.hidden) this.#leave();
    else if (this.kind === 'arrow' && !this.told.textContent) this.#tell(t('arrow how'));
    this.kinds.replaceChildren(...KINDS.filter((kind) => kind !== 'arrow' || this.viewer.answers).map((kind) => h('button', { class: 'chip', 'aria-pressed': String(this.kind === kind), click: () => this.#choose(kind) },
      h('span', { 'aria-hidden': 'true' }, SIGNS[kind]), t(`kind ${kind}`))));
    this.#list();
    this.#ask();
  }

  /** @param {Kind|'value'} kind */
  #choose(kind) {
    this.kind = kind;
    this.#leave();
    this.#tell('');
    this.show();
  }

  /** Another tool, or another kind. */
  #leave() {
    this.#cancel();
    this.#probe = this.#begun = null;
    if (this.#toldOf) this.#tell('');
  }

  /** Where no pane shows its image any more, what is held ends and what is told goes. */
  #settle() {
    const { panes } = this.viewer, held = this.#held, of = this.#toldOf;
    if (held && !(panes.includes(held.pane) && isOf(held.measure, held.pane))) this.#cancel();
    if (of && !panes.some((pane) => isOf(of, pane))) this.#tell('');
  }

  #ask() {
    for (const pane of this.viewer.panes) pane.ask();
  }

  /** @param {Pane} pane @param {Phase} phase @param {number} x @param {number} y CSS pixels of the canvas */
  finger(pane, phase, x, y) {
    const { frame } = pane, isShown = !!frame && pane.canvas.dataset.shown !== 'nothing';
    this.#settle();
    // All but the way of the finger that holds it, on its picture, leaves it as it was.
    if (phase === 'down' || phase === 'cancel' || !isShown || this.#held?.pane !== pane) this.#cancel();
    pane.ask();
    if (phase === 'cancel' || !isShown) return;
    if (this.kind === 'value') this.#probe = phase === 'up' ? this.#probe : { ...placeOf(pane), point: within(under(pane, x, y), frame.layout) };
    else if (phase === 'down') {
      // The other arm begins where the first one ends: that is no handle yet.
      const taken = (this.#begun ? null : this.#take(pane, x, y)) ?? this.#begin(pane, frame, x, y);
      this.#held = taken && { ...taken, pane, from: { x, y }, way: 0 };
    } else if (this.#held) {
      const { measure, at, off, from } = this.#held;
      measure.points[at] = pointOf(measure.kind, at, pane, frame, x + off.x, y + off.y);
      measure.values = null;
      this.#held.way = Math.max(this.#held.way, Math.hypot(x - from.x, y - from.y));
      if (phase === 'up') this.#end(this.#held);
    }
  }

  /** The handle under the finger, which stays as far from it as it was. @param {Pane} pane @param {number} x @param {number} y @returns {Taken|null} */
  #take(pane, x, y) {
    const all = this.#seen(pane).flatMap((measure) => measure.points.map((point, at) => {
      const place = onCanvas(pane.view, ...point), off = { x: place.x / devicePixelRatio - x, y: place.y / devicePixelRatio - y };
      return { measure, at, off, before: { points: [...measure.points], values: measure.values }, away: Math.hypot(off.x, off.y) };
    }));
    const [nearest] = all.sort((a, b) => a.away - b.away);
    return nearest && nearest.away <= REACH_PX ? nearest : null;
  }

  /** @param {Pane} pane @param {Frame} frame @param {number} x @param {number} y @returns {Taken|null} */
  #begin(pane, frame, x, y) {
    const off = { x: 0, y: 0 }, begun = this.#begun;
    if (begun && isOf(begun, pane)) {
      begun.points[2] = pointOf(begun.kind, 2, pane, frame, x, y);
      return { measure: begun, at: 2, off, before: null };
    }
    this.#begun = null;
    if (this.#all.length >= MEASURES_MAX) {
      this.#tell(t('measures full', MEASURES_MAX));
      return null;
    }
    const kind = /** @type {Kind} */ (this.kind), place = under(pane, x, y);
    // An arrow shows something of the image.
    if (kind === 'arrow' && within(place, frame.layout).some((inside, n) => inside !== place[n])) return null;
    return { measure: { kind, ...placeOf(pane), points: [0, 1].map((at) => pointOf(kind, at, pane, frame, x, y)), values: null }, at: 1, off, before: null };
  }

  /** @param {Held} held */
  #end({ measure, at, pane, way }) {
    const [before, end, next] = [at - 1, at, at + 1].map((n) => measure.points[n]).map((point) => point && onCanvas(pane.view, ...point));
    const isShort = [before, next].some((other) => end && other && Math.hypot(end.x - other.x, end.y - other.y) / devicePixelRatio < SHORTEST_PX);
    if (way <= SHORTEST_PX || isShort) return this.#cancel();
    this.#held = null;
    this.#begun = measure.kind === 'angle' && measure.points.length < 3 ? measure : null;
    if (this.#begun) this.#tell(t('second arm'), measure);
    else this.#change(this.#all.includes(measure) ? this.#all : [...this.#all, measure], measure);
  }

  /** As it was; of an angle the first arm stays. */
  #cancel() {
    const { measure, before } = this.#held ?? {};
    if (measure && before) Object.assign(measure, before);
    else if (measure) measure.points.length = 2;
    this.#held?.pane.ask();
    this.#held = null;
  }

  /** @param {Measure[]} all @param {Measure} [changed] */
  #change(all, changed) {
    this.#cancel();
    this.#all = all;
    this.#tell(changed ? this.#words(changed) : '', changed);
    this.#list();
    this.#ask();
    this.#keep();
  }

  #keep() {
    // As they are now: a finger may hold one of them when its turn comes.
    const all = structuredClone([...this.#unwanted, ...this.#all]);
    this.#keeping = this.#keeping.then(() => this.keeper.keep(all)).catch(() => false).then((isKept) => { if (!isKept) this.#tell(t(this.unkept)); });
  }

  /** Those of the image that a pane shows. @param {Pane} pane */
  #seen(pane) {
    return [...new Set([...this.#all, this.#begun, this.#held?.measure])].filter((one) => !!one).filter((one) => isOf(one, pane));
  }

  /** @param {Pane} pane @param {Picture|null} picture that is seen */
  draw(pane, picture) {
    this.#settle();
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
      // An arrow says where it points by itself.
      return { kind: measure.kind, places: measure.points.map(onScreen), lines: isArrow(own) ? [] : lines(own, geometry, stack.series.modality) };
    });
    if (picture && frame && geometry && this.#probe && isOf(this.#probe, pane)) {
      const value = valueAt(this.#probe.point, stack, frame, geometry, picture);
      marks.push({ kind: 'value', places: [onScreen(this.#probe.point)], lines: value });
      this.#tell(value.join(', '), this.#probe);
    }
    const room = { width: canvas.clientWidth, height: canvas.clientHeight }, seen = marks.filter((mark) => isInside(mark, room));
    drawMarks(surface, seen, room, this.viewer.toolbar.tool === 'measure');
    // A number that is told is said of a mark that may lie off screen.
    reference.hidden = seen.every(isArrow) && !(this.#toldOf && isOf(this.#toldOf, pane) && !isArrow(this.#toldOf));
  }

  /** Of other pixels, as where exact ones came, other values. @param {Measure} measure @param {Pane} pane @param {Picture} picture @param {import('../delivery.js').Geometry} geometry */
  #value(measure, { stack, frame }, picture, geometry) {
    const data = picture.parts[0]?.data;
    if (measure.kind !== 'ellipse' || this.#held || !frame || !picture.full || (measure.values && this.#of.get(measure) === data)) return;
    const before = JSON.stringify(measure.values);
    measure.values = valuesIn(measure.points, stack, frame, geometry, picture);
    this.#of.set(measure, data);
    if (JSON.stringify(measure.values) === before) return;
    this.#tell(this.#words(measure), measure);
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

  /** Whether no other instance of the series has its number: not before the headers of all are here. @param {{stack:import('./stack.js').Stack, place:number, geometry:import('../delivery.js').Geometry}} at */
  #isAlone({ stack, place, geometry: { number } }) {
    const own = stack.frames[place]?.instance, others = stack.frames.filter(({ instance }) => instance !== own).map((frame) => this.viewer.pictures.geometry(stack, frame));
    return others.every((other) => other && other.number !== number);
  }

  /** @param {Measure} measure */
  #words(measure) {
    const at = this.#at(measure);
    return at ? lines(measure, at.geometry, at.stack.series.modality).join(', ') : t('loading');
  }

  /** In words, for whoever does not see the picture; rebuilt where they changed. */
  #list() {
    const rows = this.#all.map((measure) => {
      const at = this.#at(measure);
      return { measure, words: this.#words(measure), at, known: at && this.#isAlone(at) ? placeWords(measure, at.stack, at.geometry) : '' };
    });
    const listed = JSON.stringify(rows.map(({ words, at, known }) => [words, at?.place, known]));
    if (listed === this.#listed) return;
    this.#listed = listed;
    const arrows = this.#all.filter(isArrow).length;
    put(this.count, t(arrows === 0 ? 'measured all' : arrows === rows.length ? 'arrows all' : 'both all', rows.length));
    this.list.replaceChildren(...rows.map(({ measure, words, at, known }) => {
      const place = known || (at ? `${at.place + 1} / ${at.stack.frames.length}` : '');
      const line = at ? t(isArrow(measure) ? 'arrow line' : 'measured line', brief(measure, at.geometry, at.stack.series.modality), known) : '';
      const isSaid = known && (measure.kind !== 'ellipse' || (!!measure.values && !('none' in measure.values)));
      return h('li', {}, h('button', { class: 'go', click: () => this.#go(measure) }, h('span', {}, words), said(place, { class: 'soft' })),
        this.viewer.answers && isSaid ? h('button', { 'aria-label': t('to answer hint', line), click: () => this.#answer(line) }, t('to answer')) : null,
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
    this.#tell(fits ? '' : t('answer full'));
  }
}

/** No figure, and so not for reference. @param {{kind?:string}} one */
const isArrow = ({ kind }) => kind === 'arrow';

/** The place of the image under a finger, which may lie beside it. @param {Pane} pane @param {number} x @param {number} y CSS pixels @param {number} [further] device pixels @returns {Point} */
const under = ({ view }, x, y, further = 0) => onImage(view, x * devicePixelRatio + further, y * devicePixelRatio + further);

/** A point of a measure. An arrow comes from wherever it does, to the middle of a pixel: the one that is drawn at the finger's device pixel, whichever way the image is turned. @param {Kind} kind @param {number} at
 * @param {Pane} pane @param {Frame} frame @param {number} x @param {number} y @returns {Point} */
function pointOf(kind, at, pane, frame, x, y) {
  if (kind !== 'arrow') return within(under(pane, x, y), frame.layout);
  if (at > 0) return under(pane, x, y);
  const [column, row] = pixelAt(under(pane, x, y, 0.5), frame.layout);
  return [column + 0.5, row + 0.5];
}

/** @param {Pane} pane @returns {Place} */
const placeOf = ({ stack, frame }) => ({ series: stack.index, instance: frame?.instance ?? -1, frame: frame?.frame ?? -1 });

/** @param {Place} place @param {Pane} pane */
const isOf = (place, pane) => Object.entries(placeOf(pane)).every(([name, number]) => place[/** @type {keyof Place} */ (name)] === number);
