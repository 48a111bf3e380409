// Three planes through one point of a series: the stored one, and two that are cut through its slices, each alone or projected along a slab.
import { h } from '../dom.js';
import { learn, t } from '../texts.js';
import { gridOf, lying, standing } from './grid.js';
import { troubleWords } from './pane.js';
import { Section } from './section.js';
import { grey } from './values.js';
import { Volume } from './volume.js';
import { windowWords } from './window.js';

/** @typedef {import('./grid.js').Grid} Grid */
/** @typedef {import('./samples.js').Part} Part */
/** @typedef {import('./volume.js').Projection} Projection */

learn({
  axial: ['横断', 'Axial'],
  coronal: ['冠状断', 'Coronal'],
  sagittal: ['矢状断', 'Sagittal'],
  oblique: ['{0}（斜め）', '{0}, oblique'],
  reformatted: ['再構成像・参考', 'Reformatted, for reference'],
  averaged: ['{0}×{0}画素平均', '{0}×{0} averaged'],
  projected: ['{0} {1} mm（{2}面）', '{0} {1} mm, {2} planes'],
  'projected one': ['{0} {1} mm（1面）', '{0} {1} mm, 1 plane'],
  'planes picture': ['{0}。上下になぞると面が変わり、触れた所へ中心が移ります', '{0}. Drag up or down to scroll the planes, tap to move the point'],
  'planes slab': ['厚さ', 'Thickness'],
  thin: ['1面', '1 plane'],
  max: ['MIP', 'MIP'],
  mean: ['平均', 'Mean'],
  min: ['MinIP', 'MinIP'],
  'planes apart': ['スライス間隔 {0} mm', 'Slices {0} mm apart'],
  'planes here': ['{1}枚中{0}枚', '{0} of {1} slices'],
  'planes damaged': ['破損{0}枚は黒', '{0} damaged, black'],
  'planes left out': ['破損{0}枚を除く', '{0} damaged, left out'],
  'planes headers': ['ヘッダーを受信中です。少し待ってからもう一度押してください。', 'Headers are still coming: try again in a moment.'],
  'planes colour': ['カラー画像からは断面を作れません。', 'No planes are cut through colours.'],
  'planes values': ['値の意味を読み取れない画像があるため、断面を作れません。', 'What the values of some images mean cannot be read: no planes are cut.'],
  'planes place': ['位置・向き・画素間隔のない画像があるため、断面を作れません。', 'Some images do not say where they lie or how large their pixels are: no planes are cut.'],
  'planes directions': ['向きの異なる画像が混在しているため、断面を作れません。', 'Images of several directions are mixed here: no planes are cut.'],
  'planes kinds': ['大きさまたは値の尺度の異なる画像が混在しているため、断面を作れません。', 'Images of several sizes or scales of values are mixed here: no planes are cut.'],
  'planes table': ['値を変換表（モダリティLUT）で読む画像からは断面を作れません。', 'No planes are cut through values that are read through a table (modality LUT).'],
  'planes scale': ['体内の長さが分からない画像（検出器面の長さ、較正なし、超音波）からは断面を作れません。', 'How long a pixel is in the patient is not known of these images (a length at the detector, not calibrated, ultrasound): no planes are cut.'],
  'planes gaps': ['スライス間隔が一定でない（欠け、または同じ位置に複数）ため、断面を作れません。', 'Slices do not lie at equal gaps (one is missing, or several are in one place): no planes are cut.'],
  'planes tilt': ['スライスが真上に重なっていない（ガントリ傾斜）ため、断面を作れません。', 'Slices do not lie straight above each other (the gantry was tilted): no planes are cut.'],
  'planes large': ['この端末には大きすぎるため、断面を作れません。', 'The series is too large for this device: no planes are cut.'],
});

const SLABS_MM = [0, 5, 10, 20];
/** While slices come, planes are drawn anew so often, ms; where none came for so long, what is lacking is asked for anew. */
const ANEW_MS = 250, STALLED_MS = 1_000;

document.head.append(h('link', { rel: 'stylesheet', href: '/mpr.css' }));

export class Mpr {
  slab = 0;
  /** @type {Projection} */
  projection = 'max';
  /** The voxel that all three planes go through, by column and row; its slice is the one that the viewer shows. */
  point = { column: 0, row: 0 };
  controls = h('div', { class: 'slab', role: 'group', 'aria-label': t('planes slab') });
  /** The parts of each plane that was cut last. @type {{key:string, parts:Part[]}[]} */
  #cut = [];
  #asked = false;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #anew;
  #before = -1;

  /** The planes of the series that is seen, in place of its picture; or why there are none. @param {import('./viewer.js').Viewer} viewer @returns {Mpr|{refused:string}} */
  static open(viewer) {
    const { stack } = viewer.pane, grid = gridOf(stack, stack.frames.map((frame) => viewer.pictures.geometry(stack, frame)));
    if ('refused' in grid) return grid;
    /** @type {Section[]} */
    const made = [];
    try {
      return new Mpr(viewer, grid, made);
    } catch {
      // No memory for the voxels, or no more places to draw.
      for (const section of made) section.close();
      return { refused: 'planes large' };
    }
  }

  /** @param {import('./viewer.js').Viewer} viewer @param {Grid} grid @param {Section[]} made so far, where it does not succeed @private */
  constructor(viewer, grid, made) {
    this.viewer = viewer;
    this.stack = viewer.pane.stack;
    this.volume = new Volume(grid);
    this.point = { column: grid.columns >> 1, row: grid.rows >> 1 };
    for (const axis of [2, 1, 0]) made.push(new Section(axis, {
      tool: () => viewer.toolbar.tool,
      length: () => this.volume.size[axis] ?? 1,
      scroll: (planes) => this.#go(axis, this.#at(axis) + planes),
      window: (dx, dy) => viewer.drag(dx, dy),
      move: (column, row) => this.#move(axis, column, row),
      redraw: () => this.ask(),
    }));
    this.sections = made;
    this.element = h('div', { class: 'planes' }, ...this.sections.map(({ element }) => element));
    this.decoded = this.decoded.bind(this);
    viewer.pictures.addEventListener('decoded', this.decoded);
    viewer.stages.after(this.element);
    viewer.stages.hidden = true;
    // What it has in textures is nowhere seen now.
    viewer.pane.renderer.forget();
    viewer.toolbar.menu.after(this.controls);
    for (const place of this.stack.frames.keys()) this.#take(place);
    this.#gather();
    this.stalled = setInterval(() => { if (this.volume.count === this.#before) this.#gather(); this.#before = this.volume.count; }, STALLED_MS);
    this.show();
  }

  /** Slices are decoded for the volume until it has all. Until it is closed, decoded pictures keep to their smaller room beside it. */
  #gather() {
    const { pictures } = this.viewer, { stack, volume } = this;
    const lacks = (/** @type {number} */ place) => !volume.has(place) && !pictures.damaged(stack, place);
    pictures.gather({ stack, lacks });
    if (![...stack.frames.keys()].some(lacks)) clearInterval(this.stalled);
  }

  /** @param {Event} event */
  decoded(event) {
    const { stack, slab } = /** @type {CustomEvent<{stack:import('./stack.js').Stack, slab:number}>} */ (event).detail;
    if (stack !== this.stack) return;
    stack.frames.forEach(({ slabs }, place) => { if (slabs.includes(slab)) this.#take(place); });
    if (this.volume.count === this.volume.size[2]) this.#gather();
    this.#anew ??= setTimeout(() => { this.#anew = undefined; this.ask(); }, ANEW_MS);
  }

  /** @param {number} place */
  #take(place) {
    if (this.volume.has(place)) return;
    const picture = this.viewer.pictures.picture(this.stack, place), [part] = picture?.parts ?? [];
    if (picture?.full && part) this.volume.put(place, part);
  }

  /** @param {number} axis */
  #at(axis) {
    return [this.point.column, this.point.row, this.viewer.pane.place][axis] ?? 0;
  }

  /** @param {number} axis @param {number} to */
  #go(axis, to) {
    const at = Math.min((this.volume.size[axis] ?? 1) - 1, Math.max(0, Math.floor(to)));
    if (axis === 2) this.viewer.show(at);
    else this.point[axis === 0 ? 'column' : 'row'] = at;
    this.ask();
  }

  /** @param {number} axis of the plane that was tapped @param {number} column @param {number} row of its picture */
  #move(axis, column, row) {
    const content = this.sections.find((one) => one.axis === axis)?.content, [wide, high] = lying(axis);
    if (!content || column < 0 || row < 0 || column >= content.columns || row >= content.rows) return;
    this.#go(wide, column / content.step);
    this.#go(high, row / content.step);
  }

  /** What can be chosen, and the planes. */
  show() {
    const chip = (/** @type {string} */ words, /** @type {boolean} */ on, /** @type {() => void} */ choose) =>
      h('button', { class: 'chip', 'aria-pressed': String(on), click: () => { choose(); this.show(); } }, words);
    const kinds = /** @type {Projection[]} */ (this.stack.series.modality === 'CT' ? ['max', 'mean', 'min'] : ['max', 'min']);
    this.controls.replaceChildren(...SLABS_MM.map((mm) => chip(mm ? `${mm} mm` : t('thin'), this.slab === mm, () => { this.slab = mm; })),
      ...(this.slab ? kinds.map((kind) => chip(t(kind), this.projection === kind, () => { this.projection = kind; })) : []));
    this.ask();
  }

  ask() {
    if (this.#asked) return;
    this.#asked = true;
    requestAnimationFrame(() => { this.#asked = false; this.draw(); });
  }

  draw() {
    if (!this.element.isConnected || this.stack !== this.viewer.pane.stack) return;
    for (const section of this.sections) section.draw(this.#content(section.axis));
  }

  /** @param {number} axis @returns {import('./section.js').Content} */
  #content(axis) {
    const { volume, viewer: { pane, pictures } } = this, { grid } = volume, [wide, high] = lying(axis), { plane, isOblique, way } = standing(grid, axis);
    const [from, to] = volume.slab(axis, this.#at(axis), this.slab), isStored = axis === 2 && from === to, picture = isStored ? pictures.picture(this.stack, pane.place) : null;
    const how = grey(pane.geometry, pane.frame?.layout, pane.window), name = isOblique ? t('oblique', t(plane)) : t(plane);
    // The stored picture has all its pixels, and its own bits.
    const step = isStored ? 1 : grid.step, layout = isStored ? pane.frame?.layout : null;
    const [across, down] = [grid.spacing[wide] ?? 1, grid.spacing[high] ?? 1].map((mm) => (isStored ? mm / grid.step : mm));
    const words = [name, !isStored && t('reformatted'), this.slab && t(to > from ? 'projected' : 'projected one', t(this.projection), this.slab, to - from + 1), step > 1 && t('averaged', step), pane.geometry?.lossy && t('came lossy'), pane.presentation.inverted && t('mark inverted')];
    return {
      parts: isStored ? picture?.parts ?? [] : this.#plane(axis, from, to), columns: layout?.columns ?? volume.size[wide] ?? 1, rows: layout?.rows ?? volume.size[high] ?? 1, step: isStored ? grid.step : 1,
      orientation: [...(grid.axes[wide] ?? []), ...(grid.axes[high] ?? [])], spacing: [down ?? 1, across ?? 1], way, across: [wide, high], name,
      grey: { ...how, shift: isStored ? how.shift : 0, invert: how.invert !== pane.presentation.inverted },
      point: /** @type {[number, number]} */ ([wide, high].map((of) => (this.#at(of) + 0.5) * (isStored ? grid.step : 1))),
      isComing: volume.count < grid.slices, isBad: isStored && pictures.damaged(this.stack, pane.place),
      words: words.filter((one) => one).join('\n'), corner: axis === 2 ? `${pane.place + 1} / ${grid.slices}\n${windowWords(pane.window, pane.windows.name(pane.stack, pane.place))}` : t('planes apart', Math.round((grid.spacing[2] ?? 0) * 100) / 100), arranged: axis === 2 ? pane.windows.arrangedBy(pane.stack, pane.place) : '', state: isStored ? this.#storedState(picture) : this.#state(axis, from, to),
    };
  }

  /** @param {import('./pictures.js').Picture|null} picture */
  #storedState(picture) {
    const { pane, pictures } = this.viewer;
    if (pictures.trouble) return troubleWords(pictures.trouble);
    if (pictures.damaged(this.stack, pane.place)) return t('damaged picture');
    return !picture ? t('loading') : picture.full ? '' : t('coarse');
  }

  /** What a plane lacks: of a slab across the slices those of the slab, of any other plane all. @param {number} axis @param {number} from @param {number} to */
  #state(axis, from, to) {
    const { volume, stack, viewer: { pictures } } = this, places = [...stack.frames.keys()].filter((place) => axis !== 2 || (place >= from && place <= to));
    const here = places.filter((place) => volume.has(place)).length, damaged = places.filter((place) => pictures.damaged(stack, place)).length;
    const words = [here + damaged < places.length && t('planes here', here, places.length), damaged && t(axis === 2 ? 'planes left out' : 'planes damaged', damaged)];
    return [pictures.trouble && troubleWords(pictures.trouble), ...words].filter((one) => one).join('\n');
  }

  /** @param {number} axis @param {number} from @param {number} to */
  #plane(axis, from, to) {
    // The brightest is what means the most.
    const turned = this.volume.grid.slope < 0 && this.projection !== 'mean', projection = turned ? (this.projection === 'max' ? 'min' : 'max') : this.projection;
    const key = [from, to, projection, this.volume.count].join(' '), known = this.#cut[axis];
    const parts = known?.key === key ? known.parts : this.volume.plane(axis, from, to, projection);
    this.#cut[axis] = { key, parts };
    return parts;
  }

  close() {
    const { viewer } = this;
    clearInterval(this.stalled);
    clearTimeout(this.#anew);
    viewer.pictures.removeEventListener('decoded', this.decoded);
    viewer.pictures.gather(null);
    for (const section of this.sections) section.close();
    this.element.remove();
    this.controls.remove();
    viewer.stages.hidden = false;
  }
}
