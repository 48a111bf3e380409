//! A link for somebody outside who has no device of ours: a private key sealed under a passphrase, and the terms on which the portal gives
//! it out (SPEC 10).

use crate::certificate::Certificate;
use crate::error::Refusal;
use crate::ids::{CaseId, Digest, LinkId};
use crate::statement::{after_start, field, with_fields};
use zeroize::Zeroizing;

const START: [u8; 5] = *b"SCPL\x01";
/// What the site's signature is for.
pub const PURPOSE: &str = "scanpost link";
/// Salt of HKDF for what comes from the passphrase.
pub const HKDF_SALT: &[u8] = b"scanpost link\x01";
/// Bytes of the salt of Argon2id.
pub const SALT_BYTES: usize = 16;
/// Memory of Argon2id: a phone's whole page stays under 256 MiB.
pub const MEMORY_KIB_MAX: u32 = 64 << 10;
/// Memory of Argon2id at least (RFC 9106 3.1 asks for 8 a lane).
pub const MEMORY_KIB_MIN: u32 = 8 << 10;
/// Passes of Argon2id: more would make a phone wait for many seconds.
pub const ITERATIONS_MAX: u32 = 16;
/// Lanes of Argon2id.
pub const LANES_MAX: u8 = 4;
/// A link message, before base64: two certificates and a key.
pub const LINK_BYTES_MAX: usize = 8 << 10;

const WHAT: &str = "the link";

/// What turns the passphrase into a key: Argon2id, version 0x13 (RFC 9106).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argon2Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes.
    pub iterations: u32,
    /// Lanes.
    pub lanes: u8,
}

/// All of a link but the sealed key, which is bound to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The link.
    pub link: LinkId,
    /// The one case that it opens.
    pub case: CaseId,
    /// Until when, seconds since 1970-01-01 UTC.
    pub expires: i64,
    /// How often it may be opened.
    pub uses: u16,
    /// How many wrong passphrases end it.
    pub tries: u16,
    /// How dear one try is.
    pub cost: Argon2Cost,
    /// Salt of Argon2id.
    pub salt: [u8; SALT_BYTES],
    /// SHA-256 of the proof that the browser derives from the passphrase.
    pub proof: Digest,
    /// Certificate that the covers are sealed for, P-256.
    pub certificate: Certificate,
}

/// A link as the site signs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its terms.
    pub terms: Terms,
    /// Nonce of 12 bytes, then [`Secret`] under AES-256-GCM, with [`Terms::to_bytes`] as associated data.
    pub sealed: Vec<u8>,
}

/// What a link seals under the passphrase.
pub struct Secret {
    /// The private key, PKCS#8 in DER.
    pub key: Zeroizing<Vec<u8>>,
    /// The site's certificate: whoever knows the passphrase pins it, whatever the portal says.
    pub site: Certificate,
}

impl Argon2Cost {
    /// Whether a phone can and should compute it.
    pub fn is_sound(&self) -> bool {
        (MEMORY_KIB_MIN..=MEMORY_KIB_MAX).contains(&self.memory_kib)
            && (1..=ITERATIONS_MAX).contains(&self.iterations)
            && (1..=LANES_MAX).contains(&self.lanes)
    }
}

impl Terms {
    /// Their bytes; none if a field does not fit.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let Self { link, case, expires, uses, tries, cost, salt, proof, certificate } = self;
        certificate.point().filter(|_| cost.is_sound())?;
        let head: [&[u8]; 11] = [
            &START,
            &link.0,
            &case.0,
            &expires.to_be_bytes(),
            &uses.to_be_bytes(),
            &tries.to_be_bytes(),
            &cost.memory_kib.to_be_bytes(),
            &cost.iterations.to_be_bytes(),
            &[cost.lanes],
            salt,
            &proof.0,
        ];
        with_fields(head.concat(), &[certificate.der()])
    }

    fn read(rest: &[u8]) -> Option<(Self, &[u8])> {
        let (link, rest) = rest.split_first_chunk()?;
        let (case, rest) = rest.split_first_chunk()?;
        let (expires, rest) = rest.split_first_chunk()?;
        let (uses, rest) = rest.split_first_chunk()?;
        let (tries, rest) = rest.split_first_chunk()?;
        let (memory_kib, rest) = rest.split_first_chunk()?;
        let (iterations, rest) = rest.split_first_chunk()?;
        let (&lanes, rest) = rest.split_first()?;
        let (salt, rest) = rest.split_first_chunk()?;
        let (proof, rest) = rest.split_first_chunk()?;
        let (certificate, rest) = field(rest)?;
        let cost = Argon2Cost {
            memory_kib: u32::from_be_bytes(*memory_kib),
            iterations: u32::from_be_bytes(*iterations),
            lanes,
        };
        let terms = Self {
            link: LinkId(*link),
            case: CaseId(*case),
            expires: i64::from_be_bytes(*expires),
            uses: u16::from_be_bytes(*uses),
            tries: u16::from_be_bytes(*tries),
            cost,
            salt: *salt,
            proof: Digest(*proof),
            certificate: Certificate::from_der(certificate).ok()?,
        };
        (cost.is_sound() && terms.certificate.point().is_some()).then_some((terms, rest))
    }
}

impl Link {
    /// The content to sign under [`PURPOSE`]; none if a field does not fit.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        with_fields(self.terms.to_bytes()?, &[&self.sealed])
    }

    /// Reads what [`Link::to_bytes`] writes.
    ///
    /// # Errors
    /// `UnknownFormat`, `Malformed`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let malformed = Refusal::Malformed(WHAT);
        if bytes.len() > LINK_BYTES_MAX {
            return Err(malformed);
        }
        let (terms, rest) = Terms::read(after_start(bytes, START, WHAT)?).ok_or(malformed.clone())?;
        let (sealed, end) = field(rest).ok_or(malformed.clone())?;
        if end.is_empty() { Ok(Self { terms, sealed: sealed.to_vec() }) } else { Err(malformed) }
    }
}

impl Secret {
    /// Its bytes, to be sealed; none if a field does not fit.
    pub fn to_bytes(&self) -> Option<Zeroizing<Vec<u8>>> {
        with_fields(Vec::new(), &[&self.key, self.site.der()]).map(Zeroizing::new)
    }

    /// Reads what [`Secret::to_bytes`] writes.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let read = || {
            let (key, rest) = field(bytes)?;
            let (site, rest) = field(rest)?;
            let site = Certificate::from_der(site).ok().filter(|site| site.point().is_some())?;
            rest.is_empty().then(|| Self { key: Zeroizing::new(key.to_vec()), site })
        };
        read().ok_or(Refusal::Malformed(WHAT))
    }
}

/// Info of HKDF for the output that `usage` names: `proof`, which the portal checks, or `key`, which it never learns.
pub fn info(usage: &str, link: LinkId) -> Vec<u8> {
    [usage.as_bytes(), &link.0].concat()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::certificate::draft::{Role, draft, finish};
    use proptest::prelude::*;

    fn certificate() -> Certificate {
        let draft = draft(Role::Encryption, &[4; 65], [1; 16], 1_800_000_000, 1_900_000_000).unwrap();
        Certificate::from_der(&finish(&draft, &[1; 64]).unwrap()).unwrap()
    }

    fn link() -> Link {
        let terms = Terms {
            link: LinkId([1; 16]),
            case: CaseId([2; 16]),
            expires: -1,
            uses: 3,
            tries: 10,
            cost: Argon2Cost { memory_kib: 19 << 10, iterations: 2, lanes: 1 },
            salt: [4; 16],
            proof: Digest([5; 32]),
            certificate: certificate(),
        };
        Link { terms, sealed: vec![6; 60] }
    }

    #[test]
    fn a_link_is_read_as_written_and_starts_as_the_specification_says() {
        let bytes = link().to_bytes().unwrap();
        let head = [&b"SCPL\x01"[..], &[1; 16], &[2; 16], &[0xFF; 8], &[0, 3, 0, 10, 0, 0, 0x4C, 0]].concat();
        assert_eq!(&bytes[..head.len()], head);
        assert_eq!(Link::parse(&bytes), Ok(link()));
        assert!((0..bytes.len()).all(|length| Link::parse(&bytes[..length]).is_err()));
        assert!(Link::parse(&[bytes, vec![0]].concat()).is_err());
    }

    #[test]
    fn a_link_that_a_phone_cannot_compute_is_refused() {
        let mut dear = link();
        dear.terms.cost.memory_kib = MEMORY_KIB_MAX + 1;
        assert_eq!(dear.to_bytes(), None);
        let mut bytes = link().to_bytes().unwrap();
        bytes[49] = 0xFF;
        assert_eq!(Link::parse(&bytes), Err(Refusal::Malformed(WHAT)));
        let mut newer = link().to_bytes().unwrap();
        newer[4] = 2;
        assert_eq!(Link::parse(&newer), Err(Refusal::UnknownFormat(2)));
    }

    #[test]
    fn its_secret_is_read_as_written() {
        let secret = Secret { key: Zeroizing::new(vec![7; 138]), site: certificate() };
        let read = Secret::parse(&secret.to_bytes().unwrap()).unwrap();
        assert_eq!((&*read.key, &read.site), (&*secret.key, &secret.site));
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Link::parse(&bytes).is_err());
            let _ = Secret::parse(&bytes);
        }
    }
}
