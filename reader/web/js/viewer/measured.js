// What was measured or marked, in words: each says what it is of, and what it is not.
import { learn, t } from '../texts.js';
import { angle, decimals, length, pixelAt, statistics } from './measure.js';
import { calibration, scaleOf, spacingOf } from './scale.js';
import { grey, meaning, unitOf } from './values.js';

/** @typedef {import('../delivery.js').Geometry} Geometry */
/** @typedef {import('./pictures.js').Picture} Picture */
/** @typedef {import('./planes.js').Point} Point */
/** @typedef {import('./stack.js').Stack} Stack */
/** @typedef {import('./stack.js').Frame} Frame */
/** @typedef {'arrow'|'length'|'angle'|'ellipse'} Kind arrow: its first point is the middle of the pixel that it shows */
/** Of an ellipse; `none`: why there are no values, as a name of its words; `bound`: by how much each value may be off. @typedef {{none:string}|(import('./measure.js').Statistics & {unit:string, decimals:number, bound:number})} Values */
/** Series, instance and frame by their numbers in the delivery, which is signed and never changes. `values`: null until the whole image was here.
 * @typedef {{kind:Kind, series:number, instance:number, frame:number, points:Point[], values:Values|null}} Measure */

learn({
  'tool measure': ['計測', 'Measure'],
  'kind arrow': ['矢印', 'Arrow'],
  'arrow how': ['指す所に指を置き、外へなぞってください', 'Put the finger on what is meant, and draw away'],
  'kind length': ['長さ', 'Length'],
  'kind angle': ['角度', 'Angle'],
  'kind ellipse': ['楕円', 'Ellipse'],
  'kind value': ['値', 'Value'],
  'for reference': ['参考値', 'For reference'],
  'arrow is': ['矢印 列{0} 行{1}', 'Arrow at column {0}, row {1}'],
  'length is': ['長さ {0}', 'Length {0}'],
  'angle is': ['角度 {0}°', 'Angle {0}°'],
  'mean is': ['平均 {0}', 'Mean {0}'],
  'mean brief': ['平均 {0}, σ {1}{2}{3}', 'Mean {0}, σ {1}{2}{3}'],
  'lossy brief': [', 非可逆', ', lossy'],
  'values lossy': ['非可逆圧縮画像の値', 'of a lossy image'],
  'each brief': [', 各値 ±{0}', ', each ±{0}'],
  pixels: ['{0} 画素', '{0} px'],
  'no scale': ['(縮尺なし)', '(no scale)'],
  'n of': ['n {0}({1}画素中、パディングを除く)', 'n {0} of {1} (without padding)'],
  'each value': ['各値 ±{0}', 'each value ±{0}'],
  'is padding': ['パディング', 'padding'],
  'values later': ['値は画像全体の受信後', 'values once the whole image is here'],
  'values colour': ['カラー画像には値がありません', 'colours have no values'],
  'values table': ['非可逆圧縮とLUTのため値は不明', 'values unknown: compressed, and seen through a LUT'],
  'values few': ['値のある画素がありません', 'no pixel in it has a value'],
  'second arm': ['もう一辺をなぞってください', 'Draw the other arm'],
  'measured all': ['計測 {0}件', 'Measured: {0}'],
  'arrows all': ['矢印 {0}件', 'Arrows: {0}'],
  'both all': ['計測と矢印 {0}件', 'Measures and arrows: {0}'],
  'arrow line': ['{0} {1}', '{0}, {1}'],
  'measured line': ['{0}(参考値) {1}', '{0} (for reference), {1}'],
  'at series': ['シリーズ{0}', 'series {0}'],
  'at image': ['画像{0}', 'image {0}'],
  'at frame': ['フレーム{0}', 'frame {0}'],
  'to answer': ['返事へ', 'To answer'],
  'to answer hint': ['返事に入れる: {0}', 'Put into the answer: {0}'],
  'answer full': ['返事に入りきりません(100字まで)。', 'That does not fit into the answer (100 characters).'],
  'delete hint': ['消す: {0}', 'Delete: {0}'],
  'delete all': ['すべて消す', 'Delete all'],
  'delete sure': ['一覧のものをすべて消しますか。', 'Delete all that is listed?'],
  'measures full': ['計測と矢印は合わせて{0}件までです。', 'No more than {0} measures and arrows.'],
  'not opened': ['この症例の以前の計測と矢印を開けません。上書きしないため、新しいものは保存されません。', 'Measures and arrows of before cannot be opened. So that they are not lost, nothing is kept.'],
  'not kept': ['この端末に保存できません。この画面を閉じると消えます。', 'This device cannot keep it: it is gone once this page is closed.'],
});

/** Finer than any pixel of a patient. */
const DECIMALS_MAX = 3;

/** The lines of a measure. @param {Measure} measure @param {Geometry} geometry @param {string} modality @returns {string[]} */
export function lines({ kind, points, values }, geometry, modality) {
  const scale = scaleOf(geometry, modality), [from = /** @type {Point} */ ([0, 0]), to = from] = points;
  // Pixels count from 1, as those of a displayed area do (PS3.3 C.10.4).
  if (kind === 'arrow') return [t('arrow is', ...from.map((place) => Math.floor(place) + 1))];
  if (kind === 'length') {
    const size = length(from, to, scale);
    if (!scale) return [`${t('length is', t('pixels', size.toFixed(1)))} ${t('no scale')}`];
    const mm = `${size.toFixed(Math.min(DECIMALS_MAX, Math.max(1, Math.ceil(-Math.log10(Math.min(...scale))))))} mm`;
    return [[t('length is', mm), calibration(geometry, modality)].filter((one) => one).join(' ')];
  }
  if (kind === 'angle') return points.length < 3 ? [t('second arm')] : [`${t('angle is', angle(points, spacingOf(geometry)).toFixed(1))}${scale ? '' : ` ${t('no scale')}`}`];
  if (!values) return [t('values later')];
  if ('none' in values) return [t(values.none)];
  const { mean, deviation, counted, inside, unit, decimals: digits, bound } = values, of = (/** @type {number} */ value) => `${value.toFixed(digits)}${unit && ` ${unit}`}`;
  return [t('mean is', of(mean)), `σ ${of(deviation)}`, counted < inside ? t('n of', counted, inside) : `n ${counted}`, ...(bound ? [t('each value', `${Number(bound.toFixed(digits))}${unit && ` ${unit}`}`)] : []), ...came(geometry)];
}

/** @param {Geometry} geometry */
const came = ({ lossy }) => (lossy ? [t('values lossy')] : []);

/** Of a measure, in the one line that an answer has room for. @param {Measure} measure @param {Geometry} geometry @param {string} modality */
export function brief(measure, geometry, modality) {
  if (!measure.values || 'none' in measure.values) return lines(measure, geometry, modality).join(', ');
  const { mean, deviation, unit, decimals: digits, bound } = measure.values;
  return t('mean brief', mean.toFixed(digits), deviation.toFixed(digits), bound ? t('each brief', Number(bound.toFixed(digits))) : '', unit && ` ${unit}`) + (geometry.lossy ? t('lossy brief') : '');
}

/** How the pixels of a whole picture are read; `none`: why they cannot be. @param {Stack} stack @param {Frame} frame @param {Geometry} geometry @param {Picture} picture */
function reading({ series }, frame, geometry, picture) {
  const part = picture.parts[0];
  if (!picture.full || !part) return null;
  if (part.kind === 'colour' || geometry.palette) return { none: 'values colour' };
  const error = picture.exact ? 0 : series.near && series.maxError;
  // Of a table's entries nobody knows how far two that lie beside each other are apart.
  if (error && geometry.modalityTable) return { none: 'values table' };
  const how = grey(geometry, frame.layout, { center: 0, width: 1 });
  return { part, of: (/** @type {number} */ word) => meaning(word, how), unit: unitOf(geometry), decimals: decimals(how.slope), bound: error * Math.abs(how.slope) };
}

/** Of an ellipse; null: not all of the image is here. @param {Point[]} points @param {Stack} stack @param {Frame} frame @param {Geometry} geometry @param {Picture} picture @returns {Values|null} */
export function valuesIn([from, to], stack, frame, geometry, picture) {
  const read = reading(stack, frame, geometry, picture);
  if (!read || 'none' in read || !from || !to) return read && 'none' in read ? /** @type {Values} */ (read) : null;
  const { part, of, ...told } = read, found = statistics(from, to, part, of);
  return found ? { ...found, ...told } : { none: 'values few' };
}

/** Of the pixel at a place. @param {Point} point @param {Stack} stack @param {Frame} frame @param {Geometry} geometry @param {Picture} picture @returns {string[]} */
export function valueAt(point, stack, frame, geometry, picture) {
  const read = reading(stack, frame, geometry, picture);
  if (!read) return [t('values later')];
  if ('none' in read) return [t(/** @type {string} */ (read.none))];
  const [column, row] = pixelAt(point, frame.layout), value = read.of(read.part.data[row * frame.layout.columns + column] ?? 0);
  const said = (/** @type {number} */ one) => `${Number(one.toFixed(read.decimals))}${read.unit && ` ${read.unit}`}`;
  return value === null ? [t('is padding')] : [said(value), ...(read.bound ? [t('each value', said(read.bound))] : []), ...came(geometry)];
}

/** Where in the study, by the numbers that the hospital knows; nothing where it lacks one, since two images might be meant. @param {Measure} measure @param {Stack} stack @param {Geometry} geometry */
export function placeWords({ frame }, stack, { seriesNumber, number }) {
  if (typeof seriesNumber !== 'number' || typeof number !== 'number') return '';
  const isOne = stack.frames.every(({ frame: other }) => other === 0);
  return [t('at series', seriesNumber), t('at image', number), ...(isOne ? [] : [t('at frame', frame + 1)])].join(' ');
}
