//! The list as everybody sees it: made once after each change, in both languages, for all screens.

use super::limits::{LIVE_PAUSE, ROWS_MAX};
use super::site::Site;
use super::words::Language;
use super::{Refused, Shared, row, stage};
use crate::clock::now_ms;
use crate::journal::{PressedStudy, Study, StudyFilter, WaitingPress};
use maud::Markup;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Looks without a change: times that turn with the day.
const LOOK: Duration = Duration::from_secs(30);

/// One row in both languages.
pub(super) struct Row {
    /// In the list: that of the case, or of a press that waits.
    pub(super) id: String,
    /// Over both texts: a row that is equal need not be sent again.
    pub(super) digest: [u8; 8],
    pub(super) can_be_sent: bool,
    ja: String,
    en: String,
}

impl Row {
    pub(super) fn html(&self, language: Language) -> &str {
        match language {
            Language::Ja => &self.ja,
            Language::En => &self.en,
        }
    }
}

/// Rows, the newest first.
pub(super) type Rows = Arc<Vec<Row>>;

/// What every screen shows.
#[derive(Clone, Default)]
pub(super) struct Board {
    pub(super) rows: Rows,
    /// A case that nobody has opened rings, whether it is among the rows or not.
    pub(super) rings: bool,
    /// Doctors who are not reachable, and since when, milliseconds since 1970-01-01 UTC.
    pub(super) not_reachable: Arc<BTreeMap<String, i64>>,
}

/// Makes the board after each change, for ever.
pub(super) async fn keep(page: Shared, mut changes: watch::Receiver<()>, board: watch::Sender<Board>) {
    loop {
        changes.mark_unchanged();
        match newest(&page).await {
            Ok(newest) => drop(board.send_replace(newest)),
            Err(_) => tokio::time::sleep(LOOK).await,
        }
        tokio::time::sleep(LIVE_PAUSE).await;
        let _ = tokio::time::timeout(LOOK, changes.changed()).await;
    }
}

async fn newest(page: &Shared) -> Result<Board, Refused> {
    let filter = StudyFilter { after: None, limit: ROWS_MAX };
    let studies = page.journal.studies(&filter).await?;
    let waiting = page.journal.waiting_presses().await?;
    let site = page.site(now_ms());
    let to_fetch = waiting.iter().filter_map(|press| row_of_press(press, &site));
    let rows = to_fetch.chain(studies.iter().map(|study| row_of(study, &waiting, &site))).collect();
    let not_reachable = Arc::new(page.not_reachable().await?);
    Ok(Board { rows: Arc::new(rows), rings: page.journal.ringing().await? > 0, not_reachable })
}

fn row_of_press(press: &WaitingPress, site: &Site) -> Option<Row> {
    let PressedStudy::AtPacs { pacs, .. } = &press.study else { return None };
    let html = |language: Language| row::waiting_row(press, pacs, site, language.words());
    Some(new_row(format!("press-{}", press.id), false, html))
}

/// The rows of these studies.
pub(super) async fn rows(page: &Shared, studies: &[Study]) -> Result<Vec<Row>, Refused> {
    let waiting = page.journal.waiting_presses().await?;
    let site = page.site(now_ms());
    Ok(studies.iter().map(|study| row_of(study, &waiting, &site)).collect())
}

fn row_of(study: &Study, waiting: &[WaitingPress], site: &Site) -> Row {
    let case = study.delivery.case;
    let press = waiting.iter().find(|press| press.study == PressedStudy::Case(case));
    let html = |language: Language| {
        let words = language.words();
        row::row(study, &stage::of(study, press, site, words), site, words)
    };
    new_row(case.to_string(), study.delivery.state == "held" && press.is_none(), html)
}

fn new_row(id: String, can_be_sent: bool, html: impl Fn(Language) -> Markup) -> Row {
    let (ja, en) = (html(Language::Ja).into_string(), html(Language::En).into_string());
    let digest = Sha256::new().chain_update(&ja).chain_update(&en).finalize();
    let digest = digest.first_chunk().copied().unwrap_or_default();
    Row { id, digest, can_be_sent, ja, en }
}
