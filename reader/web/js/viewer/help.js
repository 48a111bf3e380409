// The panel that lists keys and mouse.
import { h } from '../dom.js';
import { learn, t } from '../texts.js';

learn({
  'keys close': ['閉じる', 'Close'],
  'keys off': ['文字と数字のキーを使わない', 'Do without keys of letters and figures'],
  'keys images': ['画像を送る', 'Next and previous image'],
  'keys ten': ['10枚送る', 'Ten images on'],
  'keys ends': ['最初、最後の画像', 'First and last image'],
  'keys series': ['次、前のシリーズ', 'Next and previous series'],
  'keys windows': ['標準、濃淡の設定', 'As sent, and the windows in their order'],
  'keys tools': ['めくる、濃淡、矢印・計測', 'Scroll, window, arrow or measure'],
  'keys zoom': ['拡大、縮小、全体と等倍', 'Larger, smaller, all of it or its pixels'],
  'keys look': ['90°回転、左右反転、白黒反転', 'Turn by 90°, mirror, invert'],
  'keys more': ['2シリーズ、断面、表示メニュー', 'Two series, planes, the View menu'],
  'keys play': ['再生、停止', 'Play and pause'],
  'keys key': ['次の重要画像', 'Next key image'],
  'keys help': ['この一覧', 'This list'],
  'keys mouse': ['マウス', 'Mouse'],
  'keys wheel': ['ホイール', 'Wheel'],
  'keys ctrl wheel': ['Ctrl+ホイール', 'Ctrl and wheel'],
  'keys right': ['右ボタンでなぞる', 'Drag, right button'],
  'keys middle': ['中ボタンでなぞる', 'Drag, middle button'],
  'keys twice': ['ダブルクリック', 'Double click'],
  'keys does window': ['濃淡', 'Window'],
  'keys does shift': ['拡大した画像を動かす', 'Shift what is larger'],
  'keys does zoom': ['拡大、縮小', 'Larger, smaller'],
  'keys does fit': ['全体と等倍', 'All of it, or its pixels'],
});

/** @type {[string[], string][]} */
const KEYS = [
  [['↑', '↓', '←', '→'], 'images'], [['PageUp', 'PageDown'], 'ten'], [['Home', 'End'], 'ends'], [['N', 'B'], 'series'], [['0', '1 – 9'], 'windows'], [['S', 'W', 'M'], 'tools'], [['+', '−', 'Z'], 'zoom'],
  [['R', 'X', 'I'], 'look'], [['D', 'P', 'V'], 'more'], [['Space'], 'play'], [['K'], 'key'], [['?'], 'help'],
];
const MOUSE = [['wheel', 'images'], ['ctrl wheel', 'does zoom'], ['right', 'does window'], ['middle', 'does shift'], ['twice', 'does fit']];

/** @param {import('./keyboard.js').Keyboard} keyboard */
export function help(keyboard) {
  const off = /** @type {HTMLInputElement} */ (h('input', { type: 'checkbox', checked: keyboard.isOff, change: () => { keyboard.isOff = off.checked; } }));
  const title = h('h2', { id: 'keys-title' }, t('keys'));
  const panel = /** @type {HTMLDialogElement} */ (h('dialog', { class: 'keys', 'aria-labelledby': title.id, close: () => panel.remove() },
    h('header', {}, title, h('button', { click: () => panel.close() }, t('keys close'))),
    h('dl', {}, ...KEYS.flatMap(([names, words]) => [h('dt', {}, ...names.map((name) => h('kbd', {}, name))), h('dd', {}, t(`keys ${words}`))])),
    h('h3', {}, t('keys mouse')),
    h('dl', {}, ...MOUSE.flatMap(([how, words]) => [h('dt', {}, t(`keys ${how}`)), h('dd', {}, t(`keys ${words}`))])),
    h('label', { class: 'off' }, off, t('keys off'))));
  keyboard.viewer.element.append(panel);
  panel.showModal();
}
