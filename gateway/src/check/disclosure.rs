//! The page of `check --report`: what a hospital's security officer files about this gateway, under the headings of the disclosure that
//! makers and service providers of medical systems give in Japan (MDS/SDS), with the checks of the day. Japanese and English, one file.

use super::listeners::{Speaks, listeners};
use super::{Report, Verdict};
use crate::config::{Config, Encryption, SecondFactor};
use crate::journal::SUBJECTS_KEPT_MS;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Where the package puts the list of all that the gateway is built of.
const SBOM: &str = "/usr/share/doc/scanpost-gateway/scanpost-gateway.cdx.json";
const STYLE: &str = "body{font:15px/1.6 sans-serif;max-width:62em;margin:2em auto;padding:0 1em;color:#111}table{border-collapse:collapse;width:100%}\
td,th{border:1px solid #888;padding:.3em .6em;text-align:left;vertical-align:top;overflow-wrap:anywhere}th{background:#eee}[lang=en]{color:#333}\
.fail{background:#ffd9d9}.not{background:#fff3cd}@media print{body{font-size:11px}}";

const INSIDE: &str = "院内 / inside";
const DAY_SECONDS: u64 = 86_400;

/// A text in both languages.
type Both<'a> = (&'a str, &'a str);

/// The whole page.
pub fn page(config: &Config, report: &Report, at: OffsetDateTime) -> String {
    let title = ("医療情報セキュリティ開示書", "Security disclosure");
    html! {
        (DOCTYPE)
        html lang="ja" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                title { "Scanpost: " (title.0) " / " (title.1) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Scanpost: " (title.0) " / " span lang="en" { (title.1) } }
                p { (config.site) ", " (at.format(&Rfc3339).unwrap_or_default()) }
                (section(("1. システムの概要", "What the system is"), system()))
                (section(("2. 保有するデータ", "Data it holds"), data(config)))
                (section(("3. 通信", "Ports and connections"), connections(config)))
                (section(("4. 暗号化", "Encryption"), encryption(config)))
                (section(("5. 利用者の認証", "Accounts"), accounts(config)))
                (section(("6. 記録", "Logging"), logging(config)))
                (section(("7. 更新と部品表", "Updates and bill of materials"), updates()))
                (section(("8. バックアップ", "Backup"), backup(config)))
                (section(("9. 責任分界", "Who is responsible for what"), borders()))
                (section(("10. 点検の結果", "Checks of this day"), checks(report)))
            }
        }
    }
    .into_string()
}

/// Writes it for its owner alone: it says what to mend, which is what an attacker looks for.
///
/// # Errors
/// Any I/O error.
pub fn file_away(file: &Path, page: &str) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let mut out = options.write(true).create(true).truncate(true).mode(0o600).open(file)?;
    // One of an earlier day may have been open to others.
    out.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    out.write_all(page.as_bytes())
}

fn section((ja, en): Both, body: Markup) -> Markup {
    html! { h2 { (ja) " / " span lang="en" { (en) } } (body) }
}

fn said((ja, en): Both) -> Markup {
    html! { p { (ja) } p lang="en" { (en) } }
}

fn table(head: &[Both], rows: &[Vec<String>]) -> Markup {
    html! {
        table {
            tr { @for (ja, en) in head { th { (ja) br; span lang="en" { (en) } } } }
            @for row in rows { tr { @for cell in row { td { (cell) } } } }
        }
    }
}

fn system() -> Markup {
    html! {
        (said((
            "院内の機器から DICOM 画像を受け取り、圧縮し、担当医あてに封をしてメールで送り、患者情報を含まない通知を出すプログラムです。医療機器ではありません。",
            "A program inside the hospital: it takes images by DICOM, compresses them, seals them for the doctor on call, submits them by mail and sends a notice without patient data. It is not a medical device.",
        )))
        p { "scanpost-gateway " (env!("CARGO_PKG_VERSION")) }
    }
}

fn data(config: &Config) -> Markup {
    let hours = |hours: u32| format!("{hours} h");
    let rows = [
        vec![
            "画像・検査の束 / images and bundles".into(),
            format!("{}/spool", config.state.display()),
            hours(config.case.expire_hours),
        ],
        vec![
            "送信待ちの検査 / studies that wait for a press".into(),
            format!("{}/spool", config.state.display()),
            hours(config.dicom.hold_hours),
        ],
        vec![
            "患者名・ID（暗号化）/ patients' names and ids, encrypted".into(),
            match &config.journal.postgres_url_file {
                None => format!("{}/journal.sqlite", config.state.display()),
                Some(_) => "PostgreSQL".to_owned(),
            },
            format!("{} d", Duration::from_millis(SUBJECTS_KEPT_MS.unsigned_abs()).as_secs() / DAY_SECONDS),
        ],
        vec![
            "監査証跡 / audit trail".into(),
            format!("{}/audit", config.state.display()),
            "院内規程による / by the hospital's rules".into(),
        ],
    ];
    let head = [("種類", "Kind"), ("場所", "Place"), ("保存期間", "Kept for")];
    html! {
        (table(&head, &rows))
        (said((
            "終了した症例の鍵は破棄され、メールボックスからも削除されます。ログ、通知、ファイル名に患者情報は入りません。",
            "When a case ends its key is destroyed and its mails are deleted. Logs, notices and file names hold no patient data.",
        )))
    }
}

fn connections(config: &Config) -> Markup {
    let mut rows: Vec<Vec<String>> = listeners(config)
        .into_iter()
        .map(|listener| {
            let spoken = match listener.speaks {
                Speaks::Dicom => "DICOM",
                Speaks::DicomTls => "DICOM, TLS",
                Speaks::Http => "HTTP (loopback)",
                Speaks::Https => "HTTPS",
            };
            let at = listener.address.map_or_else(|| listener.key.to_owned(), |address| address.to_string());
            vec!["受信 / in".into(), at, spoken.into()]
        })
        .collect();
    rows.extend(config.servers().map(|(table, server)| {
        vec!["発信 / out".into(), format!("{}:{}", server.host, server.port), format!("{table}, TLS")]
    }));
    rows.extend(config.pacs.iter().filter_map(|(name, pacs)| {
        let (host, port) = pacs.host_and_port()?;
        let spoken = if pacs.tls.is_some() { "DICOM, TLS" } else { "DICOM" };
        Some(vec![INSIDE.into(), format!("{host}:{port}"), format!("pacs.{name}, {spoken}")])
    }));
    rows.extend(config.pacs.iter().filter_map(|(name, pacs)| {
        let service = pacs.dicomweb.as_ref()?;
        let url: hyper::Uri = service.url.parse().ok()?;
        let (secure, host) = (is_secure(&service.url), url.host()?);
        let port = url.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let spoken = if secure { "HTTPS" } else { "HTTP" };
        Some(vec![INSIDE.into(), format!("{host}:{port}"), format!("pacs.{name}.dicomweb, {spoken}")])
    }));
    rows.extend(config.channels.iter().filter_map(|(name, channel)| {
        // A URL may be a secret: its host alone is shown.
        let (host, port) = notifier::host_of(&channel.server_url().ok()??)?;
        Some(vec!["発信 / out".into(), format!("{host}:{port}"), format!("channels.{name}, HTTPS")])
    }));
    rows.extend(
        config.audit.syslog.iter().map(|syslog| {
            vec![INSIDE.into(), format!("{}:{}", syslog.host, syslog.port), "syslog, TLS".into()]
        }),
    );
    // `check` alone asks these two, and the hosts of [check].
    let resolver = config.check.resolver.map_or_else(|| "/etc/resolv.conf".to_owned(), |at| at.to_string());
    rows.push(vec![INSIDE.into(), resolver, "DNS".into()]);
    rows.extend(config.check.time_server.iter().map(|at| vec![INSIDE.into(), at.clone(), "SNTP".into()]));
    rows.extend(
        config
            .check
            .hosts
            .iter()
            .map(|host| vec!["点検 / check".into(), host.clone(), "scanpost-gateway check".into()]),
    );
    let head = [("向き", "Direction"), ("相手・ポート", "Peer, port"), ("方式", "Protocol")];
    html! {
        (table(&head, &rows))
        (said((
            "院外からの接続を必要としません。プログラムはこの表の受信口だけを開き、この表の相手だけに発信します。",
            "It needs no connection from outside. It opens the ports of this table alone, and calls the peers of this table alone.",
        )))
    }
}

fn encryption(config: &Config) -> Markup {
    let at_rest = match config.spool.encryption {
        Encryption::On => ("保存: 症例ごとの鍵で暗号化", "At rest: encrypted, one key for each case"),
        Encryption::Off => ("保存: 暗号化なし (設定による)", "At rest: not encrypted, by configuration"),
    };
    let plain = plain(config);
    html! {
        (said(("通信: TLS 1.3 (例外として設定した相手のみ TLS 1.2 AEAD)", "On the line: TLS 1.3; 1.2 with AEAD only where configured as an exception")))
        @if !plain.is_empty() {
            (said((
                "次の通信は設定により暗号化されません。院内の閉じたネットワークに限ってください:",
                "By configuration these are not encrypted, and belong into a closed network of the hospital:",
            )))
            p { (plain.join(", ")) }
        }
        (said(at_rest))
        (said((
            "監査証跡は患者を名指しするため暗号化していません。必要ならディスク全体を暗号化してください。",
            "The audit trail names patients, as it must, and is not encrypted: who minds encrypts the disk below it.",
        )))
        (said((
            "内容: AES-256-GCM と CMS で担当医の鍵あてに封をし、院の鍵で署名。メールの運営者は読めません。",
            "Contents: sealed by AES-256-GCM and CMS for the doctor's key, signed by the site's. Who runs the mail server cannot read them.",
        )))
    }
}

/// What goes over a network in the clear.
fn plain(config: &Config) -> Vec<String> {
    let listeners = listeners(config).into_iter().filter(|listener| listener.speaks == Speaks::Dicom);
    let pacs = config.pacs.iter().filter(|(_, pacs)| pacs.tls.is_none());
    let services = config
        .pacs
        .iter()
        .filter(|(_, pacs)| pacs.dicomweb.as_ref().is_some_and(|service| !is_secure(&service.url)));
    let listeners = listeners.map(|listener| format!("{} (DICOM)", listener.key));
    let pacs = pacs.map(|(name, _)| format!("pacs.{name} (DICOM)"));
    listeners.chain(pacs).chain(services.map(|(name, _)| format!("pacs.{name}.dicomweb (HTTP)"))).collect()
}

fn is_secure(url: &str) -> bool {
    url.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"))
}

fn accounts(config: &Config) -> Markup {
    let Some(page) = &config.page else {
        return said(("画面なし。利用者の登録もありません。", "No page, and so no accounts."));
    };
    let second = match page.second_factor {
        SecondFactor::Everyone => ("全員に二要素認証", "A second factor for everyone"),
        SecondFactor::Administrators => {
            ("管理者と監査者に二要素認証", "A second factor for administrators and auditors")
        }
    };
    html! {
        (said(("利用者ごとの登録、役割 (技師・管理者・監査者)、パスワード (Argon2)", "One account a person, with a role (technician, administrator, auditor) and a password (Argon2)")))
        (said(second))
    }
}

fn logging(config: &Config) -> Markup {
    let forwarded = match &config.audit.syslog {
        Some(_) => ("TLS の syslog へ転送", "Forwarded to a syslog server over TLS"),
        None => ("この機器だけに保存", "Kept on this machine alone"),
    };
    html! {
        (said((
            "だれがどの検査をどこへ動かしたかを DICOM の監査メッセージとして残し、連鎖と署名で改ざんを検出します。",
            "Who moved which study where is kept as DICOM audit messages, chained and signed, so that any change is found (scanpost-gateway audit verify).",
        )))
        (said(forwarded))
    }
}

fn updates() -> Markup {
    html! {
        (said((
            "Debian パッケージで更新し、更新前の記録は一週間残ります。使用部品の一覧 (CycloneDX 1.5):",
            "Updated by a Debian package; the journal of before is kept for a week. All that it is built of (CycloneDX 1.5):",
        )))
        p { code { (SBOM) } }
    }
}

fn backup(config: &Config) -> Markup {
    html! {
        (said((
            "状態フォルダと鍵は院のバックアップの対象です。暗号鍵は別の場所に置きます。",
            "The state folder and the keys belong into the hospital's backup; the spool's key lies elsewhere than what it opens.",
        )))
        @if let Some(stamp) = &config.check.backup_stamp {
            p { code { (stamp.display()) } ": ≤ " (config.check.backup_hours_max) " h" }
        }
    }
}

fn borders() -> Markup {
    let rows: [[&str; 3]; 7] = [
        [
            "院内ネットワーク、時刻、機器 / network, clock, machine",
            "病院 / hospital",
            "必要条件を文書で示す / states what is needed",
        ],
        [
            "OS の更新 / updates of the system",
            "病院 / hospital",
            "対応する版を示す / names the supported release",
        ],
        [
            "プログラムの更新 / updates of the program",
            "適用する / installs",
            "提供し、脆弱性を知らせる / provides, tells of vulnerabilities",
        ],
        ["利用者と当番の登録 / accounts and rosters", "病院 / hospital", "—"],
        ["鍵と合言葉の保管 / keys and passphrases", "病院 / hospital", "持たない / holds none"],
        [
            "メール・通知の事業者 / mail and notice providers",
            "契約する / contracts",
            "封をしたものだけを渡す / hands over sealed data alone",
        ],
        [
            "送信済みデータの端末 / the doctor's device",
            "病院と医師 / hospital and doctor",
            "削除を求め、証明を残す / asks for deletion, keeps proof",
        ],
    ];
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|&cell| cell.to_owned()).collect()).collect();
    table(&[("対象", "What"), ("病院", "Hospital"), ("製造者", "Maker")], &rows)
}

fn checks(report: &Report) -> Markup {
    html! {
        table {
            tr {
                @for (ja, en) in [("結果", "Result"), ("項目", "Area"), ("対象", "Subject"), ("所見", "Found"), ("対処", "Mend")] {
                    th { (ja) br; span lang="en" { (en) } }
                }
            }
            @for check in &report.checks {
                @let (class, word) = match check.verdict {
                    Verdict::Pass => ("pass", "適合 / pass"),
                    Verdict::Fail => ("fail", "不適合 / fail"),
                    Verdict::NotChecked => ("not", "未点検 / not checked"),
                };
                tr class=(class) {
                    td { (word) } td { (check.area) } td { (check.subject) } td { (check.found) }
                    td { (check.mend.as_deref().unwrap_or_default()) }
                }
            }
        }
    }
}
