//! Keys of the spool: the master key, outside of the state folder, wraps the key of each case; that of a case wraps those of its files.
//! Whoever destroys the key of a case has deleted what lies of it in the spool (DESIGN 4).

use super::rotation::next_of;
use aws_lc_rs::hmac;
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrap};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use zeroize::{Zeroize, Zeroizing};

/// Bytes of every key.
const KEY_BYTES: usize = 32;
/// Bytes of a wrapped key (RFC 3394).
const WRAPPED_BYTES: usize = KEY_BYTES + 8;
/// Name of the master key among the credentials that systemd hands to the service.
pub(crate) const KEY_CREDENTIAL: &str = "spool.key";

/// Key of one file, or of a case.
#[derive(Clone, PartialEq, Eq)]
pub struct FileKey(Zeroizing<[u8; KEY_BYTES]>);

impl std::fmt::Debug for FileKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("FileKey")
    }
}

/// A key as it may lie on the disk.
pub type WrappedKey = [u8; WRAPPED_BYTES];

/// The master key cannot be had: the operator must act.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// Nobody said where it is, nor that there is none.
    #[error(
        "no key for the spool (operator: name a file with 32 random bytes in [spool] key_file, load the credential spool.key, \
         or write encryption = \"off\")"
    )]
    Missing,
    /// The file cannot be read.
    #[error("{path}: {error} (operator: put the key of the spool there)", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Others may read it.
    #[error("{path} may be read by others (operator: chmod 600 it)", path = path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// It does not have 32 bytes.
    #[error("{path} is not a key (operator: it must be {KEY_BYTES} random bytes, the same as ever)", path = path.display())]
    Length {
        /// The file.
        path: PathBuf,
    },
}

impl FileKey {
    /// A new random key.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn random() -> io::Result<Self> {
        random().map(Self::from_bytes)
    }

    pub(crate) fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Tells this key from others, and nothing of it.
    pub(crate) fn name(&self) -> [u8; 32] {
        tag(Some(self), &[b"scanpost spool key\x01"])
    }

    pub(crate) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// Reads the master key: the credential of the service manager, else the file; beside that there is a second one while it is being changed.
    ///
    /// # Errors
    /// [`MasterKeyError`].
    pub fn masters(key_file: Option<&Path>, credentials: Option<&Path>) -> Result<Vec<Self>, MasterKeyError> {
        let credential = credentials.map(|folder| folder.join(KEY_CREDENTIAL)).filter(|path| path.exists());
        match (credential, key_file) {
            // Credentials are readable by the service alone, whatever their mode says.
            (Some(path), _) => Ok(vec![Self::read(&path, false)?]),
            (None, Some(path)) => {
                let next = next_of(path);
                let next = next.exists().then(|| Self::read(&next, true)).transpose()?;
                Ok(std::iter::once(Self::read(path, true)?).chain(next).collect())
            }
            (None, None) => Err(MasterKeyError::Missing),
        }
    }

    /// Reads the key in a file, which nobody else may read where it `is_ours`.
    pub(super) fn read(path: &Path, is_ours: bool) -> Result<Self, MasterKeyError> {
        let path = path.to_owned();
        let read = |error| MasterKeyError::Read { path: path.clone(), error };
        let file = File::open(&path).map_err(read)?;
        if is_ours && keyfile::open_to_others(&file.metadata().map_err(read)?).is_some() {
            return Err(MasterKeyError::Exposed { path });
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_BYTES + 1));
        file.take(KEY_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(read)?;
        let mut key = <[u8; KEY_BYTES]>::try_from(bytes.as_slice())
            .map_err(|_| MasterKeyError::Length { path: path.clone() })?;
        let master = Self::from_bytes(key);
        key.zeroize();
        Ok(master)
    }

    /// Another key under this one (RFC 3394: no nonce that could repeat).
    pub(crate) fn wrap(&self, key: &Self) -> io::Result<WrappedKey> {
        let mut wrapped = [0; WRAPPED_BYTES];
        let done =
            AesKek::new(&AES_256, self.bytes()).and_then(|kek| kek.wrap(key.bytes(), &mut wrapped).map(drop));
        done.map_err(|_| io::Error::other("a key cannot be wrapped")).map(|()| wrapped)
    }

    /// None if it was not wrapped under this key.
    pub(crate) fn unwrap(&self, wrapped: &WrappedKey) -> Option<Self> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        AesKek::new(&AES_256, self.bytes()).ok()?.unwrap(wrapped, &mut *key).ok()?;
        Some(Self(key))
    }
}

/// HMAC-SHA-256 of all parts under a key; without one, under a constant.
pub(crate) fn tag(key: Option<&FileKey>, parts: &[&[u8]]) -> [u8; 32] {
    let key = key.map_or(&[0; KEY_BYTES], FileKey::bytes);
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_slice());
    let mut context = hmac::Context::with_key(&key);
    parts.iter().for_each(|part| context.update(part));
    let mut tag = [0; 32];
    tag.iter_mut().zip(context.sign().as_ref()).for_each(|(to, from)| *to = *from);
    tag
}

/// Random bytes from the system.
pub(super) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| io::Error::other("no random bytes from the system"))?;
    Ok(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_master_key_comes_from_the_credential_or_a_closed_file() {
        let folder = tempfile::tempdir().unwrap();
        let (credential, file) = (folder.path().join(KEY_CREDENTIAL), folder.path().join("key"));
        let master = |file| Ok(FileKey::masters(file, Some(folder.path()))?.remove(0));
        assert!(matches!(master(None), Err(MasterKeyError::Missing)));
        assert!(matches!(master(Some(&file)), Err(MasterKeyError::Read { .. })));
        fs::write(&file, [1; 32]).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(master(Some(&file)), Err(MasterKeyError::Exposed { .. })));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(master(Some(&file)).unwrap() == FileKey::from_bytes([1; 32]));
        fs::write(&credential, [2; 32]).unwrap();
        assert!(master(Some(&file)).unwrap() == FileKey::from_bytes([2; 32]));
        for length in [0, 31, 33, 65] {
            fs::write(&credential, vec![2; length]).unwrap();
            assert!(matches!(master(None), Err(MasterKeyError::Length { .. })));
        }
    }

    #[test]
    fn a_wrapped_key_opens_under_its_own_master_only() {
        let (master, other, key) =
            (FileKey::random().unwrap(), FileKey::random().unwrap(), FileKey::random().unwrap());
        let wrapped = master.wrap(&key).unwrap();
        assert!(master.unwrap(&wrapped) == Some(key.clone()) && other.unwrap(&wrapped).is_none());
        assert!(
            master.unwrap(&[0; WRAPPED_BYTES]).is_none()
                && !wrapped.windows(8).any(|part| key.bytes().starts_with(part))
        );
        assert_eq!(format!("{key:?}"), "FileKey");
    }
}
