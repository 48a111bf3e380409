// How a case is met: which series first, in which window, where it begins, what stands beside it. The first row that fits a series counts; the app's own rows stand behind the sites'.
import { t } from '../texts.js';
import { PRESETS } from './window.js';

/** @typedef {import('./stack.js').Stack} Stack */
/** @typedef {import('./stack.js').Begin} Begin */
/** A row as the portal's configuration has it (docs/config.md).
 * @typedef {{name: string, sites: string[], modality: string[], words: string[], series: string[], unless: string[], windows: string[], place?: 'first'|'last', begin?: Begin, beside: string[]}} Row */

/** Of the portal's table, which this side does not take on trust: rows, and entries of a list. */
const ROWS_MAX = 100, LIST_MAX = 40;
const NAME_CHARACTERS_MAX = 40, WORD_CHARACTERS_MAX = 64;
/** Names, and words that are looked for in texts. @type {string[]} */
const NAMES = ['sites', 'modality', 'windows'], WORDS = ['words', 'series', 'unless', 'beside'];
const CHOICES = /** @type {Record<string, string[]>} */ ({ place: ['first', 'last'], begin: ['first', 'middle', 'last', 'highest_b'] });

/** A row that is not understood whole is left out: what it says of a condition that this app does not know would fit too much.
 * @param {unknown} told @returns {Row[]} */
function rowsOf(told) {
  if (!Array.isArray(told)) return [];
  return told.slice(0, ROWS_MAX).map(rowOf).filter((row) => row !== null);
}

/** @param {unknown} told @returns {Row|null} */
function rowOf(told) {
  if (!told || typeof told !== 'object') return null;
  /** @type {Row} */
  const row = { name: '', sites: [], modality: [], words: [], series: [], unless: [], windows: [], beside: [] };
  for (const [key, value] of Object.entries(told)) {
    const isOfWords = WORDS.includes(key), isKnown = isOfWords || NAMES.includes(key) ? isList(value) : key === 'name' ? isText(value, NAME_CHARACTERS_MAX) : CHOICES[key]?.includes(/** @type {string} */ (value));
    if (!isKnown) return null;
    Object.assign(row, { [key]: isOfWords ? value.map(folded) : value });
  }
  return row.name ? row : null;
}

/** @param {unknown} value @param {number} most */
const isText = (value, most) => typeof value === 'string' && value.length > 0 && [...value].length <= most;
/** @param {unknown} value */
const isList = (value) => Array.isArray(value) && value.length <= LIST_MAX && value.every((one) => isText(one, WORD_CHARACTERS_MAX));

const HEAD = ['head', 'brain', 'stroke', 'cranial', 'cerebral', '頭部', '脳'];
/** Only what comes first is told by words without harm; a window is not: where vessels or another part are looked for, that of the brain would hide them. Names are texts of the app. */
const OWN = rowsOf([
  // What is computed of diffusion bears its name too.
  { name: 'mr diffusion maps', modality: ['MR'], words: HEAD, series: ['adc', 'eadc', 'fa', 'exponential', '拡散係数'] },
  // Where each b-value is a series of its own.
  { name: 'mr diffusion', modality: ['MR'], words: HEAD, series: ['b800', 'b900', 'b1000', 'b1200', 'b1500', 'b2000'].flatMap((b) => [b, b.replace('b', 'b '), b.replace('b', 'b=')]), place: 'first', begin: 'highest_b' },
  { name: 'mr diffusion', modality: ['MR'], words: HEAD, series: ['dwi', 'diff', 'diffusion', 'trace', 'tracew', '拡散'], place: 'first', begin: 'highest_b' },
]);

/** What makers call a picture by which others are planned. */
const LOCALIZERS = ['localizer', 'localiser', 'scout', 'topogram', 'surview', 'scanogram', 'スカウト'];
const LOCALIZERS_MR = [...LOCALIZERS, 'loc', 'survey', '位置決め'];
const RANKS = { keys: 0, first: 1, between: 1_000, last: 1_001, localizer: 1_002 };

export class Hanging {
  /** @type {Map<Stack, {row: Row|null, isLocalizer: boolean, told: Texts}>} */
  #found = new Map();
  #many = false;

  /** @param {unknown} table as the portal sent it, or as it was kept: of all sites @param {string} site whose case it is */
  constructor(table, site) {
    this.rows = [...rowsOf(table).filter(({ sites }) => sites.length === 0 || sites.includes(site)), ...OWN];
  }

  /** Tells each series its rank among the others, and where it begins. @param {Stack[]} stacks */
  arrange(stacks) {
    this.#many = stacks.length > 1;
    for (const stack of stacks) {
      const told = textsOf(stack), isLocalizer = isPlanned(stack, told), at = isLocalizer ? -1 : this.rows.findIndex((row) => fits(row, stack, told)), row = this.rows[at] ?? null;
      this.#found.set(stack, { row, isLocalizer, told });
      stack.begin = row?.begin ?? 'middle';
      stack.rank = stack.keys.size > 0 ? RANKS.keys : isLocalizer ? RANKS.localizer : row?.place === 'first' ? RANKS.first + at : row?.place === 'last' ? RANKS.last : RANKS.between;
    }
  }

  /** Windows of its row that are offered before the others. @param {Stack} stack */
  offered(stack) {
    return (this.#found.get(stack)?.row?.windows ?? []).flatMap((name) => PRESETS.filter((preset) => preset.name === name));
  }

  /** The window that it is seen in; none: as sent, also where the first is one that this app does not know. @param {Stack} stack */
  window(stack) {
    const first = this.#found.get(stack)?.row?.windows[0];
    return PRESETS.find(({ name }) => name === first);
  }

  /** The series that is to stand beside it. @param {Stack} stack @param {Stack[]} others */
  beside(stack, others) {
    const { beside = [] } = this.#found.get(stack)?.row ?? {};
    return beside.flatMap((word) => others.filter((other) => other !== stack && stands(this.#found.get(other)?.told.series ?? '', word)))[0];
  }

  /** Who arranged the series, where anything of it is not as it would be: in its window, among the others, or where it begins. @param {Stack} stack @param {boolean} isWindowed */
  words(stack, isWindowed) {
    const { row, isLocalizer } = this.#found.get(stack) ?? {}, isMoved = this.#many && stack.keys.size === 0;
    if (isLocalizer) return isMoved ? t('arranged', t('hanging localizer')) : '';
    if (!row || !(isWindowed || (isMoved && row.place) || (stack.keys.size === 0 && stack.isBegunElsewhere))) return '';
    return OWN.includes(row) ? t('arranged', t(`hanging ${row.name}`)) : t('arranged by site', row.name);
  }
}

/** @typedef {{all: string, series: string}} Texts */

/** What is said of a series, as words are looked for in it. @param {Stack} stack @returns {Texts} */
function textsOf({ series: { banner, description } }) {
  const of = banner ?? {}, own = of.series_description || description;
  return { all: [of.body_part, of.study_description, own, of.protocol].map(folded).join('\n'), series: folded(own || of.protocol) };
}

/** @param {Row} row @param {Stack} stack @param {Texts} told */
function fits({ modality, words, series, unless }, stack, told) {
  const any = (/** @type {string[]} */ list, /** @type {string} */ text) => list.some((word) => stands(text, word));
  return (modality.length === 0 || modality.includes(stack.series.modality)) && (words.length === 0 || any(words, told.all)) && (series.length === 0 || any(series, told.series)) && !any(unless, told.all);
}

/** Whether a series is there to plan others by. Image Type alone decides where it says so (value 3; PS3.3 C.8.2.1.1.1 for CT): a bone survey is none. @param {Stack} stack @param {Texts} told */
function isPlanned({ series: { modality, banner } }, told) {
  const kind = banner?.image_type?.split('\\')[2];
  if (kind === 'LOCALIZER') return true;
  if (modality === 'CT') return !kind && LOCALIZERS.some((word) => stands(told.series, word));
  return modality === 'MR' && LOCALIZERS_MR.some((word) => stands(told.series, word));
}

/** Wide and half-width forms, capitals and blanks make no difference. @param {string|undefined} text */
function folded(text = '') {
  return text.normalize('NFKC').toLowerCase().replace(/[\s_]+/g, ' ').trim();
}

/** A word of letters or figures is a whole one; what is written without blanks, as Japanese, is found anywhere. @param {string} text @param {string} word both folded */
function stands(text, word) {
  for (let at = word ? text.indexOf(word) : -1; at >= 0; at = text.indexOf(word, at + 1))
    if (!isGlued(text[at - 1], word[0]) && !isGlued(text[at + word.length], word.at(-1))) return true;
  return false;
}

/** @param {string|undefined} beside @param {string|undefined} end */
const isGlued = (beside = '', end = '') => [/\p{Script=Latin}/u, /\p{Nd}/u].some((kind) => kind.test(beside) && kind.test(end));
