//! Tests with synthetic cases: begun when they are due, sent the way of any other study, said aloud when they do not come back, and closed by themselves.

use super::Pipeline;
use super::press::How;
use super::trouble::Trouble;
use crate::clock::now_ms;
use crate::config::Duty;
use crate::duty::{SLICES, due, note, phantom};
use crate::journal::{
    DeliveryReport, DeliveryRow, DutyTest, Ended, Press, PressAnswer, PressedStudy, State, TEST_AE_TITLE,
    TestKind,
};
use crate::receive::{AeTitle, AssociationInfo, Folder, Intake, SUCCESS, Storing};
use crate::roster::{DUTY_DAYS_MAX, Standby};
use ::seal::ids::CaseId;
use compressor::Uid;
use dimse::uid::IMPLICIT_LITTLE;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// Least pause between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest pause: where nothing changes, and after an error.
const LOOK: Duration = Duration::from_secs(30);
/// Who presses and closes, in the audit trail.
const BY: &str = "duty";
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// A test that a doctor has opened stays so long: whoever looks at it must not lose it from the screen.
const OPENED_FOR_MS: i64 = 2 * 60 * 1000;
/// One that nobody opens, or that was answered in words, stays so long, unless another one of the same doctor takes its place.
const UNOPENED_FOR_MS: i64 = DAY_MS;

/// What is to be done about a test that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Its study is to be made and sent.
    Begin,
    /// It came back: it is to be closed, with the times of its stages.
    Close,
    /// It serves no purpose any more.
    Withdraw,
    /// Nothing before then, milliseconds since 1970-01-01 UTC.
    Wait(i64),
}

impl Pipeline {
    /// Keeps the tests of `[duty]`, for ever. `changes` is marked after each change of the journal.
    pub async fn keep_duty(self: Arc<Self>, mut changes: watch::Receiver<()>) {
        loop {
            changes.mark_unchanged();
            let wait = match self.look_after_duty().await {
                Ok(at_ms) => Duration::from_millis((at_ms - now_ms()).max(0).unsigned_abs()).min(LOOK),
                Err(trouble) => {
                    tracing::warn!(trouble = trouble.text, "tests are looked after again");
                    LOOK
                }
            };
            tokio::time::sleep(PAUSE).await;
            let _ = tokio::time::timeout(wait, changes.changed()).await;
        }
    }

    /// Gives when to look again. Without `[duty]` nothing begins, and what had begun is brought to its end.
    async fn look_after_duty(self: &Arc<Self>) -> Result<i64, Trouble> {
        let now_ms = now_ms();
        let since_ms = now_ms - i64::from(DUTY_DAYS_MAX + 1) * DAY_MS;
        let tests = self.journal.duty_tests(since_ms).await?;
        if let Some(settings) = &self.config.duty {
            self.begin_due(settings, &tests, now_ms).await?;
        }
        let mut next_ms = now_ms + i64::try_from(LOOK.as_millis()).unwrap_or(i64::MAX);
        let tests = self.journal.duty_tests(since_ms).await?;
        for test in tests.iter().filter(|test| test.ended_at_ms.is_none()) {
            match self.step_of_test(test, &tests, now_ms).await {
                Ok(at_ms) => next_ms = next_ms.min(at_ms),
                Err(trouble) => tracing::warn!(
                    test = test.id,
                    doctor = test.doctor,
                    trouble = trouble.text,
                    "a test does not get on and is tried again"
                ),
            }
        }
        Ok(next_ms)
    }

    async fn begin_due(&self, settings: &Duty, tests: &[DutyTest], now_ms: i64) -> Result<(), Trouble> {
        let (roster, _) = self.journal.roster().await?;
        let can_answer = |doctor: &str| self.config.is_doctor(doctor) && self.config.sends_receipts(doctor);
        let now = Timestamp::from_millisecond(now_ms).map_err(Trouble::ours)?;
        for due in due(settings, &roster, tests, can_answer, now, &self.config.zone()) {
            if self.journal.begin_duty_test(due.kind, &due.doctor, &due.occasion, now_ms).await? {
                tracing::info!(doctor = due.doctor, occasion = due.occasion, kind = ?due.kind, "a test begins");
            }
        }
        Ok(())
    }

    /// Gives when to look at it again.
    async fn step_of_test(
        self: &Arc<Self>,
        test: &DutyTest,
        tests: &[DutyTest],
        now_ms: i64,
    ) -> Result<i64, Trouble> {
        let late_at_ms = self.say_if_late(test, now_ms).await?;
        let report = match test.delivery {
            Some(delivery) => self.journal.report_of(delivery).await?,
            None => None,
        };
        let came = report.as_ref().map(Came::of).unwrap_or_default();
        match step(test, came, tests, now_ms) {
            Step::Begin => self.begin_test(test).await?,
            Step::Close | Step::Withdraw => self.end_test(test, report.as_ref()).await?,
            Step::Wait(at_ms) => return Ok(late_at_ms.map_or(at_ms, |late_at_ms| late_at_ms.min(at_ms))),
        }
        Ok(now_ms)
    }

    /// Says once that a test was not answered in time; gives when that will be so.
    async fn say_if_late(&self, test: &DutyTest, now_ms: i64) -> Result<Option<i64>, Trouble> {
        let Some(settings) = &self.config.duty else { return Ok(None) };
        let (is_answered, within_ms) = match test.kind {
            TestKind::Daily => (test.returned_at_ms.is_some(), settings.within_ms()),
            TestKind::Readiness => (test.answered_at_ms.is_some(), settings.answer_within_ms()),
        };
        if is_answered || test.late_at_ms.is_some() {
            return Ok(None);
        }
        let at_ms = test.began_at_ms.saturating_add(within_ms);
        if at_ms > now_ms {
            return Ok(Some(at_ms));
        }
        if self.journal.duty_test_is_late(test, now_ms).await? {
            let doctor = &test.doctor;
            match test.kind {
                TestKind::Daily => tracing::error!(
                    doctor,
                    "the daily test has not come back in time (operator: see Figures on the page, and the trouble of its delivery)"
                ),
                TestKind::Readiness => tracing::warn!(
                    doctor,
                    "a doctor on duty has not opened the test notice: the page says not reachable (technician: telephone)"
                ),
            }
        }
        Ok(None)
    }

    /// Makes the study, stores it as the listener would, and presses. Done again after a crash it finds what is there.
    async fn begin_test(self: &Arc<Self>, test: &DutyTest) -> Result<(), Trouble> {
        let doctor = &test.doctor;
        let language = self.config.doctors.get(doctor).map(|doctor| doctor.language);
        let language = language.ok_or_else(|| Trouble::doctor_not_configured(doctor))?;
        let case = match self.journal.open_case(TEST_AE_TITLE, &test.study).await? {
            Some(case) if self.holds_all(case).await? => case,
            _ => {
                self.store_phantom(test).await?;
                let case = self.journal.open_case(TEST_AE_TITLE, &test.study).await?;
                case.ok_or_else(|| Trouble::ours("the study of a test was stored and is not here"))?
            }
        };
        let press = Press {
            study: PressedStudy::Case(case),
            doctors: vec![doctor.clone()],
            standby: Standby::default(),
            urgent: false,
            note: note(language),
            by: BY.to_owned(),
            at_ms: now_ms(),
        };
        let (answer, _) = self.press(&press).await.map_err(Trouble::ours)?;
        let delivery = match answer {
            PressAnswer::Begun(delivery) | PressAnswer::Already { delivery, .. } => delivery,
            PressAnswer::NotHere => return Err(Trouble::ours("the study of a test is not here")),
        };
        Ok(self.journal.duty_test_is(test.id, delivery).await?)
    }

    async fn holds_all(&self, case: CaseId) -> Result<bool, Trouble> {
        Ok(self.journal.held(case).await?.len() >= usize::try_from(SLICES).unwrap_or(usize::MAX))
    }

    async fn store_phantom(self: &Arc<Self>, test: &DutyTest) -> Result<(), Trouble> {
        let began = Timestamp::from_millisecond(test.began_at_ms).map_err(Trouble::ours)?;
        let slices = phantom(&test.study, began.to_zoned(self.config.zone()).datetime());
        let (collector, folder, runtime) = (self.collector.clone(), self.spool.receive(), Handle::current());
        let stored = tokio::task::spawn_blocking(move || {
            let disk = Folder::open(folder, |_| false).ok()?;
            let own = AeTitle::parse(TEST_AE_TITLE).ok()?;
            let syntax = Uid::parse(IMPLICIT_LITTLE).ok()?;
            let info = AssociationInfo::new(own.clone(), own);
            let mut storing = Storing::new(collector.clone(), Arc::new(disk), info.clone(), runtime);
            let mut store = |slice: crate::duty::Slice| {
                let mut object = storing.begin(slice.sop_class, slice.sop_instance, syntax.clone()).ok()?;
                storing.write(&mut object, &slice.data_set).ok()?;
                (storing.keep(object) == SUCCESS).then_some(())
            };
            let stored = slices.into_iter().try_for_each(&mut store);
            collector.association_ended(info.id);
            stored
        });
        stored.await?.ok_or_else(Trouble::test_not_stored)
    }

    /// Whether all images of a test's study are here, which the gateway has made itself: no PACS is to be asked.
    pub(super) fn missing_of_test(delivery: &DeliveryRow, here: u32) -> Option<u32> {
        (delivery.destination == TEST_AE_TITLE).then(|| SLICES.saturating_sub(here))
    }

    /// First the case, then the row: after a crash between both, the case has ended already.
    async fn end_test(&self, test: &DutyTest, report: Option<&DeliveryReport>) -> Result<(), Trouble> {
        let case = match report {
            Some(report) => Some(report.case),
            None => self.journal.open_case(TEST_AE_TITLE, &test.study).await?,
        };
        // Read before: a closed one tells the same, and it is read once.
        let seconds = report.filter(|_| test.returned_at_ms.is_some()).map(|report| {
            let mut seconds = report.seconds.clone();
            if let Some(returned_at_ms) = test.returned_at_ms {
                let total = Duration::from_millis((returned_at_ms - test.began_at_ms).max(0).unsigned_abs());
                seconds.insert("total".to_owned(), total.as_secs_f64());
            }
            seconds
        });
        if let Some(case) = case {
            let is_closed = test.returned_at_ms.is_some() && self.end(case, Ended::Closed, Some(BY)).await?;
            if !is_closed {
                self.withdraw_as(case, How::Wish { hold: None, by: BY }).await?;
            }
        }
        Ok(self.journal.end_duty_test(test.id, seconds.as_ref(), now_ms()).await?)
    }
}

/// What came back of a test.
#[derive(Clone, Copy, Default)]
struct Came {
    /// All of it is with the doctor.
    is_whole: bool,
    /// The doctor has said something, which stands on the page as long as the case lives.
    has_answers: bool,
}

impl Came {
    fn of(report: &DeliveryReport) -> Self {
        Self {
            is_whole: report.state == State::Pulled.word(),
            has_answers: report.doctors.iter().any(|doctor| !doctor.answers.is_empty()),
        }
    }
}

/// Decides. `tests`: this one and later ones.
fn step(test: &DutyTest, came: Came, tests: &[DutyTest], now_ms: i64) -> Step {
    let takes_its_place =
        |other: &DutyTest| other.id > test.id && other.kind == test.kind && other.doctor == test.doctor;
    if let Some(returned_at_ms) = test.returned_at_ms {
        // The daily one goes to a machine, which needs no time to look.
        let is_seen = test.kind == TestKind::Daily && came.is_whole && !came.has_answers;
        let at_ms = match came.has_answers {
            true => test.began_at_ms.saturating_add(UNOPENED_FOR_MS),
            false => returned_at_ms.saturating_add(OPENED_FOR_MS),
        };
        return if is_seen || at_ms <= now_ms { Step::Close } else { Step::Wait(at_ms) };
    }
    let is_answered = test.kind == TestKind::Readiness && test.answered_at_ms.is_some();
    let at_ms = test.began_at_ms.saturating_add(UNOPENED_FOR_MS);
    if is_answered || at_ms <= now_ms || tests.iter().any(takes_its_place) {
        return Step::Withdraw;
    }
    if test.delivery.is_none() { Step::Begin } else { Step::Wait(at_ms) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::seal::ids::DeliveryId;

    const NOW_MS: i64 = 100 * DAY_MS;

    fn test(id: i64, kind: TestKind) -> Option<DutyTest> {
        Some(DutyTest {
            id,
            kind,
            doctor: "tanaka".into(),
            occasion: id.to_string(),
            study: Uid::parse("2.25.1").ok()?,
            began_at_ms: NOW_MS,
            delivery: Some(DeliveryId([1; 16])),
            returned_at_ms: None,
            answered_at_ms: None,
            late_at_ms: None,
            seconds: None,
            ended_at_ms: None,
        })
    }

    #[test]
    fn a_test_is_begun_once_and_closed_by_itself() -> Result<(), &'static str> {
        let test = test(1, TestKind::Readiness).ok_or("uid")?;
        let step_of = |test: &DutyTest, came, now_ms| step(test, came, std::slice::from_ref(test), now_ms);
        let step = |test: &DutyTest, now_ms| step_of(test, Came::default(), now_ms);
        assert_eq!(step(&DutyTest { delivery: None, ..test.clone() }, NOW_MS), Step::Begin);
        assert_eq!(step(&test, NOW_MS), Step::Wait(NOW_MS + UNOPENED_FOR_MS));
        assert_eq!(step(&test, NOW_MS + UNOPENED_FOR_MS), Step::Withdraw);
        let opened = DutyTest { returned_at_ms: Some(NOW_MS), answered_at_ms: Some(NOW_MS), ..test.clone() };
        assert_eq!(step(&opened, NOW_MS), Step::Wait(NOW_MS + OPENED_FOR_MS), "the doctor looks at it");
        assert_eq!(step(&opened, NOW_MS + OPENED_FOR_MS), Step::Close);
        let said = Came { is_whole: true, has_answers: true };
        let kept = step_of(&opened, said, NOW_MS + OPENED_FOR_MS);
        assert_eq!(kept, Step::Wait(NOW_MS + UNOPENED_FOR_MS), "the words are to be read");
        let daily = DutyTest { kind: TestKind::Daily, ..opened.clone() };
        assert_eq!(step_of(&daily, Came { is_whole: true, ..Came::default() }, NOW_MS), Step::Close);
        let elsewhere = DutyTest { answered_at_ms: Some(NOW_MS), ..test };
        assert_eq!(step(&elsewhere, NOW_MS), Step::Withdraw, "the phone is reached: nobody need open it");
        Ok(())
    }

    #[test]
    fn the_next_test_of_the_same_doctor_takes_its_place() -> Result<(), &'static str> {
        let first = test(1, TestKind::Readiness).ok_or("uid")?;
        let second = test(2, TestKind::Readiness).ok_or("uid")?;
        let daily = DutyTest { id: 3, kind: TestKind::Daily, ..first.clone() };
        let open = [first.clone(), second.clone(), daily.clone()];
        assert_eq!(step(&first, Came::default(), &open, NOW_MS), Step::Withdraw);
        assert!(matches!(step(&second, Came::default(), &open, NOW_MS), Step::Wait(_)));
        let elsewhere = DutyTest { answered_at_ms: Some(NOW_MS), ..daily };
        assert!(
            matches!(step(&elsewhere, Came::default(), &open, NOW_MS), Step::Wait(_)),
            "the daily one must come back itself"
        );
        Ok(())
    }
}
