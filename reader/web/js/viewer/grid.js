// Whether a stack is a volume: slices of one kind, straight above each other at equal gaps (PS3.3 C.7.6.2.1.1). If not, why, as a name of its words.
import { dot, minus, normal } from './planes.js';
import { calibration, scaleOf, spacingOf } from './scale.js';
import { grey, hindrance } from './values.js';

/** @typedef {import('../delivery.js').Geometry} Geometry */
/** @typedef {import('./presentation.js').Way} Way */
/** @typedef {import('./stack.js').Stack} Stack */
/** One of three, for columns, rows and slices in turn. @template T @typedef {[T, T, T]} Three */
/** `step`: pixels of a slice that one voxel is the mean of, each way; `columns`, `rows`: voxels; `spacing`: from voxel to voxel, mm; `axes`: where columns, rows and
 * slices run to in the patient. @typedef {{columns:number, rows:number, slices:number, step:number, spacing:Three<number>, axes:Three<number[]>, bits:import('./values.js').Bits,
 *   padding:number|null, slope:number}} Grid */
/** Which of a grid's axes goes to the right and down on the screen, in which plane of the body, and which one it is a cut through.
 * @typedef {{plane:'axial'|'coronal'|'sagittal', isOblique:boolean, way:Way}} Standing */

/** Voxels, bytes: beside them there is room for pictures, program and workers within 256 MiB. */
const VOLUME_BYTES_MAX = 80 << 20;
const STEPS = [1, 2, 4];
/** A slice lies so much of a gap beside its place at most. */
const GAP_SHARE = 0.1;
/** The last slice lies so much of a pixel beside the first one at most. */
const PIXEL_SHARE = 0.5;
const SAME_COSINE = 1e-3, SAME_SHARE = 1e-3;
/** The cosine of about 12°, as for letters: what lies more aslant is named so. */
const UPRIGHT = 0.98;

/** @param {Stack} stack @param {(Geometry|null)[]} geometries of its frames, in their order @returns {Grid|{refused:string}} */
export function gridOf(stack, geometries) {
  const [frame] = stack.frames, [first] = geometries;
  if (!stack.ordered || !frame || !first) return { refused: 'planes headers' };
  const known = geometries.filter((one) => one !== null), { layout } = frame;
  if (stack.series.mixedPatients) return { refused: 'mixed patients' };
  if (layout.samples > 1 || first.palette) return { refused: 'planes colour' };
  if (known.some((one, at) => hindrance(one, stack.frames[at]?.layout))) return { refused: 'planes values' };
  if (known.some(({ modalityTable }) => modalityTable)) return { refused: 'planes table' };
  const spacing = spacingOf(first), { orientation, position } = first, { modality } = stack.series;
  if (!spacing || !orientation || !position || known.some((one) => !one.orientation || !one.position)) return { refused: 'planes place' };
  if (!scaleOf(first, modality) || calibration(first, modality)) return { refused: 'planes scale' };
  const axes = /** @type {Three<number[]>} */ ([orientation.slice(0, 3), orientation.slice(3), normal(orientation)]);
  if (Math.abs(dot(axes[2], axes[2]) - 1) > 10 * SAME_COSINE || known.some((one) => !isLike(one.orientation, orientation))) return { refused: 'planes directions' };
  if (known.some((one, at) => !isSameKind(one, first, stack.frames[at]?.layout, layout))) return { refused: 'planes kinds' };
  const away = known.map((one) => minus(one.position ?? [], position)), along = away.map((one) => dot(one, axes[2])), gap = (along.at(-1) ?? 0) / (along.length - 1);
  if (!(gap > 0) || along.some((place, at) => Math.abs(place - at * gap) > gap * GAP_SHARE)) return { refused: 'planes gaps' };
  if (away.some((one) => Math.abs(dot(one, axes[0])) > spacing[1] * PIXEL_SHARE || Math.abs(dot(one, axes[1])) > spacing[0] * PIXEL_SHARE)) return { refused: 'planes tilt' };
  const step = STEPS.find((by) => 2 * Math.floor(layout.columns / by) * Math.floor(layout.rows / by) * known.length <= VOLUME_BYTES_MAX);
  if (!step) return { refused: 'planes large' };
  const { signed, stored, shift, padding, slope } = grey(first, layout, { center: 0, width: 1 });
  return {
    columns: Math.floor(layout.columns / step), rows: Math.floor(layout.rows / step), slices: known.length, step, axes, spacing: [spacing[1] * step, spacing[0] * step, gap],
    bits: { signed, stored, shift }, padding, slope,
  };
}

/** @param {number[]|null} a @param {number[]} b */
const isLike = (a, b) => a?.length === b.length && a.every((value, axis) => Math.abs(value - (b[axis] ?? 0)) < SAME_COSINE);

/** Of one shape, one space and one scale of values: a stored value means the same in each. @param {Geometry} one @param {Geometry} first
 * @param {import('../delivery.js').Layout|undefined} layout @param {import('../delivery.js').Layout} of */
function isSameKind(one, first, layout, of) {
  const alike = (/** @type {number|undefined} */ a, /** @type {number|undefined} */ b) => a !== undefined && b !== undefined && Math.abs(a - b) <= SAME_SHARE * Math.abs(b);
  const { columns, rows, bits, stored, signed, bigEndian } = of;
  return !!layout && layout.columns === columns && layout.rows === rows && layout.bits === bits && layout.stored === stored && layout.signed === signed && layout.bigEndian === bigEndian
    && alike(one.spacing?.[0], first.spacing?.[0]) && alike(one.spacing?.[1], first.spacing?.[1]) && one.frameOfReference === first.frameOfReference
    && one.slope === first.slope && one.intercept === first.intercept && one.highBit === first.highBit && one.padding === first.padding && one.inverse === first.inverse
    && !one.palette;
}

/** Where each plane's picture goes to on the screen, x and then y: to the patient's left, to the back, to the feet. */
const SCREEN = { sagittal: [[0, 1, 0], [0, 0, -1]], coronal: [[1, 0, 0], [0, 0, -1]], axial: [[1, 0, 0], [0, 1, 0]] };
const PLANES = /** @type {const} */ (['sagittal', 'coronal', 'axial']);
const ORDERS = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

/** The axes that the plane through a voxel across `axis` lies along: its columns, its rows. @param {number} axis @returns {[number, number]} */
export const lying = (axis) => (axis === 2 ? [0, 1] : axis === 1 ? [0, 2] : [1, 2]);

/** How the plane across an axis of the grid stands on the screen, the way a radiologist looks at it. @param {Grid} grid @param {number} axis @returns {Standing} */
export function standing({ axes }, axis) {
  // Which axis of the patient each of the grid's is nearest to: one for each, also of what lies quite aslant.
  const along = (/** @type {number[]} */ order) => order.reduce((sum, of, own) => sum + Math.abs(axes[own]?.[of] ?? 0), 0);
  const order = ORDERS.reduce((best, one) => (along(one) > along(best) + 1e-9 ? one : best));
  const plane = PLANES[order[axis] ?? 0] ?? 'axial', own = lying(axis);
  const sign = (/** @type {number} */ screen, /** @type {number} */ of) => {
    const to = SCREEN[plane][screen] ?? [], patient = order[own[of] ?? 0] ?? 0;
    return to[patient] ? Math.sign(dot(axes[own[of] ?? 0] ?? [], to)) : 0;
  };
  return { plane, isOblique: Math.abs(axes[axis]?.[order[axis] ?? 0] ?? 0) < UPRIGHT, way: /** @type {Way} */ ([sign(0, 0), sign(0, 1), sign(1, 0), sign(1, 1)]) };
}
