//! The fields of a question: read one by one, since a deserializer for each question would be half of the module.

use super::Refused;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use compressor::json::{Json, object, once};
use seal::certificate::Certificate;
use seal::ids::DeliveryId;
#[cfg(feature = "device")]
use seal::ids::{Digest, InvitationId};

/// Of one question. What is not there, or of another kind, is a mistake of the page.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(Vec<(String, Field)>);

#[derive(Clone, Debug)]
enum Field {
    Text(String),
    Number(i64),
    #[cfg_attr(not(feature = "parser"), allow(dead_code))]
    Texts(Vec<String>),
    #[cfg(feature = "device")]
    Fields(Fields),
}

impl Fields {
    /// Name and fields of a question.
    pub(crate) fn of_question(question: &[u8]) -> Option<(String, Self)> {
        let mut asked = None;
        object(question, &mut |name, json| {
            once(&mut asked, Self::read(json).map(|fields| (name.to_owned(), fields)))
        })?;
        asked
    }

    fn read(json: &mut Json<'_>) -> Option<Self> {
        let mut fields = Self::default();
        json.object(&mut |name, json| {
            let field = match json.first_sign()? {
                b'"' => Field::Text(json.text()?),
                b'[' => Field::Texts(json.list(Json::text)?),
                #[cfg(feature = "device")]
                b'{' => Field::Fields(Self::read(json)?),
                _ => Field::Number(json.number()?),
            };
            fields.0.push((name.to_owned(), field));
            Some(())
        })?;
        Some(fields)
    }

    fn field(&self, name: &str) -> Result<&Field, Refused> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, field)| field).ok_or_else(Refused::question)
    }

    pub(crate) fn text(&self, name: &str) -> Result<&str, Refused> {
        if let Field::Text(text) = self.field(name)? { Ok(text) } else { Err(Refused::question()) }
    }

    pub(crate) fn number(&self, name: &str) -> Result<i64, Refused> {
        if let Field::Number(number) = self.field(name)? { Ok(*number) } else { Err(Refused::question()) }
    }

    pub(crate) fn count(&self, name: &str) -> Result<u32, Refused> {
        u32::try_from(self.number(name)?).map_err(|_| Refused::question())
    }

    pub(crate) fn bytes(&self, name: &str) -> Result<Vec<u8>, Refused> {
        decoded(self.text(name)?)
    }

    #[cfg(feature = "device")]
    pub(crate) fn fixed<const N: usize>(&self, name: &str) -> Result<[u8; N], Refused> {
        self.bytes(name)?.try_into().map_err(|_| Refused::question())
    }

    pub(crate) fn certificate(&self, name: &str) -> Result<Certificate, Refused> {
        certificate(&self.bytes(name)?)
    }

    #[cfg(feature = "parser")]
    pub(crate) fn certificates(&self, name: &str) -> Result<Vec<Certificate>, Refused> {
        let Field::Texts(list) = self.field(name)? else { return Err(Refused::question()) };
        list.iter().map(|one| certificate(&decoded(one)?)).collect()
    }

    #[cfg(feature = "device")]
    pub(crate) fn digest(&self, name: &str) -> Result<Digest, Refused> {
        Digest::parse(self.text(name)?).ok_or_else(Refused::question)
    }

    pub(crate) fn delivery(&self) -> Result<DeliveryId, Refused> {
        DeliveryId::parse(self.text("delivery")?).ok_or_else(Refused::question)
    }

    #[cfg(feature = "device")]
    pub(crate) fn invitation(&self) -> Result<InvitationId, Refused> {
        InvitationId::parse(self.text("invitation")?).ok_or_else(Refused::question)
    }

    #[cfg(feature = "device")]
    pub(crate) fn fields(&self, name: &str) -> Result<Self, Refused> {
        if let Field::Fields(fields) = self.field(name)? {
            Ok(fields.clone())
        } else {
            Err(Refused::question())
        }
    }
}

fn decoded(text: &str) -> Result<Vec<u8>, Refused> {
    STANDARD.decode(text).map_err(|_| Refused::question())
}

fn certificate(der: &[u8]) -> Result<Certificate, Refused> {
    Certificate::from_der(der).map_err(|_| Refused::damaged("a certificate is malformed"))
}
