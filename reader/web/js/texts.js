// What the app says, in Japanese and English. `{0}` stands for what is told with it.

/** @typedef {'ja'|'en'} Language */
const KEPT = 'language';

/** @type {Language} */
let chosen = (() => {
  const kept = localStorage.getItem(KEPT);
  return kept === 'ja' || kept === 'en' ? kept : navigator.language.startsWith('ja') ? 'ja' : 'en';
})();
document.documentElement.lang = chosen;

export const language = () => chosen;

/** @param {Language} to */
export function speak(to) {
  chosen = to;
  localStorage.setItem(KEPT, to);
  document.documentElement.lang = to;
}

/** @param {string} key @param {...(string|number)} told @returns {string} */
export function t(key, ...told) {
  const [ja, en] = TEXTS[key] ?? [key, key];
  return (chosen === 'ja' ? ja : en).replace(/\{(\d)\}/g, (_, n) => String(told[Number(n)] ?? ''));
}

/** Words of what is loaded later. @param {typeof TEXTS} more */
export const learn = (more) => void Object.assign(TEXTS, more);

/** The words of a refusal: what happened, and who must do what. @param {unknown} error */
export function sorry(error) {
  const { code = 'ours', who = 'us' } = /** @type {{code?:string, who?:string}} */ (error ?? {});
  return `${t(TEXTS[`error ${code}`] ? `error ${code}` : 'error ours')} ${t(`who ${who}`)}`;
}

/** @param {number} seconds since 1970 */
export function clock(seconds) {
  const at = new Date(seconds * 1000), today = new Date().toDateString() === at.toDateString();
  const time = at.toLocaleTimeString(chosen, { hour: '2-digit', minute: '2-digit' });
  return today ? time : `${at.toLocaleDateString(chosen, { month: 'numeric', day: 'numeric' })} ${time}`;
}

/** @param {number} bytes */
export const size = (bytes) => (bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

/** @type {Record<string, [string, string]>} */
const TEXTS = {
  // Viewer
  picture: ['画像。上下になぞるとスライスが変わります', 'Image. Drag up or down to scroll the slices'],
  slice: ['スライス', 'Slice'],
  'slice of': ['{1}枚中{0}枚目', 'Slice {0} of {1}'],
  tools: ['道具', 'Tools'],
  keys: ['キーとマウス', 'Keys and mouse'],
  'tool scroll': ['めくる', 'Scroll'],
  'tool window': ['濃淡', 'Window'],
  'tool view': ['表示', 'View'],
  turn: ['90°回転', '90°'],
  'turn hint': ['右へ90°回転', 'Turn right by 90°'],
  mirror: ['左右反転', 'Mirror'],
  'mirror hint': ['左右を反転', 'Mirror left and right'],
  invert: ['白黒反転', 'Invert'],
  'invert hint': ['白黒を反転', 'Invert black and white'],
  'mark mirrored': ['左右反転中', 'MIRRORED'],
  'mark turned': ['{0}°回転中', 'turned {0}°'],
  'mark inverted': ['白黒反転中', 'inverted'],
  'mark reset': ['{0}。元に戻す', '{0}. Back to as it was sent'],
  'at detector': ['(検出器上)', 'at the detector'],
  pair: ['2シリーズ', 'Two'],
  'pair hint': ['2つのシリーズを並べる', 'Two series side by side'],
  planes: ['断面', 'Planes'],
  'planes hint': ['横断・冠状断・矢状断の3断面', 'Axial, coronal and sagittal planes'],
  'no planes': ['断面を読み込めませんでした。アプリを閉じて開き直してください。', 'The program for planes was not loaded: close the app and open it again.'],
  linked: ['位置を連動', 'linked'],
  'not linked': ['連動なし', 'not linked'],
  'no slice here': ['この位置にスライスなし（最も近いものまで {0} mm）', 'no slice here (the nearest is {0} mm away)'],
  'not calibrated': ['(較正なし)', '(not calibrated)'],
  play: ['再生', 'Play'],
  pause: ['停止', 'Pause'],
  pace: ['毎秒{0}枚', '{0} a second'],
  'pace assumed': ['毎秒{0}枚(記録なし)', '{0} a second (none recorded)'],
  'pace slow': ['毎秒{1}枚のうち{0}枚だけ表示', 'shows {0} of {1} a second'],
  series: ['シリーズ', 'Series'],
  'open series': ['シリーズ {0}、{1}枚', 'Series {0}, {1} images'],
  'documents coming': ['文書を確認中…', 'Looking for documents…'],
  'no documents': ['文書を読み込めませんでした。アプリを閉じて開き直してください。', 'Documents were not loaded: close the app and open it again.'],
  missing: ['これらのシリーズのうち{0}件はここに表示できません', '{0} images of these series cannot be shown here'],
  others: ['ここに表示できないもの {0} 件', '{0} more that cannot be shown here'],
  loaded: ['受信の進み', 'Received so far'],
  note: ['送信者から', 'From the sender'],
  back: ['一覧へ戻る', 'Back to the list'],
  'as sent': ['標準', 'As sent'],
  arranged: ['自動設定: {0}', 'Arranged: {0}'],
  'arranged by site': ['施設の設定: {0}', 'Arranged by the site: {0}'],
  'hanging localizer': ['位置決め画像は最後', 'localizers last'],
  'hanging mr diffusion': ['MR 拡散強調', 'MR diffusion'],
  brain: ['脳', 'Brain'],
  stroke: ['脳卒中', 'Stroke'],
  bone: ['骨', 'Bone'],
  lung: ['肺', 'Lung'],
  mediastinum: ['縦隔', 'Mediastinum'],
  abdomen: ['腹部', 'Abdomen'],
  'key images': ['重要画像', 'Key images'],
  loading: ['受信中…', 'Loading…'],
  coarse: ['粗い画像。詳細を受信中…', 'Coarse. Loading detail…'],
  'damaged picture': ['この画像は壊れているため、詳細を表示しません。病院に再送を依頼してください。', 'This image is damaged: its detail is not shown. Ask the hospital to send it again.'],
  'unknown place': ['この画像の向きと値の尺度を読み取れないため、表示しません。PCの閲覧ソフトで開いてください。', 'Which way this image lies, and what its values mean, cannot be read: it is not shown. Open the case on a workstation.'],
  'no pictures': ['表示できる画像がありません。PCの閲覧ソフトで開いてください。', 'No images that can be shown here. Open the case on a workstation.'],
  'unknown values': ['この画像の値の意味（LUT・関数）を読み取れないため、表示しません。PCの閲覧ソフトで開いてください。', 'What the values of this image mean (its LUT or function) cannot be read: it is not shown. Open the case on a workstation.'],
  palette: ['この色形式は表示できません。PCの閲覧ソフトで開いてください。', 'Colours of this kind cannot be shown here. Open the case on a workstation.'],
  'too large': ['この端末には大きすぎる画像です。PCの閲覧ソフトで開いてください。', 'This image is too large for this device. Open the case on a workstation.'],
  'mixed patients': ['複数の患者の画像が混在しています。患者名は表示しません。', 'Images of several patients are mixed here: no name is shown.'],
  'no name': ['患者名なし', 'No patient name'],
  partial: ['PACS上の{1}枚中{0}枚だけです', 'only {0} of the {1} images that the PACS lists'],
  'completeness not proved': ['全画像が揃った確認なし', 'not proved complete'],
  'sex M': ['男', 'M'],
  'sex F': ['女', 'F'],
  'sex O': ['その他', 'O'],
  years: ['{0}歳', '{0} y'],
  'came lossy': ['受信前に非可逆圧縮', 'Lossy before it came'],
  loss: ['非可逆圧縮 {0} ・ 最大誤差 {1}', 'Irreversibly compressed {0} · max error {1}'],
  'reference only': ['参照用', 'reference only'],
  exact: ['原画像を要求', 'Get exact'],
  'exact here': ['原画像と同一', 'Exact: as it was acquired'],
  'exact asked': ['要求しました', 'Asked for'],
  'no measuring': ['矢印と計測を読み込めませんでした。アプリを閉じて開き直してください。', 'Arrows and measuring were not loaded: close the app and open it again.'],
  'exact failed': ['失敗。再試行', 'Failed. Try again'],
  answers: ['返事', 'Answer'],
  'answer seen': ['確認しました', 'Seen'],
  'answer call_back': ['電話をください', 'Call me back'],
  'answer words': ['ひとこと', 'Words'],
  'answer passed_on': ['引き継ぐ', 'Hand over'],
  'sure passed_on': ['次の医師へ?', 'To the next?'],
  'answer closed': ['終了', 'Close'],
  'sure closed': ['全員分を削除?', 'Delete for all?'],
  'words hint': ['病院へひとこと(100字まで)', 'A few words to the hospital'],
  send: ['送る', 'Send'],
  'told seen': ['確認を病院に伝えました', 'The hospital knows that you have seen it'],
  'told call_back': ['折り返しの電話を頼みました', 'The hospital is asked to call you back'],
  'told words': ['病院に送りました', 'Sent to the hospital'],
  'told passed_on': ['引き継ぎを病院に伝えました。次の医師へ回します', 'The hospital is told and turns to the next doctor'],
  'told closed': ['終了を病院に伝えました。まもなく消去されます', 'The hospital is told: the case will be deleted shortly'],
  'told later': ['接続が戻り次第、病院に送ります', 'Goes to the hospital when the connection is back'],
  // Screens
  'sign in': ['サインイン', 'Sign in'],
  'sign in device': ['この端末で開く', 'Open with this device'],
  'sign in device hint': ['Face ID・Touch ID・指紋で本人を確認します', 'Face ID, Touch ID or fingerprint'],
  'sign in password': ['パスワードで一覧だけ見る', 'See the list only, by password'],
  user: ['利用者名', 'User name'],
  password: ['パスワード', 'Password'],
  code: ['確認コード(6桁)', 'Code (6 digits)'],
  cases: ['症例', 'Cases'],
  'no cases': ['症例はありません。届くと通知します。', 'No cases. You are notified when one comes.'],
  'list only': ['一覧のみ。開くには登録済みの端末が必要です。', 'List only. Opening needs an enrolled device.'],
  'case from': ['{0}から、{1}', 'From {0}, {1}'],
  offline: ['オフライン。この端末にある症例だけ開けます。', 'Offline. Only cases on this device can be opened.'],
  'lost link': ['接続が切れました。つながり次第、続きを受信します。', 'Connection lost. It goes on by itself when it is back.'],
  'mailbox full': ['メールボックスの使用率が{0}%です。新しい検査が届かないことがあります。病院かメールボックスの管理者に連絡してください。', 'Your mailbox is {0} % full: new studies may not arrive. Tell the hospital, or whoever runs the mailbox.'],
  menu: ['設定', 'Settings'],
  devices: ['端末', 'Devices'],
  'this device': ['この端末', 'this device'],
  'no keys': ['鍵なし', 'no keys'],
  'last used': ['最終使用 {0}', 'last used {0}'],
  remove: ['削除', 'Remove'],
  'remove sure': ['「{0}」を削除しますか。この端末では開けなくなります。', 'Remove “{0}”? It can open nothing afterwards.'],
  'add device': ['この端末を追加', 'Add this device'],
  'device name': ['端末の名前', 'Name of the device'],
  enrol: ['端末の登録', 'Enrol this device'],
  'enrol code': ['病院で渡された登録コード', 'The code that the hospital gave you'],
  'enrol next': ['次へ', 'Next'],
  'enrol needed': ['この端末はまだ登録されていません。病院から登録コードを受け取ってください。', 'This device is not enrolled yet. Get a code from the hospital.'],
  fingerprint: ['指紋照合番号', 'Fingerprint'],
  'fingerprint hint': ['病院の管理者に電話し、この番号を読み上げてください。一致すると登録が完了します。', 'Call the hospital’s administrator and read this number out. Enrolment completes once it matches.'],
  'enrol waiting': ['病院の確認を待っています…', 'Waiting for the hospital…'],
  recovery: ['回復キー', 'Recovery key'],
  'recovery hint': ['端末をなくしたときに使います。紙に書き、安全な場所に置いてください。一度しか表示しません。', 'For when this device is lost. Write it on paper and keep it safe. It is shown once.'],
  'recovery make': ['回復キーを作る', 'Make a recovery key'],
  'recovery use': ['回復キーで開く', 'Use a recovery key'],
  guest: ['共有された症例', 'A case shared with you'],
  passphrase: ['合言葉(電話で聞いたもの)', 'Passphrase (told by telephone)'],
  open: ['開く', 'Open'],
  opening: ['開いています…', 'Opening…'],
  'tries left': ['あと{0}回入力できます', '{0} tries left'],
  'link until': ['{0}まで', 'until {0}'],
  'push on': ['通知を受け取る', 'Turn on notices'],
  'push home': ['通知を受け取るには、共有ボタンから「ホーム画面に追加」してください。', 'For notices, add this to the Home Screen (Share button).'],
  'push denied': ['通知が端末の設定で止められています。設定アプリで許可してください。', 'Notices are blocked in this device’s settings. Allow them there.'],
  'sign out': ['サインアウト', 'Sign out'],
  retry: ['再試行', 'Try again'],
  unsigned: ['このポータルのプログラムが署名なしに変わりました。使わないで、病院に電話してください。', 'The program of this portal changed without a signature. Do not use it: call the hospital.'],
  // Refusals
  'error signed_out': ['サインインが切れました。', 'You are signed out.'],
  'error not_allowed': ['許可されていません。', 'Not allowed.'],
  'error needs_device': ['登録済みの端末が必要です。', 'This needs an enrolled device.'],
  'error wrong': ['一致しません。', 'That did not match.'],
  'error too_many_tries': ['回数が多すぎます。', 'Too many tries.'],
  'error unknown': ['見つかりません。', 'Not found.'],
  'error piece_missing': ['この検査の一部がメールボックスにありません。まだ届いていないか、削除されました。少し後でもう一度開いてください。', 'A part of this study is not in the mailbox: it has not arrived yet, or was deleted. Open it again a little later.'],
  'error gone': ['終了した症例です。', 'This case has ended.'],
  'error mailbox_down': ['メールボックスに届きません。', 'The mailbox cannot be reached.'],
  'error mailbox_changed': ['メールボックスが変わりました。', 'The mailbox changed.'],
  'error too_large': ['大きすぎます。', 'Too large.'],
  'error bad_request': ['内容に誤りがあります。', 'Something in it is wrong.'],
  'error ours': ['予期しない不具合です。', 'Something went wrong here.'],
  'error not_for_us': ['この端末宛てではありません。', 'This is not sealed for this device.'],
  'error unsigned': ['病院の署名がありません。開きません。', 'Not signed by the hospital. It is not opened.'],
  'error unknown_site': ['知らない病院からです。開きません。', 'From a hospital that this device does not know. It is not opened.'],
  'error replayed': ['古い内容の繰り返しです。開きません。', 'An old message again. It is not opened.'],
  'error damaged': ['壊れています。表示しません。', 'Damaged. It is not shown.'],
  'error newer_format': ['新しい形式です。', 'A newer format.'],
  'error link_lost': ['接続が切れました。', 'The connection was lost.'],
  'error cancelled': ['取り消されました。', 'Cancelled.'],
  'error unsafe': ['安全でない封印です。開きません。', 'Sealed in an unsafe way. It is not opened.'],
  'error no_prf': ['この端末のパスキーでは鍵を守れません。iOS 18.4以降のFace ID・Touch IDを使ってください。', 'This passkey cannot protect keys. Use Face ID or Touch ID of iOS 18.4 or later.'],
  'error other_key': ['このパスキーの鍵が変わりました。別の端末か回復キーで開いてください。', 'This passkey gave another key. Use another device or the recovery key.'],
  'who doctor': ['もう一度お試しください。', 'Please try again.'],
  'who hospital': ['病院に連絡してください。', 'Call the hospital.'],
  'who operator': ['システム管理者に連絡してください。', 'Call the operator of this portal.'],
  'who us': ['繰り返す場合はシステム管理者に連絡してください。', 'If it happens again, call the operator of this portal.'],
};
