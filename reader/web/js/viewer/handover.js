// A PDF leaves for the telephone's own program: this app has no reader of such files, and runs nothing that is in one (decision 0030).
import { h, said } from '../dom.js';
import { learn, size, sorry, t } from '../texts.js';

/** @typedef {import('./documents.js').Told} Told */

learn({
  'pdf leaves': ['PDFはこのアプリの外で開きます。開いたアプリや保存先に患者情報の写しが残ることがあります。', 'A PDF is opened outside of this app: whatever opens or keeps it may hold a copy with the patient’s data.'],
  'pdf name': ['PDFの中の患者名は、このアプリでは確かめていません。', 'Whose name stands in the PDF itself was not checked.'],
  'pdf open': ['PDFを他のアプリで開く（{0}）', 'Open the PDF in another app ({0})'],
  'pdf save': ['PDFを保存して開く（{0}）', 'Save and open the PDF ({0})'],
  'pdf nowhere': ['この端末ではPDFを渡せません。PCの閲覧ソフトで開いてください。', 'A PDF cannot be handed over on this device. Open the case on a workstation.'],
  'file kind': ['この種類のファイルはここでは開けません。PCの閲覧ソフトで開いてください。', 'Files of this kind are not opened here. Open the case on a workstation.'],
  'file length': ['ファイルの長さが記載と異なるため、開きません。病院に再送を依頼してください。', 'The file is not as long as it says: it is not opened. Ask the hospital to send it again.'],
  'file type': ['PDFの種類の記載が異なるため、開きません。PCの閲覧ソフトで開いてください。', 'It says to be a PDF, and another kind of file: it is not opened. Open the case on a workstation.'],
  'file untyped': ['ファイルの種類の記載がないため、開きません。PCの閲覧ソフトで開いてください。', 'It does not say which type of file it is: it is not opened. Open the case on a workstation.'],
  'file start': ['PDFとして始まらない内容のため、開きません。PCの閲覧ソフトで開いてください。', 'What is in it does not begin as a PDF: it is not opened. Open the case on a workstation.'],
});

/** It tells nothing of the patient. */
const NAME = 'document.pdf';
/** A link's file must be there until the browser has read it, ms. */
const KEPT_MS = 60_000;

/** @param {Told} told @param {Uint8Array} bytes @param {() => void} given once it left @returns {HTMLElement[]} */
export function handOver(told, bytes, given) {
  if (told.refused) return [h('p', { class: 'notice bad' }, t(`file ${told.refused}`)), h('p', { class: 'soft' }, said([told.file_type, told.file_bytes === null ? '' : size(told.file_bytes)].filter((text) => text).join(' · ')))];
  const words = [h('p', { class: 'notice' }, t('pdf leaves')), h('p', { class: 'soft' }, t('pdf name'))];
  // Made before the tap: a sheet to share opens within the tap that asks for it, or not at all.
  const file = new File([/** @type {Uint8Array<ArrayBuffer>} */ (bytes)], NAME, { type: 'application/pdf' });
  // An app on the home screen has no way back from a file that it opens itself.
  const isApp = matchMedia('(display-mode: standalone)').matches || /** @type {any} */ (navigator).standalone === true;
  if (isApp && !navigator.canShare?.({ files: [file] })) return [...words, h('p', { class: 'notice bad' }, t('pdf nowhere'))];
  return [...words, isApp ? sharing(file, given) : saving(file, given)];
}

/** @param {File} file @param {() => void} given */
function sharing(file, given) {
  const told = h('p', { class: 'notice bad', role: 'alert', hidden: true });
  const share = () => {
    told.hidden = true;
    navigator.share({ files: [file] }).then(given, (error) => {
      // Whoever closed the sheet knows.
      if (error?.name === 'AbortError') return;
      told.textContent = sorry(error);
      told.hidden = false;
    });
  };
  return h('div', { class: 'action' }, h('button', { class: 'main', click: share }, t('pdf open', size(file.size))), told);
}

/** @param {File} file @param {() => void} given */
function saving(file, given) {
  const save = () => {
    const url = URL.createObjectURL(file), link = /** @type {HTMLAnchorElement} */ (h('a', { href: url, download: NAME }));
    link.click();
    given();
    setTimeout(() => URL.revokeObjectURL(url), KEPT_MS);
  };
  return h('div', { class: 'action' }, h('button', { class: 'main', click: save }, t('pdf save', size(file.size))));
}
