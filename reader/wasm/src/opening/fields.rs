//! The fields of a question: read one by one, since a deserializer for each question would be half of the module.

use super::Refused;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use seal::certificate::Certificate;
use seal::ids::{DeliveryId, Digest, InvitationId};
use serde_json::{Map, Value};

/// Of one question. What is not there, or of another kind, is a mistake of the page.
pub(super) struct Fields(pub(super) Map<String, Value>);

impl Fields {
    pub(super) fn text(&self, name: &str) -> Result<&str, Refused> {
        self.0.get(name).and_then(Value::as_str).ok_or_else(Refused::question)
    }

    pub(super) fn number(&self, name: &str) -> Result<i64, Refused> {
        self.0.get(name).and_then(Value::as_i64).ok_or_else(Refused::question)
    }

    pub(super) fn count(&self, name: &str) -> Result<u32, Refused> {
        u32::try_from(self.number(name)?).map_err(|_| Refused::question())
    }

    pub(super) fn bytes(&self, name: &str) -> Result<Vec<u8>, Refused> {
        decoded(self.text(name)?)
    }

    pub(super) fn fixed<const N: usize>(&self, name: &str) -> Result<[u8; N], Refused> {
        self.bytes(name)?.try_into().map_err(|_| Refused::question())
    }

    pub(super) fn certificate(&self, name: &str) -> Result<Certificate, Refused> {
        certificate(&self.bytes(name)?)
    }

    pub(super) fn certificates(&self, name: &str) -> Result<Vec<Certificate>, Refused> {
        let list = self.0.get(name).and_then(Value::as_array).ok_or_else(Refused::question)?;
        list.iter().map(|one| certificate(&decoded(one.as_str().unwrap_or_default())?)).collect()
    }

    pub(super) fn digest(&self, name: &str) -> Result<Digest, Refused> {
        Digest::parse(self.text(name)?).ok_or_else(Refused::question)
    }

    pub(super) fn delivery(&self) -> Result<DeliveryId, Refused> {
        DeliveryId::parse(self.text("delivery")?).ok_or_else(Refused::question)
    }

    pub(super) fn invitation(&self) -> Result<InvitationId, Refused> {
        InvitationId::parse(self.text("invitation")?).ok_or_else(Refused::question)
    }

    pub(super) fn fields(&self, name: &str) -> Result<Self, Refused> {
        self.0.get(name).and_then(Value::as_object).cloned().map(Self).ok_or_else(Refused::question)
    }
}

/// An answer that grows field by field.
#[derive(Default)]
pub(super) struct Answer(Map<String, Value>);

impl Answer {
    pub(super) fn bytes(self, name: &str, bytes: &[u8]) -> Self {
        self.text(name, STANDARD.encode(bytes))
    }

    pub(super) fn text(self, name: &str, text: impl Into<String>) -> Self {
        self.value(name, Value::String(text.into()))
    }

    pub(super) fn number(self, name: &str, number: i64) -> Self {
        self.value(name, Value::from(number))
    }

    pub(super) fn value(mut self, name: &str, value: Value) -> Self {
        self.0.insert(name.to_owned(), value);
        self
    }

    pub(super) fn into_value(self) -> Value {
        Value::Object(self.0)
    }
}

fn decoded(text: &str) -> Result<Vec<u8>, Refused> {
    STANDARD.decode(text).map_err(|_| Refused::question())
}

fn certificate(der: &[u8]) -> Result<Certificate, Refused> {
    Certificate::from_der(der).map_err(|_| Refused::damaged("a certificate is malformed"))
}
