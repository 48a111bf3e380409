// Whose pictures these are, and what was lost in them.
import { h, said } from '../dom.js';
import { t, language } from '../texts.js';
import { unitOf } from './values.js';

/** @typedef {import('../delivery.js').Series} Series */
/** @typedef {import('../delivery.js').Delivery} Delivery */
/** @typedef {import('../delivery.js').Geometry} Geometry */

/** @param {Series} series @param {Delivery} delivery @returns {HTMLElement[]} */
export function banner(series, delivery) {
  const { banner: own } = series;
  const { is, instances, listed } = delivery.completeness;
  const whole = is === 'proved' ? null : is === 'partial' ? t('partial', instances, listed ?? '?') : t('completeness not proved');
  const sender = h('p', { class: 'from' }, said(delivery.site), whole ? h('span', { class: 'doubt' }, ` · ${whole}`) : '');
  if (series.mixedPatients) return [h('p', { class: 'mixed', role: 'alert' }, t('mixed patients')), sender];
  if (!own) return [h('p', { class: 'mixed' }, t('no name')), sender];
  const names = [own.name_ideographic, own.name_alphabetic, own.name_phonetic].filter((name) => name).map((name) => (name ?? '').replace(/\^+/g, ' ').trim());
  const [first, ...others] = language() === 'ja' ? names : [own.name_alphabetic?.replace(/\^+/g, ' ').trim() || names[0], ...names.filter((name) => name !== own.name_alphabetic?.replace(/\^+/g, ' ').trim())];
  const born = own.birth_date ? `${date(own.birth_date)}${age(own.birth_date, own.study_date)}` : '';
  const line = (/** @type {(string|undefined)[]} */ texts) => texts.filter((text) => text).join(' · ');
  return [
    h('h1', {}, said(first || t('no name')), others.length ? said(others.join(' '), { class: 'other' }) : ''),
    h('p', {}, said(line([own.patient_id, own.sex ? t(`sex ${own.sex}`) : '', born]))),
    h('p', {}, said(line([series.modality, own.study_description, own.series_description || series.description, own.study_date ? `${date(own.study_date)} ${time(own.study_time)}`.trim() : '']))),
    sender,
  ];
}

/** As it is written first in Japan. @param {import('../delivery.js').Banner|null} banner */
export const nameOf = (banner) => (banner?.name_ideographic || banner?.name_alphabetic || banner?.name_phonetic || '').replace(/\^+/g, ' ').trim();

const OF_PATIENT = ['patient_id', 'birth_date', 'name_alphabetic', 'name_ideographic', 'name_phonetic'];
/** What is written in another width or case, or with other carets, is the same. @param {import('../delivery.js').Banner|null} banner @param {string} name */
const plain = (banner, name) => (banner?.[name] ?? '').normalize('NFKC').replace(/[\^\s]+/g, ' ').trim().toLowerCase();

/** Whether any two say that they are of different patients. @param {...(import('../delivery.js').Banner|null)} banners */
export const differ = (...banners) => OF_PATIENT.some((name) => new Set(banners.map((one) => plain(one, name)).filter((text) => text)).size > 1);

/** Whether both say all the same of a patient: of two that name nobody nothing is known. @param {Series} one @param {Series} other */
export const isOfOnePatient = (one, other) => !one.mixedPatients && !other.mixedPatients && OF_PATIENT.some((name) => name !== 'birth_date' && plain(one.banner, name))
  && OF_PATIENT.every((name) => plain(one.banner, name) === plain(other.banner, name));

/** DICOM DA as 2024-04-12; anything else as it is. @param {string} text */
export const date = (text) => text.replace(/^(\d{4})(\d\d)(\d\d)$/, '$1-$2-$3');

/** @param {string|undefined} text */
export const time = (text) => (text ?? '').replace(/^(\d\d)(\d\d).*$/, '$1:$2');

/** Years at the study. @param {string} birth @param {string|undefined} study */
function age(birth, study) {
  if (!/^\d{8}$/.test(birth) || !/^\d{8}$/.test(study ?? '')) return '';
  return ` (${t('years', Math.floor((Number(study) - Number(birth)) / 10_000))})`;
}

/** Null where nothing was lost. @param {Series} series @param {Geometry|null} geometry */
export function lossWords(series, geometry) {
  if (!series.near) return null;
  const slope = Math.abs(geometry?.slope ?? 1), unit = unitOf(geometry);
  const error = `±${Math.round(series.maxError * slope * 100) / 100}${unit ? ` ${unit}` : ''}`;
  return t('loss', series.ratio ? `${series.ratio.toFixed(1)} : 1` : '', error) + (series.referenceOnly ? ` · ${t('reference only')}` : '');
}
