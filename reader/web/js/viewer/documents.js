// What came with the pictures and is none: reports and files, listed beside the series, each on a screen of its own above the viewer.
import { h, said } from '../dom.js';
import { learn, size, sorry, t } from '../texts.js';
import { loadDocuments } from '../wasm.js';
import { banner, date, differ, nameOf, time } from './banner.js';
import { troubleWords } from './pane.js';

/** @typedef {import('../delivery.js').Series} Series */
/** @typedef {import('./viewer.js').Viewer} Viewer */
/** @typedef {{is_device: boolean, name: string, organization: string, at: string}} Person */
/** @typedef {{kind: 'report'|'pdf'|'file', sop_class: string, sop_instance: string|null, banner: import('../delivery.js').Banner, title: string, date: string, time: string, zone: string, number: number|null,
 *  completion: string, completion_words: string, verification: string, preliminary: string, verifiers: Person[], authors: Person[], people_left_out: number, predecessors: string[], predecessors_left_out: number, file_type: string, file_bytes: number|null,
 *  refused: string|null, is_damaged: boolean, left_out: number, content: import('./report.js').Content|null}} Told what reader/wasm/src/documents.rs tells */
/** @typedef {{series: Series, at: number, told: Told, isRead: boolean}} Document at: its place among the instances of the series; isRead: all of it, not only what the list reads */
/** @typedef {{document: Document, element: HTMLElement, sheet: HTMLElement, who: HTMLElement, heading: HTMLElement, alert: HTMLElement, about: HTMLElement, words: string, left: HTMLElement|null, top: number}} Paper words: what stands above
 *  its content; left: what was tapped when it was left, top: how far it was scrolled then */

learn({
  documents: ['文書', 'Documents'],
  'document back': ['画像に戻る', 'Back to the images'],
  'document list': ['文書の一覧に戻る', 'Back to the documents'],
  'report back': ['レポートに戻る', 'Back to the report'],
  'kind report': ['レポート', 'Report'],
  'kind dose': ['線量レポート', 'Dose report'],
  'kind key': ['キー画像の選択', 'Key object selection'],
  'kind pdf': ['PDF', 'PDF'],
  'kind file': ['ファイル', 'File'],
  'another patient': ['別の患者', 'another patient'],
  'another patient words': ['この文書の患者名・ID・生年月日は、開いていた画像のものと異なります。', 'Name, ID or birth date of this document differ from those of the images that were open.'],
  'mixed document': ['複数の患者が混在するシリーズの文書です。患者名は表示しません。', 'This document is of a series in which several patients are mixed: no name is shown.'],
  PARTIAL: ['未完成', 'Incomplete'],
  COMPLETE: ['完成', 'Complete'],
  UNVERIFIED: ['未承認', 'Not verified'],
  VERIFIED: ['承認済み', 'Verified'],
  PRELIMINARY: ['暫定', 'Preliminary'],
  FINAL: ['最終', 'Final'],
  'no completion': ['完成しているか不明', 'Does not say whether it is complete'],
  'no verification': ['承認されているか不明', 'Does not say whether it is verified'],
  'not read': ['開くまで内容は不明', 'not known until it is opened'],
  replaced: ['「{0}」が置き換え、または続く', 'replaced or continued by “{0}”'],
  number: ['番号 {0}', 'no. {0}'],
  device: ['装置: {0}', 'Device: {0}'],
  'people left out': ['ほか{0}名', '{0} more'],
  verifier: ['承認者', 'Verified by'],
  author: ['作成者', 'Author'],
  predecessors: ['以前の文書（{0}件）に続く、または置き換える文書です。', 'This follows or replaces earlier documents ({0}).'],
  'document damaged': ['この文書は壊れているか途中で切れています。下に示す内容は完全ではありません。病院に再送を依頼してください。', 'This document is damaged or cut: what stands below is not all of it. Ask the hospital to send it again.'],
  'document left out': ['長すぎるため、{0}項目とその下位の項目を省略しました。残りはPCの閲覧ソフトで開いてください。', 'Too long: {0} items and all below them are left out. Open the case on a workstation for the rest.'],
  'document large': ['この文書は{0}あり、この端末には大きすぎます。PCの閲覧ソフトで開いてください。', 'This document has {0}, which is too large for this device. Open the case on a workstation.'],
  larger: ['文字を大きく', 'Larger letters'],
  smaller: ['文字を小さく', 'Smaller letters'],
  'document program': ['文書の表示に必要な部分を読み込めませんでした。アプリを閉じて開き直してください。', 'The program for documents was not loaded: close the app and open it again.'],
});

/** As reader/wasm/src/documents.rs takes them: what is larger is not fetched. */
const DOCUMENT_BYTES_MAX = 16 << 20;
/** As reader/wasm/src/headers.rs takes them. */
const HEADER_BYTES_MAX = 96 << 20;
const KEY_OBJECTS = '1.2.840.10008.5.1.4.1.1.88.59';
/** Dose reports of X-ray, of radiopharmaceuticals, of patients, and enhanced ones (PS3.6 A). */
const DOSES = ['67', '68', '73', '76'].map((end) => `1.2.840.10008.5.1.4.1.1.88.${end}`);
/** How large letters may be, times the app's own. */
const LETTERS = [1, 1.25, 1.5, 2];
/** For as long as the app is open. */
let letters = 0;

document.head.append(h('link', { rel: 'stylesheet', href: '/documents.css' }));

export class Documents {
  /** Newest first; what only names key images behind what can be read. @type {Document[]} */
  all = [];
  /** Series without pictures that are listed whole. */
  series = 0;
  /** Which documents say that they follow or replace one, by its SOP instance. @type {Map<string, Document[]>} */
  #successors = new Map();
  #list = h('ul', { 'aria-label': t('documents') });
  /** What the list says. */
  #words = '';
  /** @type {Map<Document, HTMLElement>} */
  #buttons = new Map();
  /** Screens that are open, each opened by a reference in the one before. @type {Paper[]} */
  #papers = [];
  /** Beside an image that a document leads to. @type {HTMLElement|null} */
  #return = null;

  /** @param {Viewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    this.keys = this.keys.bind(this);
  }

  /** Looks through all that has no pixels, and lists what it finds. */
  async look() {
    this.viewer.shelf.prepend(this.#list);
    for (const series of this.viewer.delivery.series) await this.#look(series);
  }

  /** What cannot be read is counted with all that is not shown. @param {Series} series */
  async #look(series) {
    const places = Object.keys(series.whole).map(Number);
    if (places.length === 0 || series.headers.reduce((sum, number) => sum + this.#raw(number), 0) > HEADER_BYTES_MAX) return;
    const parts = await this.viewer.pictures.bring(series.headers).catch(() => null);
    if (!parts) return;
    const program = await loadDocuments();
    /** @type {(Told|null)[]} */
    let told;
    try {
      told = program.documents({ ...this.#headers(series, parts), bulks: this.#bulks(series) }, parts);
    } catch {
      return;
    }
    const found = places.flatMap((at) => (told[at] ? [{ series, at, told: told[at], isRead: false }] : []));
    this.all.push(...found);
    if (found.length === series.instances.length) this.series++;
    this.show();
  }

  /** Segments of bulk values that are no pixels. @param {Series} series */
  #opaque(series) {
    return this.viewer.delivery.segments.filter((one) => one.kind === 'opaque' && one.series === series.index);
  }

  /** Instances that have such a value. @param {Series} series */
  #bulks(series) {
    return [...new Set(this.#opaque(series).flatMap(({ instance }) => instance ?? []))];
  }

  /** @param {Series} series @param {Uint8Array[]} parts */
  #headers(series, parts) {
    return { transfer_syntax: series.transferSyntax, heads: series.heads, parts: parts.map((part, n) => [part.length, this.#raw(series.headers[n])]) };
  }

  /** @param {number|undefined} number of a segment */
  #raw(number) {
    return this.viewer.delivery.segments.find((one) => one.number === number)?.rawBytes ?? 0;
  }

  /** The list and what stands above each document, as far as they say another thing than before: more is known of one, or other pictures are seen. */
  show() {
    const { viewer, all } = this;
    const key = (/** @type {Document} */ { told: { sop_class, date, time } }) => [sop_class === KEY_OBJECTS ? 0 : 1, date, time].join(' ');
    all.sort((one, other) => key(other).localeCompare(key(one)));
    this.#successors = new Map();
    for (const one of all) for (const uid of one.told.predecessors) this.#successors.set(uid, [...(this.#successors.get(uid) ?? []), one]);
    const lines = this.#lines(), words = JSON.stringify(lines);
    if (words !== this.#words) {
      const focused = all.find((one) => this.#buttons.get(one) === document.activeElement);
      this.#words = words;
      this.#buttons = new Map(all.map((one, n) => [one, this.#button(one, lines[n] ?? [])]));
      this.#list.replaceChildren(...[...this.#buttons.values()].map((button) => h('li', {}, button)));
      if (focused) this.#buttons.get(focused)?.focus({ preventScroll: true });
    }
    viewer.shelf.hidden = all.length === 0 && !viewer.coming.parentElement;
    viewer.element.classList.toggle('unpictured', viewer.pictures.stacks.length === 0 && all.length > 0);
    for (const paper of this.#papers) this.#head(paper);
  }

  /** Title, what it is, and what is in doubt of each. */
  #lines() {
    const lines = this.all.map((one) => [titleOf(one.told), aboutOf(one)]), all = lines.map((line) => line.join());
    // Without pictures nothing else says whose they are.
    const named = this.viewer.pane.stack.series.index < 0 && differ(...this.all.map(({ told }) => told.banner));
    return this.all.map((document, n) => {
      const { series, told } = document, [title = '', about = ''] = lines[n] ?? [], isAlone = all.indexOf(all[n] ?? '') === all.lastIndexOf(all[n] ?? '');
      const apart = isAlone ? [] : [clock(told.time), typeof told.number === 'number' ? t('number', told.number) : ''];
      const whose = named && !series.mixedPatients ? [nameOf(told.banner) || t('no name'), told.banner.patient_id] : [];
      return [title, join([about, ...apart, ...whose]), join([...this.#doubts(document), this.#isAnother(document) ? t('another patient') : ''])];
    });
  }

  /** @param {Document} document @param {string[]} line */
  #button(document, [title = '', about = '', marks = '']) {
    return h('button', { click: () => { this.end(); void this.open(document, null); } }, said(title, { class: 'name' }), h('span', { class: 'soft' }, said(about)), marks ? h('span', { class: 'doubt' }, said(marks)) : null);
  }

  /** Whether it names another patient than the pictures that are seen. @param {Document} document */
  #isAnother({ told, series }) {
    const { series: seen } = this.viewer.pane.stack;
    return seen.index >= 0 && seen !== series && differ(told.banner, seen.banner);
  }

  /** Documents that say that they follow or replace it. @param {Document} document */
  #later(document) {
    return (this.#successors.get(document.told.sop_instance ?? '') ?? []).filter((one) => one !== document);
  }

  /** What a doctor must not overlook. @param {Document} document */
  #doubts(document) {
    return [...this.#later(document).map(({ told }) => t('replaced', [titleOf(told), whenOf(told)].filter((text) => text).join(' '))), ...doubts(document)];
  }

  /** Its screen, at once; its content, once it is here. @param {Document} document @param {HTMLElement|null} from in the document before; null: from the list */
  async open(document, from) {
    const { viewer } = this, known = this.#papers.findIndex((one) => one.document === document);
    if (known >= 0) {
      while (this.#papers.length > known + 1) this.close();
      return;
    }
    viewer.cine.stop();
    const body = h('div', { class: 'body', 'aria-busy': 'true' }, h('p', { role: 'status' }, t('loading')));
    const who = h('div', { class: 'who' }), heading = h('h2', { tabindex: -1 }), alert = h('div', {}), about = h('div', {});
    const back = t(this.#papers.length > 0 ? 'report back' : viewer.pictures.stacks.length > 0 ? 'document back' : 'document list');
    const sheet = h('div', { class: 'sheet', tabindex: 0 }, alert, heading, about, body);
    const element = h('section', { class: 'paper' }, h('header', {}, h('button', { class: 'back', 'aria-label': back, click: () => this.close() }, '‹'), who, ...this.#letters()), sheet);
    /** @type {Paper} */
    const paper = { document, element, sheet, who, heading, alert, about, words: '', left: null, top: 0 };
    const before = this.#papers.at(-1);
    if (before) this.#leave(before, from);
    else addEventListener('keydown', this.keys);
    viewer.element.after(element);
    viewer.element.hidden = true;
    this.#papers.push(paper);
    this.#head(paper);
    this.#enlarge(0);
    heading.focus({ preventScroll: true });
    const trouble = () => { if (viewer.pictures.trouble) body.replaceChildren(h('p', { role: 'status' }, troubleWords(viewer.pictures.trouble))); };
    viewer.pictures.addEventListener('arrived', trouble);
    try {
      const content = await this.#content(document);
      if (!this.#papers.includes(paper)) return;
      body.replaceChildren(...content);
      if (document.isRead && holds(document.told.content)) viewer.read();
    } catch (error) {
      const isLoaded = !!(/** @type {any} */ (error)?.code);
      body.replaceChildren(h('p', { class: 'notice bad', role: 'alert' }, isLoaded ? sorry(error) : t('document program')));
    } finally {
      viewer.pictures.removeEventListener('arrived', trouble);
      body.removeAttribute('aria-busy');
    }
  }

  /** Whose it is, it says itself; and how far it got. @param {Paper} paper */
  #head(paper) {
    const { viewer } = this, { document } = paper, { told, series } = document, { predecessors } = told;
    const marks = this.#doubts(document), isAnother = this.#isAnother(document) && !series.mixedPatients, later = this.#later(document);
    const earlier = this.all.filter((one) => one !== document && predecessors.includes(one.told.sop_instance ?? ''));
    const words = JSON.stringify([told.banner, titleOf(told), aboutOf(document), told.completion_words, good(told), marks, isAnother, earlier.map((one) => titleOf(one.told))]);
    if (words === paper.words) return;
    paper.words = words;
    const who = banner({ ...series, banner: Object.keys(told.banner).length > 0 ? told.banner : null }, viewer.delivery);
    paper.who.replaceChildren(...(series.mixedPatients ? [h('p', { class: 'mixed', role: 'alert' }, t('mixed document')), ...who.slice(1)] : who));
    paper.alert.replaceChildren(isAnother ? h('p', { class: 'notice bad', role: 'alert' }, t('another patient words')) : '');
    paper.heading.replaceChildren(said(titleOf(told)));
    const links = [...later, ...earlier].map((one) => this.link(one, join([titleOf(one.told), whenOf(one.told)]))), count = predecessors.length + told.predecessors_left_out;
    paper.about.replaceChildren(h('p', { class: 'soft' }, said(aboutOf(document))), marksOf(told, marks) ?? '', count > 0 ? h('p', { class: 'soft' }, t('predecessors', count)) : '', links.length > 0 ? h('p', {}, ...links) : '');
  }

  /** To another document. @param {Document} document @param {string} words */
  link(document, words) {
    const button = h('button', { class: 'chip', click: () => void this.open(document, button) }, said(words));
    return button;
  }

  /** @param {Document} document @returns {Promise<Node[]>} */
  async #content(document) {
    const { series, at } = document, chunks = this.#opaque(series).filter(({ instance }) => instance === at);
    const bytes = chunks.reduce((sum, one) => sum + one.rawBytes, (series.heads[at] ?? []).reduce((sum, one) => sum + one, 0));
    if (bytes > DOCUMENT_BYTES_MAX) return [h('p', { class: 'notice bad', role: 'alert' }, t('document large', size(bytes)))];
    const segments = await this.viewer.pictures.bring([...series.headers, ...chunks.map((one) => one.number)]);
    const parts = segments.slice(0, series.headers.length), sha256 = series.whole[at] ?? '';
    const sizes = segments.slice(parts.length).map((part, n) => [part.length, chunks[n]?.rawBytes ?? 0]);
    const read = (await loadDocuments()).document({ ...this.#headers(series, parts), instance: at, sha256, chunks: sizes }, segments);
    const told = /** @type {Told} */ (read.told);
    // The list's reading lacks the largest value.
    Object.assign(document, { told, isRead: true });
    this.show();
    const notices = [
      told.is_damaged ? h('p', { class: 'notice bad', role: 'alert' }, t('document damaged')) : null,
      told.left_out > 0 ? h('p', { class: 'notice' }, t('document left out', told.left_out)) : null,
      peopleOf(told),
    ].filter((one) => one !== null);
    if (told.kind !== 'report') return [...notices, ...(await import('./handover.js')).handOver(told, read.file, () => this.viewer.read())];
    const { Report } = await import('./report.js');
    return [...notices, ...new Report(told, this).elements];
  }

  /** Larger and smaller letters. */
  #letters() {
    return [h('button', { class: 'quiet', 'aria-label': t('smaller'), click: () => this.#enlarge(-1) }, 'A−'), h('button', { class: 'quiet', 'aria-label': t('larger'), click: () => this.#enlarge(1) }, 'A+')];
  }

  /** @param {number} by */
  #enlarge(by) {
    letters = Math.min(LETTERS.length - 1, Math.max(0, letters + by));
    for (const { element } of this.#papers) element.style.setProperty('--letters', String(LETTERS[letters]));
  }

  /** @param {KeyboardEvent} event */
  keys(event) {
    if (event.key === 'Escape' && !this.#return) this.close();
  }

  /** What is under another screen is hidden, and comes back as it was left. @param {Paper} paper @param {HTMLElement|null} from */
  #leave(paper, from) {
    [paper.left, paper.top] = [from, paper.sheet.scrollTop];
    paper.element.hidden = true;
  }

  /** @param {Paper} paper */
  #resume(paper) {
    paper.element.hidden = false;
    paper.sheet.scrollTop = paper.top;
    paper.left?.focus({ preventScroll: true });
  }

  /** To an image: the document stays behind it. @param {HTMLElement} from */
  aside(from) {
    const paper = this.#papers.at(-1);
    if (!paper) return;
    this.#leave(paper, from);
    this.viewer.element.hidden = false;
    this.#return = h('button', { class: 'chip', click: () => { this.#unaside(); this.viewer.cine.stop(); this.viewer.element.hidden = true; this.#resume(paper); } }, t('report back'));
    this.viewer.shelf.prepend(this.#return);
    this.#return.focus({ preventScroll: true });
  }

  #unaside() {
    this.#return?.remove();
    this.#return = null;
  }

  /** Back to the document before, or to the viewer, where it was. */
  close() {
    const paper = this.#papers.pop(), before = this.#papers.at(-1);
    if (!paper) return;
    paper.element.remove();
    if (before) return this.#resume(before);
    removeEventListener('keydown', this.keys);
    this.viewer.element.hidden = false;
    this.#buttons.get(paper.document)?.focus({ preventScroll: true });
  }

  /** All of them. */
  end() {
    this.#unaside();
    while (this.#papers.length > 0) this.close();
  }
}

/** @param {Told} told */
export const titleOf = (told) => told.title || kindOf(told);

/** @param {(string|undefined)[]} texts */
const join = (texts) => texts.filter((text) => text).join(' · ');

/** Whether there is anything in it. @param {import('./report.js').Content|null} content */
const holds = (content) => !!content && ((content.children ?? []).length > 0 || !!content.text || (content.references ?? []).length > 0);

/** @param {Told} told */
function kindOf({ kind, sop_class }) {
  if (kind !== 'report') return t(`kind ${kind}`);
  return t(sop_class === KEY_OBJECTS ? 'kind key' : DOSES.includes(sop_class) ? 'kind dose' : 'kind report');
}

/** @param {Told} told */
const whenOf = (told) => [date(told.date), time(told.time), told.date && told.zone].filter((text) => text).join(' ');

/** @param {Document} document */
const aboutOf = ({ told, series }) => join([kindOf(told), series.modality, whenOf(told)]);

/** How far it did not get, or does not say that it got. @param {Document} document */
function doubts({ told, isRead }) {
  const flags = told.kind === 'report' && told.sop_class !== KEY_OBJECTS, isKnown = isRead || !told.is_damaged;
  const words = (/** @type {string} */ value, /** @type {string} */ good, /** @type {string} */ bad, /** @type {string} */ none) => (value === good ? '' : value === bad ? t(bad) : value || (flags && isKnown ? t(none) : ''));
  const preliminary = told.preliminary === 'FINAL' ? '' : told.preliminary === 'PRELIMINARY' ? t('PRELIMINARY') : told.preliminary;
  return [preliminary, words(told.completion, 'COMPLETE', 'PARTIAL', 'no completion'), words(told.verification, 'VERIFIED', 'UNVERIFIED', 'no verification'), isKnown ? '' : t('not read')].filter((one) => one);
}

/** @param {Told} told */
const good = ({ preliminary, completion, verification }) => [preliminary, completion, verification].filter((value) => ['FINAL', 'COMPLETE', 'VERIFIED'].includes(value));

/** What is in doubt first. @param {Told} told @param {string[]} bad */
function marksOf(told, bad) {
  const fine = good(told);
  if (fine.length + bad.length === 0) return null;
  return h('ul', { class: 'marks-of' }, ...bad.map((words) => h('li', { class: 'bad' }, said(words))), ...fine.map((value) => h('li', {}, t(value))),
    told.completion_words ? h('li', {}, said(told.completion_words)) : null);
}

/** @param {Told} told */
function peopleOf({ verifiers, authors, zone, people_left_out }) {
  const rows = [['verifier', verifiers], ['author', authors]].flatMap(([role, people]) => /** @type {Person[]} */ (people).map((one) => [h('dt', {}, t(String(role))),
    h('dd', {}, said(join([one.is_device ? t('device', one.name || '—') : one.name || '—', one.organization, moment(one.at, zone)])))]));
  if (people_left_out > 0) rows.push([h('dt', {}, ''), h('dd', {}, t('people left out', people_left_out))]);
  return rows.length > 0 ? h('dl', { class: 'people' }, ...rows.flat()) : null;
}

/** DICOM DT as 2024-04-12 10:11 +0900; anything else as it is. @param {string} text @param {string} zone that of the document (PS3.3 C.12.1.1.8), where the time names none */
export const moment = (text, zone) => text.replace(/^(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\.\d+)?([+-]\d{4})?$/, (_, year, month, day, hour, minute, second, _fraction, own) =>
  [[year, month, day].filter((one) => one).join('-'), [hour, minute, second].filter((one) => one).join(':'), own || (hour && zone)].filter((one) => one).join(' '));

/** DICOM TM as 10:11:12; anything else as it is. @param {string} text @param {string} [zone] that of the document */
export const clock = (text, zone) => text.replace(/^(\d\d)(\d\d)?(\d\d)?(\.\d+)?$/, (_, hour, minute, second) => [[hour, minute, second].filter((one) => one).join(':'), zone].filter((one) => one).join(' '));
