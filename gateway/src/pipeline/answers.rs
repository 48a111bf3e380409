//! What a doctor says back: seen, call me back, a few words; and how long the case was on the screen. Its signature was proved before.

use super::Pipeline;
use super::trouble::Trouble;
use crate::clock::now_ms;
use crate::journal::{AnswerKind, Came, Noted};
use crate::pulled::record::Record;
use ::seal::answer::{Answer, Words};
use ::seal::ids::Digest;
use ::seal::receipt::Receipt;
use compressor::{Phi, Purpose};
use unicode_normalization::UnicodeNormalization;

impl Pipeline {
    /// Takes an answer once: the same one read again, or sent again, says nothing new. One that cannot be opened is told all the same: the
    /// doctor wants something.
    pub(super) async fn take_answer(&self, record: &Record, doctor: &str) -> Result<(), Trouble> {
        let Some(receipt) = record.receipt().filter(|receipt| receipt.sealed.is_some()) else {
            return Ok(());
        };
        let delivery = receipt.delivery;
        let digest = Digest::of(receipt.sealed.as_ref().map_or(&[][..], |sealed| &sealed.0[..]));
        match self.journal.is_new_answer(delivery, doctor, &digest).await? {
            Noted::New => {}
            Noted::Known => return Ok(()),
            Noted::TooMany => {
                tracing::warn!(stage = "pulled", %delivery, doctor, "more answers came than are kept: call the doctor");
                return Ok(());
            }
        }
        let came = self.opened(&receipt).await?;
        self.audit_answered(delivery, doctor, came.kind()).await?;
        if self.journal.answered(delivery, doctor, &digest, &came, now_ms()).await? {
            tracing::info!(stage = "pulled", %delivery, doctor, answer = came.kind().word(), "a doctor answered");
        }
        Ok(())
    }

    async fn opened(&self, receipt: &Receipt) -> Result<Came, Trouble> {
        let Some(key) = self.journal.answer_key(receipt.delivery).await? else { return Ok(Came::Closed) };
        Ok(key.open(receipt).ok().and_then(composed).map_or(Came::Unreadable, Came::Answer))
    }

    /// Takes a reading once.
    pub(super) async fn take_reading(&self, record: &Record, doctor: &str) -> Result<(), Trouble> {
        let (delivery, ended_at, seconds) = (record.delivery, record.at, record.count);
        if self.journal.is_new_reading(delivery, doctor, ended_at, seconds).await? == Noted::New {
            self.audit_read(delivery, doctor, ended_at, seconds).await?;
            self.journal.was_read(delivery, doctor, ended_at, seconds).await?;
        }
        Ok(())
    }
}

/// In Unicode's composed form (UAX 15, NFC), so that equal words are equal; none where that makes them too long.
fn composed(answer: Answer) -> Option<Answer> {
    match answer {
        Answer::CallBack => Some(Answer::CallBack),
        Answer::Words(words) => {
            let text = words.expose_for(Purpose::Keep).nfc().collect();
            Words::new(Phi::new(text)).map(Answer::Words)
        }
    }
}

impl AnswerKind {
    /// What the audit trail says of it; never the words.
    pub(super) fn told(self) -> &'static str {
        match self {
            Self::CallBack => "asks to be called back",
            Self::Words => "answered in words",
            Self::Unreadable => "sent an answer that is no plain text",
            Self::Closed => "answered after the case was over",
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn words_become_composed() {
        let decomposed = Words::new(Phi::new("か\u{3099}ん e\u{301}".to_owned())).unwrap();
        let Some(Answer::Words(words)) = composed(Answer::Words(decomposed)) else { unreachable!() };
        assert_eq!(words.expose_for(Purpose::Compare), "がん é");
    }
}
