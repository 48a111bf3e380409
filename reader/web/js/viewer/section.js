// One plane through a volume on one canvas: its picture, its sides, the lines of the other two planes, and what it is.
import { h, put, putSaid } from '../dom.js';
import { t } from '../texts.js';
import { Camera, fill, onCanvas } from './camera.js';
import { gestures, stepOf } from './gestures.js';
import { STEPS } from './keyboard.js';
import { Sides, edges } from './letters.js';
import { svg } from './marks.js';
import { onImage } from './measure.js';
import { Renderer } from './renderer.js';
import { Ruler } from './scale.js';

/** @typedef {import('./samples.js').Part} Part */
/** What there is to see: `orientation`: where its columns and rows run to; `spacing`: of rows, of columns, mm; `point`: where the other planes cut it, in columns and rows;
 * `step`: of its pixels to a voxel; `across`: the axes of the grid that its columns and rows count; `words`: what it is, `corner`: where in the series and through which window, or how far slices lie apart, `arranged`: who chose that window, `state`: what it lacks, `isBad`: because it is damaged, `isComing`: it changes by itself.
 * @typedef {{parts:Part[], columns:number, rows:number, step:number, orientation:number[], spacing:[number, number], way:import('./presentation.js').Way, grey:import('./values.js').Grey,
 *   point:[number, number], across:[number, number], name:string, words:string, corner:string, arranged:string, state:string, isBad:boolean, isComing:boolean}} Content */
/** `measure` is no tool here. @typedef {{tool: () => import('./toolbar.js').Tool, length: () => number, scroll: (planes: number) => void, window: (dx: number, dy: number) => void,
 *   move: (column: number, row: number) => void, redraw: () => void}} Hands  length: how many planes there are; move: the point, in columns and rows */

/** Around the point, CSS pixels: what is looked at lies under no line. */
const GAP_PX = 10;

export class Section {
  canvas = /** @type {HTMLCanvasElement} */ (h('canvas', { role: 'img', tabindex: 0 }));
  sides = new Sides();
  title = h('p', { class: 'title' });
  corner = h('p', { class: 'corner' });
  arranged = h('p', { class: 'arranged' });
  state = h('p', { class: 'state', role: 'status' });
  lines = [svg('path', {}), svg('path', {})];
  ruler = new Ruler(0.4);
  camera = new Camera(this.canvas);
  /** @type {Content|null} */
  content = null;
  /** What the canvas holds. */
  #drawn = { parts: /** @type {Part[]} */ ([]), how: '', voi: /** @type {import('../delivery.js').Table|null} */ (null) };

  /** @param {number} axis of the grid, that it lies across @param {Hands} hands */
  constructor(axis, hands) {
    this.axis = axis;
    this.hands = hands;
    this.element = h('div', { class: `stage section across-${axis}` }, this.canvas, ...this.sides.elements, svg('svg', { class: 'cross', 'aria-hidden': 'true' }, ...this.lines),
      this.title, this.corner, this.arranged, this.ruler.element, this.state);
    this.renderer = new Renderer(this.canvas);
    gestures(this.canvas, {
      tool: () => (hands.tool() === 'window' ? 'window' : 'scroll'),
      step: () => stepOf(this.canvas, hands.length()),
      scroll: (planes) => hands.scroll(planes),
      window: (dx, dy) => hands.window(dx, dy),
      measure: () => {},
      zoom: (factor, x, y, dx, dy) => { if (this.content) this.camera.pinch(this.#shape(this.content), factor, x, y, dx, dy); hands.redraw(); },
      toggle: (x, y) => { if (this.content) this.camera.toggle(this.#shape(this.content), x, y); hands.redraw(); },
      tap: (x, y) => { const [column, row] = onImage(this.view, x * devicePixelRatio, y * devicePixelRatio); hands.move(column, row); },
    });
    this.canvas.addEventListener('keydown', (event) => {
      const step = STEPS[event.key];
      if (step === undefined || event.metaKey || event.ctrlKey) return;
      event.preventDefault();
      event.stopPropagation();
      hands.scroll(step);
    });
    this.canvas.addEventListener('redraw', () => { this.#drawn.how = ''; hands.redraw(); });
    this.observer = new ResizeObserver(() => hands.redraw());
    this.observer.observe(this.element);
  }

  /** @param {Content} content @returns {import('./camera.js').Shape} */
  #shape({ columns, rows, spacing, way }) {
    return { columns, rows, aspect: spacing[0] / spacing[1], way };
  }

  get view() {
    return this.camera.view(this.#shape(/** @type {Content} */ (this.content)));
  }

  /** @param {Content} content */
  draw(content) {
    const { parts, columns, grey, orientation, way, name } = content, { canvas } = this;
    this.content = content;
    fill(canvas, this.element);
    const { view } = this, how = JSON.stringify([view, { ...grey, voi: null }, canvas.width, canvas.height]), fits = parts.every((part) => Math.max(part.columns, part.rows) <= this.renderer.largest);
    // Where only the point moved, lines do.
    if (how !== this.#drawn.how || grey.voi !== this.#drawn.voi || parts.length !== this.#drawn.parts.length || parts.some(({ data }, at) => data !== this.#drawn.parts[at]?.data)) {
      this.renderer.forget();
      this.renderer.draw(fits ? parts : [], columns, view, grey);
      this.#drawn = { parts, how, voi: grey.voi };
    }
    this.sides.write(edges(orientation, way));
    put(this.title, content.words);
    put(this.corner, content.corner);
    putSaid(this.arranged, content.arranged);
    // Nobody is read a count that changes four times a second.
    this.state.setAttribute('aria-live', content.isComing ? 'off' : 'polite');
    put(this.state, fits ? content.state : t('too large'));
    this.state.classList.toggle('bad', content.isBad);
    canvas.setAttribute('aria-label', t('planes picture', name));
    this.#cross(content);
    this.ruler.draw(canvas, content.spacing, view.scale);
  }

  /** @param {Content} content */
  #cross({ point: [column, row], across, columns, rows }) {
    const { canvas, view } = this, gap = GAP_PX * devicePixelRatio, middle = onCanvas(view, column, row);
    const ends = [[onCanvas(view, column, 0), onCanvas(view, column, rows)], [onCanvas(view, 0, row), onCanvas(view, columns, row)]];
    const place = (/** @type {number} */ x, /** @type {number} */ y) => `${canvas.offsetLeft + x / devicePixelRatio} ${canvas.offsetTop + y / devicePixelRatio}`;
    this.lines.forEach((line, n) => {
      const halves = (ends[n] ?? []).map(({ x, y }) => {
        const far = Math.hypot(x - middle.x, y - middle.y), share = gap / far;
        return far > gap ? `M${place(middle.x + (x - middle.x) * share, middle.y + (y - middle.y) * share)}L${place(x, y)}` : '';
      });
      line.setAttribute('class', `across-${across[n]}`);
      line.setAttribute('d', halves.join(''));
    });
  }

  close() {
    this.observer.disconnect();
    this.renderer.close();
  }
}
