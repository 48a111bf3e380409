// The content of a structured report as headings and lists (PS3.3 C.17.3): every item is shown, or said not to be.
import { h, said } from '../dom.js';
import { learn, size, t } from '../texts.js';
import { date } from './banner.js';
import { clock, moment, titleOf } from './documents.js';

/** @typedef {import('./documents.js').Documents} Documents */
/** @typedef {{sop_instance: string, frames: number[], has_state?: boolean}} Reference */
/** @typedef {{relation: string, kind: string, name: string, at?: string, text?: string, more?: number, unit?: string, qualifier?: string, place?: number[], references?: Reference[], points?: number, children?: Content[]}} Content
 *  an item (reader/wasm/src/documents/report.rs) */

learn({
  'HAS CONCEPT MOD': ['修飾', 'modifier'],
  'HAS PROPERTIES': ['性質', 'property'],
  'HAS OBS CONTEXT': ['観察の背景', 'observation context'],
  'HAS ACQ CONTEXT': ['撮影の背景', 'acquisition context'],
  'INFERRED FROM': ['根拠', 'inferred from'],
  'SELECTED FROM': ['選択元', 'selected from'],
  'type TEXT': ['文', 'Text'],
  'type CODE': ['コード', 'Code'],
  'type NUM': ['数値', 'Number'],
  'type PNAME': ['人名', 'Person'],
  'type DATE': ['日付', 'Date'],
  'type TIME': ['時刻', 'Time'],
  'type DATETIME': ['日時', 'Date and time'],
  'type UIDREF': ['UID', 'UID'],
  'type IMAGE': ['画像', 'Image'],
  'type COMPOSITE': ['オブジェクト', 'Object'],
  'type WAVEFORM': ['波形', 'Waveform'],
  'type SCOORD': ['画像上の領域', 'Region on an image'],
  'type SCOORD3D': ['体内の領域', 'Region in the patient'],
  'type TCOORD': ['時間の範囲', 'Range of time'],
  'type TABLE': ['表', 'Table'],
  'type CONTAINER': ['見出しなし', 'No heading'],
  'type ': ['参照', 'Reference'],
  'no value': ['値なし', 'no value'],
  'text cut': ['長すぎるため、残り{0}を省略しました。', 'Too long: the other {0} are left out.'],
  'image number': ['{0}枚目', 'image {0}'],
  'image frames': ['フレーム {0}', 'frames {0}'],
  'image elsewhere': ['この症例にない画像', 'an image that is not in this case'],
  'image not shown': ['この症例にあるが表示できない画像', 'an image of this case that cannot be shown here'],
  'object elsewhere': ['ここでは開けないオブジェクト', 'an object that cannot be opened here'],
  'see item': ['「{0}」を参照', 'see “{0}”'],
  'see nothing': ['見つからない項目への参照', 'points to an item that is not there'],
  points: ['{0}点の領域（描画しません）', 'a region of {0} points, not drawn'],
  'time points': ['{0}か所の時間（表示しません）', 'a range of {0} places in time, not shown'],
  cells: ['{0}欄の表（表示しません）', 'a table of {0} cells, not shown'],
  wave: ['波形（表示しません）', 'a waveform, not shown'],
  'unknown type': ['種類の不明な項目（表示しません）:', 'an item of an unknown type, not shown:'],
  'not applied': ['表示条件（プレゼンテーションステート）は適用しません', 'its presentation state is not applied'],
  items: ['{0}項目', '{0} items'],
  'report lacks': ['ここに表示しないもの: {0}。PCの閲覧ソフトで開いてください。', 'Not shown here: {0}. Open the case on a workstation for it.'],
  'lacks SCOORD': ['画像上の領域 {0}', 'regions on images ({0})'],
  'lacks SCOORD3D': ['体内の領域 {0}', 'regions in the patient ({0})'],
  'lacks TCOORD': ['時間の範囲 {0}', 'ranges of time ({0})'],
  'lacks TABLE': ['表 {0}', 'tables ({0})'],
  'lacks WAVEFORM': ['波形 {0}', 'waveforms ({0})'],
  'lacks COMPOSITE': ['オブジェクト {0}', 'objects ({0})'],
  'lacks IMAGE': ['画像 {0}', 'images ({0})'],
  'lacks state': ['画像の表示条件 {0}', 'presentation states ({0})'],
  'lacks other': ['不明な項目 {0}', 'items of unknown types ({0})'],
  'report empty': ['この文書には内容がありません。', 'This document has no content.'],
});

/** Containers of a longer report are closed at first, and made when they are opened. */
const OPEN_ITEMS_MAX = 400;
/** Of those, which have no more items than this are open all the same. */
const SMALL_ITEMS_MAX = 8;
/** Frames that are named one by one. */
const FRAMES_MAX = 8;
/** Characters of an item that a button to it has. */
const NAMED_MAX = 80;
/** HTML has no more levels of headings. */
const LEVEL_MAX = 6;

export class Report {
  /** What is not shown, by kind. @type {Map<string, number>} */
  #lacks = new Map();
  /** Of items that were made, by their place in the tree. @type {Map<string, HTMLElement>} */
  #made = new Map();
  /** Containers that are closed, by their place: opens them. @type {Map<string, () => void>} */
  #closed = new Map();
  #isLong;
  /** @type {Node[]} */
  elements;

  /** @param {import('./documents.js').Told} told @param {Documents} documents */
  constructor({ content, zone }, documents) {
    this.root = content;
    this.zone = zone;
    this.documents = documents;
    this.viewer = documents.viewer;
    this.#isLong = !!content && count(content) > OPEN_ITEMS_MAX;
    if (content) this.#survey(content);
    const lacks = [...this.#lacks].map(([kind, number]) => t(`lacks ${kind}`, number)).join(', ');
    this.elements = [lacks ? h('p', { class: 'notice' }, t('report lacks', lacks)) : null, ...this.#root(content)].filter((one) => one !== null);
  }

  /** Its heading is that of the document. @param {Content|null} root @returns {(Node|null)[]} */
  #root(root) {
    if (root && root.kind !== 'CONTAINER') return [h('dl', {}, ...this.#item(root, '1', 3))];
    const items = root?.children ?? [];
    return [root && this.#moment(root), ...(items.length > 0 ? this.#children(items, '1', 3) : [h('p', { class: 'soft' }, t('report empty'))])];
  }

  /** Counts what will not be shown, whether its container is open or closed. @param {Content} item */
  #survey(item) {
    const lack = (/** @type {string} */ kind) => void this.#lacks.set(kind, (this.#lacks.get(kind) ?? 0) + 1);
    const { kind, references = [] } = item;
    if (['SCOORD', 'SCOORD3D', 'TCOORD', 'TABLE', 'WAVEFORM'].includes(kind)) lack(kind);
    else if ((kind === 'IMAGE' || kind === 'COMPOSITE') && references.length === 0) lack(kind);
    else if (kind === 'IMAGE') {
      for (const one of references) if (!this.#image(one).open) lack('IMAGE');
      for (const one of references) if (one.has_state) lack('state');
    } else if (kind === 'COMPOSITE') for (const one of references) { if (!this.#document(one)) lack('COMPOSITE'); }
    else if (!VALUES.includes(kind) && kind !== 'CONTAINER' && !(kind === '' && item.place)) lack('other');
    for (const child of item.children ?? []) this.#survey(child);
  }

  /** Containers as sections, all between them as lists. @param {Content[]} items @param {string} place of what they lie in @param {number} level of headings @returns {HTMLElement[]} */
  #children(items, place, level) {
    /** @type {HTMLElement[]} */
    const made = [];
    items.forEach((item, at) => {
      const own = `${place}.${at + 1}`;
      if (item.kind === 'CONTAINER') return void made.push(this.#container(item, own, level));
      if (made.at(-1)?.tagName !== 'DL') made.push(h('dl', {}));
      made.at(-1)?.append(...this.#item(item, own, level));
    });
    return made;
  }

  /** @param {Content} item @param {string} place @param {number} level */
  #container(item, place, level) {
    const heading = h(`h${Math.min(level, LEVEL_MAX)}`, {}, relationOf(item), said(item.name || t('type CONTAINER')), this.#moment(item));
    const fill = () => this.#children(item.children ?? [], place, level + 1), inside = count(item) - 1;
    if (!this.#isLong || inside <= SMALL_ITEMS_MAX) return this.#keep(place, h('section', {}, heading, ...fill()));
    const details = /** @type {HTMLDetailsElement} */ (h('details', { toggle: () => { if (details.open) open(); } }, h('summary', {}, heading, h('span', { class: 'soft' }, t('items', inside)))));
    const open = () => { if (this.#closed.delete(place)) details.append(...fill()); };
    this.#closed.set(place, () => { details.open = true; open(); });
    return this.#keep(place, details);
  }

  /** @param {Content} item @param {string} place @param {number} level */
  #item(item, place, level) {
    const term = this.#keep(place, h('dt', { tabindex: -1 }, relationOf(item), said(item.name || t(TYPES.includes(item.kind) ? `type ${item.kind}` : 'type '))));
    const children = item.children ?? [];
    return [term, h('dd', {}, ...this.#value(item), this.#moment(item), ...(children.length > 0 ? this.#children(children, place, level) : []))];
  }

  /** @param {string} place @param {HTMLElement} element */
  #keep(place, element) {
    this.#made.set(place, element);
    return element;
  }

  /** @param {Content} item @returns {Node[]} */
  #value(item) {
    const { kind, text = '', points = 0, references = [] } = item;
    if ((kind === 'IMAGE' || kind === 'COMPOSITE') && references.length === 0) return [lacking(t('no value'))];
    if (kind === 'IMAGE') return references.map((one) => this.#toImage(one));
    if (kind === 'COMPOSITE') return references.map((one) => this.#toDocument(one));
    if (kind === 'WAVEFORM') return [lacking(t('wave'))];
    if (kind === 'SCOORD' || kind === 'SCOORD3D') return [lacking(t('points', points))];
    if (kind === 'TCOORD') return [lacking(t('time points', points))];
    if (kind === 'TABLE') return [lacking(t('cells', points))];
    if (kind === '' && item.place) return [this.#toItem(item.place)];
    if (!VALUES.includes(kind)) return [h('span', { class: 'lacking' }, `${t('unknown type')} `, said(kind))];
    if (!text) return [said(item.qualifier || t('no value'), { class: 'soft' })];
    return [said(this.#words(item), { class: kind === 'TEXT' ? 'words' : '' }, kind === 'TEXT'), ...(item.more ? [h('p', { class: 'notice' }, t('text cut', size(item.more)))] : [])];
  }

  /** Of an item that has a text. @param {Content} item */
  #words({ kind, text = '', unit, qualifier }) {
    if (kind === 'NUM') return [text, unit, qualifier && (text ? `(${qualifier})` : qualifier)].filter((one) => one).join(' ');
    if (kind === 'DATE') return date(text);
    if (kind === 'TIME') return clock(text, this.zone);
    return kind === 'DATETIME' ? moment(text, this.zone) : text;
  }

  /** @param {Content} item */
  #moment({ at }) {
    return at ? h('span', { class: 'soft moment' }, said(moment(at, this.zone))) : null;
  }

  /** Where an image is seen, and what it is called. @param {Reference} reference */
  #image({ sop_instance, frames }) {
    const { viewer } = this, series = viewer.delivery.series.find(({ instances }) => instances.includes(sop_instance)), instance = series?.instances.indexOf(sop_instance) ?? -1;
    if (!series || !sop_instance) return { words: t('image elsewhere'), open: null };
    const stack = viewer.pictures.stacks.find((one) => one.series === series), wanted = (frames[0] ?? 1) - 1;
    const place = stack?.frames.findIndex((one) => one.instance === instance && (frames.length === 0 || one.frame === wanted)) ?? -1;
    if (!stack || place < 0) return { words: t('image not shown'), open: null };
    const frame = stack.frames[place], number = viewer.pictures.geometry(stack, frame)?.number;
    const named = frames.length > 0 ? t('image frames', frames.slice(0, FRAMES_MAX).join(', ') + (frames.length > FRAMES_MAX ? ' …' : '')) : '';
    const words = [stack.name, typeof number === 'number' ? t('image number', number) : '', named].filter((one) => one).join(' · ');
    // Where it lies is asked anew: headers that came meanwhile put the series in order.
    return { words, open: (/** @type {HTMLElement} */ from) => { this.documents.aside(from); viewer.open(stack); viewer.show(stack.frames.indexOf(/** @type {import('./stack.js').Frame} */ (frame))); } };
  }

  /** @param {Reference} reference */
  #toImage(reference) {
    const { words, open } = this.#image(reference), state = reference.has_state ? lacking(t('not applied')) : '';
    if (!open) return h('p', {}, lacking(words), state);
    const button = h('button', { class: 'chip', click: () => open(button) }, said(words));
    return h('p', {}, button, state);
  }

  /** @param {Reference} reference */
  #document({ sop_instance }) {
    return this.documents.all.find(({ told }) => !!sop_instance && told.sop_instance === sop_instance) ?? null;
  }

  /** @param {Reference} reference */
  #toDocument(reference) {
    const document = this.#document(reference);
    if (!document) return h('p', {}, lacking(t('object elsewhere')));
    return h('p', {}, this.documents.link(document, titleOf(document.told)));
  }

  /** By reference: the item is shown once, where it stands. @param {number[]} path */
  #toItem(path) {
    /** @type {Content|null|undefined} */
    let target = path[0] === 1 ? this.root : null;
    for (const at of path.slice(1)) target = target?.children?.[at - 1];
    if (!target || path.length < 2) return lacking(t('see nothing'));
    return h('button', { class: 'chip', click: () => this.#go(path) }, said(t('see item', cut([target.name, this.#words(target)].filter((one) => one).join(': ')) || t('type '))));
  }

  /** @param {number[]} path */
  #go(path) {
    for (let length = 2; length <= path.length; length++) this.#closed.get(path.slice(0, length).join('.'))?.();
    const element = this.#made.get(path.join('.'));
    element?.setAttribute('tabindex', '-1');
    element?.focus();
    element?.scrollIntoView({ block: 'center' });
  }
}

const VALUES = ['TEXT', 'CODE', 'NUM', 'PNAME', 'DATE', 'TIME', 'DATETIME', 'UIDREF'];
const TYPES = [...VALUES, 'IMAGE', 'COMPOSITE', 'WAVEFORM', 'SCOORD', 'SCOORD3D', 'TCOORD', 'TABLE'];
const RELATIONS = ['HAS CONCEPT MOD', 'HAS PROPERTIES', 'HAS OBS CONTEXT', 'HAS ACQ CONTEXT', 'INFERRED FROM', 'SELECTED FROM'];

/** How it belongs to what it lies in; nothing where it is just contained. @param {Content} item */
function relationOf({ relation }) {
  if (relation === 'CONTAINS' || relation === '') return null;
  return h('span', { class: 'relation' }, RELATIONS.includes(relation) ? t(relation) : said(relation));
}

/** @param {string} words */
const lacking = (words) => h('span', { class: 'lacking' }, words);

/** To the beginning of a text that is long. @param {string} text */
function cut(text) {
  const characters = [...text];
  return characters.length > NAMED_MAX ? `${characters.slice(0, NAMED_MAX).join('')}…` : text;
}

/** Items of a tree. @param {Content} item @returns {number} */
const count = ({ children = [] }) => children.reduce((sum, child) => sum + count(child), 1);
