//! Whose certificates are taken from files: the chain to the hospital's CA or another one, and its revocation lists (RFC 5280 6).

use crate::config::{self, ConfigError};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, TrustAnchor, UnixTime};
use seal::native::Certificate;
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;
use webpki::{
    ALL_VERIFICATION_ALGS, CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage,
    OwnedCertRevocationList, RevocationCheckDepth, RevocationOptionsBuilder, UnknownStatusPolicy,
    anchor_from_trusted_cert,
};

/// `id-kp-emailProtection`, 1.3.6.1.5.5.7.3.4 (RFC 5280 4.2.1.12): asked for where a certificate says what it is for.
const EMAIL_PROTECTION: &[u8] = &[0x2B, 6, 1, 5, 5, 7, 3, 4];

/// `[directory]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Directory {
    /// PEM with every authority that issues doctors' certificates; where absent, a certificate is trusted because somebody put it there.
    pub ca: Option<PathBuf>,
    /// PEM with their revocation lists; revocation is not looked at where absent.
    pub crl: Option<PathBuf>,
    /// What a device that enrolled itself needs before anything is sealed for it.
    pub enrolled: Vouched,
}

/// `[directory] enrolled`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Vouched {
    /// That its fingerprint was compared.
    #[default]
    Compared,
    /// And that an authority of `ca` certified its identity.
    Certified,
}

impl Directory {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.enrolled == Vouched::Certified && self.ca.is_none() {
            let reason = "\"certified\" needs ca: the authority that certifies";
            return Err(ConfigError::Value { key: "directory.enrolled".into(), reason });
        }
        Ok(())
    }
}

/// What [`Directory`] names, read.
pub struct Authorities {
    pub(super) enrolled: Vouched,
    anchors: Vec<TrustAnchor<'static>>,
    lists: Vec<CertRevocationList<'static>>,
}

impl Authorities {
    /// Reads the files anew, so that a new revocation list counts from the next delivery on. None where no authority is named.
    ///
    /// # Errors
    /// [`ConfigError::Value`] for a file that holds no such thing, [`ConfigError::Read`].
    pub fn read(directory: &Directory) -> Result<Option<Self>, ConfigError> {
        let Some(ca) = &directory.ca else { return Ok(None) };
        let wrong = |key: &'static str, reason| move || ConfigError::Value { key: key.into(), reason };
        let bad_ca = wrong("directory.ca", "not a PEM file with certificates of authorities");
        let bad_crl = wrong("directory.crl", "not a PEM file with revocation lists");
        let anchors: Option<Vec<_>> = CertificateDer::pem_slice_iter(config::read(ca)?.as_bytes())
            .map(|authority| Some(anchor_from_trusted_cert(&authority.ok()?).ok()?.to_owned()))
            .collect();
        let lists: Option<Vec<_>> = match &directory.crl {
            None => Some(Vec::new()),
            Some(crl) => CertificateRevocationListDer::pem_slice_iter(config::read(crl)?.as_bytes())
                .map(|list| {
                    Some(CertRevocationList::from(OwnedCertRevocationList::from_der(&list.ok()?).ok()?))
                })
                .collect(),
        };
        let anchors = anchors.filter(|anchors| !anchors.is_empty()).ok_or_else(bad_ca)?;
        let lists = lists.filter(|lists| !lists.is_empty() || directory.crl.is_none()).ok_or_else(bad_crl)?;
        Ok(Some(Self { enrolled: directory.enrolled, anchors, lists }))
    }

    /// Whether one of the authorities issued the certificate and has not revoked it; `now` in seconds since 1970-01-01 UTC.
    pub fn vouch_for(&self, certificate: &Certificate, now: i64) -> bool {
        let der = CertificateDer::from(certificate.der());
        let Ok(leaf) = EndEntityCert::try_from(&der) else { return false };
        let lists: Vec<&CertRevocationList<'_>> = self.lists.iter().collect();
        let revocation = RevocationOptionsBuilder::new(&lists).ok().map(|options| {
            options
                .with_depth(RevocationCheckDepth::EndEntity)
                .with_status_policy(UnknownStatusPolicy::Deny)
                .with_expiration_policy(ExpirationPolicy::Enforce)
                .build()
        });
        let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now).unwrap_or(0)));
        let usage = KeyUsage::required_if_present(EMAIL_PROTECTION);
        leaf.verify_for_usage(ALL_VERIFICATION_ALGS, &self.anchors, &[], now, usage, revocation, None).is_ok()
    }
}
