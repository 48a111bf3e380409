//! Who is asked for what was not given: the person at the terminal, or nobody.

use super::SetupError;
use crate::config::read_secret;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;
use zeroize::Zeroizing;

/// Whom answers come from where none is given.
pub(super) struct Asker {
    terminal: Option<(Box<dyn BufRead>, Box<dyn Write>)>,
}

impl Asker {
    /// The person at the terminal; nobody where there is no terminal.
    pub(super) fn on_terminal() -> Self {
        if !io::stdin().is_terminal() {
            return Self::nobody();
        }
        Self::between(Box::new(io::stdin().lock()), Box::new(io::stdout()))
    }

    /// Nobody: defaults stand.
    pub(super) fn nobody() -> Self {
        Self { terminal: None }
    }

    pub(super) fn between(input: Box<dyn BufRead>, output: Box<dyn Write>) -> Self {
        Self { terminal: Some((input, output)) }
    }

    /// A person is asked again until the answer can be; what was given has to be right.
    pub(super) fn ask<T>(
        &mut self,
        key: &'static str,
        given: Option<String>,
        question: &str,
        default: Option<String>,
        parse: impl for<'a> Fn(&'a str) -> Result<T, &'static str>,
    ) -> Result<T, SetupError> {
        let answer = |text: &str| parse(text.trim()).map_err(|reason| SetupError::Answer { key, reason });
        if let Some(given) = given {
            return answer(&given);
        }
        let Some((input, output)) = &mut self.terminal else {
            return answer(&default.ok_or(SetupError::Unanswered { key })?);
        };
        loop {
            let shown = default.as_ref().map_or(String::new(), |default| format!(" [{default}]"));
            write!(output, "{question}{shown}: ")
                .and_then(|()| output.flush())
                .map_err(SetupError::Terminal)?;
            let mut line = String::new();
            if input.read_line(&mut line).map_err(SetupError::Terminal)? == 0 {
                return Err(SetupError::Unanswered { key });
            }
            let text = match (line.trim(), &default) {
                ("", Some(default)) => default,
                (text, _) => text,
            };
            match parse(text) {
                Ok(value) => return Ok(value),
                Err(reason) => writeln!(output, "  {reason}").map_err(SetupError::Terminal)?,
            }
        }
    }

    /// Typed without being shown; it is not asked for twice, since the login is tried.
    pub(super) fn password(
        &mut self,
        given: Option<Zeroizing<String>>,
        file: Option<&Path>,
    ) -> Result<Zeroizing<String>, SetupError> {
        const KEY: &str = "mail_password_file";
        let typed = match (given, file, &self.terminal) {
            (Some(given), ..) => given,
            (None, Some(file), _) => Zeroizing::new(read_secret(file)?),
            (None, None, Some(_)) => Zeroizing::new(
                rpassword::prompt_password("The password of that login: ").map_err(SetupError::Terminal)?,
            ),
            (None, None, None) => return Err(SetupError::Unanswered { key: KEY }),
        };
        let kept = typed.trim_end_matches(['\r', '\n']);
        if kept.is_empty() || kept.contains(['\r', '\n']) {
            return Err(SetupError::Answer { key: KEY, reason: "a password is one line" });
        }
        Ok(Zeroizing::new(kept.to_owned()))
    }
}
