//! Where the passphrase of a key comes from.

use crate::{KeyFileError, read_private, read_text};
use std::fmt;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Name of the systemd credential (systemd.exec(5), `LoadCredentialEncrypted=`).
pub(crate) const CREDENTIAL: &str = "scanpost-passphrase";
/// Shortest passphrase, in characters. 12 random ones of 64 have 72 bits.
pub(crate) const PASSPHRASE_CHARS_MIN: usize = 12;
/// Set by systemd for a unit that has credentials.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// The credential of the service manager that has the name of this file, where there is one: it goes before the file (systemd.exec(5),
/// `LoadCredential=`). It is the service's alone, by an ACL that its mode does not show.
pub fn credential(file: &Path) -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os(CREDENTIALS_DIRECTORY)?);
    file.file_name().map(|name| folder.join(name)).filter(|path| path.exists())
}

/// How the private keys of a configuration are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Protection {
    /// File with the passphrase, mode 0600, unless a credential of its name goes before it. Where absent: the credential `scanpost-passphrase`,
    /// then the terminal.
    pub passphrase_file: Option<PathBuf>,
    /// Whether keys without encryption are taken.
    pub plain: bool,
}

/// A passphrase of at least [`PASSPHRASE_CHARS_MIN`] characters.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Of these words; a trailing newline is dropped.
    ///
    /// # Errors
    /// [`KeyFileError::ShortPassphrase`].
    pub fn new(mut words: Zeroizing<String>) -> Result<Self, KeyFileError> {
        let kept = words.trim_end_matches(['\r', '\n']).len();
        words.truncate(kept);
        if words.chars().count() < PASSPHRASE_CHARS_MIN {
            return Err(KeyFileError::ShortPassphrase);
        }
        Ok(Self(words))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Passphrase")
    }
}

impl Protection {
    /// The passphrase of the key in `path`.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn passphrase(&self, path: &Path) -> Result<Passphrase, KeyFileError> {
        self.kept()?.map_or_else(|| asked(&format!("Passphrase of {}: ", path.display()), path), Ok)
    }

    /// The passphrase that new keys in `path` are to get; on a terminal it is asked for twice.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn new_passphrase(&self, path: &Path) -> Result<Passphrase, KeyFileError> {
        if let Some(passphrase) = self.kept()? {
            return Ok(passphrase);
        }
        let first = asked(&format!("New passphrase for the keys in {}: ", path.display()), path)?;
        let again = asked("The same again: ", path)?;
        let same = first.0 == again.0;
        same.then_some(first).ok_or(KeyFileError::NoPassphrase { path: path.to_owned() })
    }

    /// Whether a file or a credential has the passphrase, or was to have it.
    pub fn is_kept(&self) -> bool {
        !matches!(self.kept(), Ok(None))
    }

    fn kept(&self) -> Result<Option<Passphrase>, KeyFileError> {
        let named = self.passphrase_file.as_deref().unwrap_or(Path::new(CREDENTIAL));
        match (credential(named), &self.passphrase_file) {
            (Some(path), _) => Passphrase::new(read_text(&path)?).map(Some),
            (None, Some(path)) => Passphrase::new(read_private(path)?).map(Some),
            (None, None) => Ok(None),
        }
    }
}

fn asked(question: &str, path: &Path) -> Result<Passphrase, KeyFileError> {
    if !std::io::stdin().is_terminal() {
        return Err(KeyFileError::NoPassphrase { path: path.to_owned() });
    }
    let typed = rpassword::prompt_password(question);
    Passphrase::new(Zeroizing::new(
        typed.map_err(|error| KeyFileError::Read { path: "the terminal".into(), error })?,
    ))
}
