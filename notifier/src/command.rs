//! Notices by a program on this machine, for pagers and whatever else has no server: a fixed command line, the notice as JSON on its standard
//! input, nothing of our environment, and an end by its exit code or at a time limit.

use crate::limits::PROGRAM_WAIT;
use crate::{Accepted, Channel, Kind, Language, Notice, NoticeError, Sending};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

/// Try again (sysexits.h).
const EX_TEMPFAIL: i32 = 75;

/// Runs a program for each notice.
pub struct CommandChannel {
    program: PathBuf,
    arguments: Vec<String>,
    wait: Duration,
}

impl CommandChannel {
    /// With an absolute path and the same arguments for every notice.
    pub fn new(program: PathBuf, arguments: Vec<String>) -> Self {
        Self { program, arguments, wait: PROGRAM_WAIT }
    }

    async fn run(&self, notice: &Notice, to: &str, language: Language) -> Result<Accepted, NoticeError> {
        Kind::Command.check(to)?;
        let words = words(notice, to, language)?;
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| NoticeError::Program {
                reason: format!("it does not start: {}", error.kind()),
            })?;
        match tokio::time::timeout(self.wait, talk(&mut child, &words)).await {
            Ok(Ok(status)) => judge(status),
            Ok(Err(error)) => Err(busy(format!("it cannot be waited for: {}", error.kind()))),
            Err(_) => {
                let _ = child.kill().await;
                Err(busy(format!("it ran for more than {} s and was ended", self.wait.as_secs_f32())))
            }
        }
    }
}

impl Channel for CommandChannel {
    fn send<'a>(&'a self, notice: &'a Notice, to: &'a str, language: Language) -> Sending<'a> {
        Box::pin(self.run(notice, to, language))
    }
}

async fn talk(child: &mut Child, words: &Value) -> std::io::Result<ExitStatus> {
    if let Some(mut input) = child.stdin.take() {
        // One that does not read what it is told says by its exit code what it thinks of it.
        let _ = input.write_all(format!("{words}\n").as_bytes()).await;
    }
    child.wait().await
}

fn judge(status: ExitStatus) -> Result<Accepted, NoticeError> {
    match status.code() {
        Some(0) => Ok(Accepted),
        Some(EX_TEMPFAIL) => Err(busy("exit code 75".to_owned())),
        Some(code) => Err(NoticeError::Program { reason: format!("exit code {code}") }),
        None => Err(busy("it was ended by a signal".to_owned())),
    }
}

fn busy(reason: String) -> NoticeError {
    NoticeError::ProgramBusy { reason }
}

fn words(notice: &Notice, to: &str, language: Language) -> Result<Value, NoticeError> {
    Ok(json!({
        "id": notice.id.to_string(), "at": notice.at_text()?, "urgency": notice.urgency, "text": notice.line(language), "to": to,
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{NoticeId, Urgency};
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::time::Instant;
    use time::macros::datetime;

    const NOTICE: Notice = Notice {
        id: NoticeId([0xA5; 16]),
        at: datetime!(2026-11-22 17:14:59.5 UTC),
        urgency: Urgency::Urgent,
    };

    async fn run(script: &str, wait: Duration) -> (Result<Accepted, NoticeError>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("page");
        std::fs::write(&program, format!("#!/bin/sh\nOUT={}\n{script}\n", folder.path().display())).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let channel =
            CommandChannel { wait, ..CommandChannel::new(program, vec!["--pager".into(), "a b".into()]) };
        (channel.send(&NOTICE, "4711", Language::English).await, folder)
    }

    fn read(folder: &tempfile::TempDir, name: &str) -> String {
        std::fs::read_to_string(folder.path().join(name)).unwrap()
    }

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn the_program_gets_the_notice_its_arguments_and_nothing_else() {
        let script = "/bin/cat > $OUT/input; /usr/bin/env > $OUT/environment; echo \"$1|$2|$#\" > $OUT/arguments; /bin/pwd > $OUT/folder";
        let (sent, folder) = run(script, LONG).await;
        assert_eq!(sent, Ok(Accepted));
        let told: Value = serde_json::from_str(&read(&folder, "input")).unwrap();
        let expected = json!({
            "id": "a5".repeat(16), "at": "2026-11-22T17:14:59Z", "urgency": "urgent", "to": "4711",
            "text": "Scanpost: URGENT, images are waiting for you. 2026-11-22 17:14 UTC",
        });
        assert_eq!(told, expected);
        assert_eq!(read(&folder, "arguments"), "--pager|a b|2\n");
        assert_eq!(read(&folder, "folder"), "/\n");
        // What the shell itself sets.
        let foreign: Vec<_> = read(&folder, "environment")
            .lines()
            .filter(|line| !["PWD=", "SHLVL=", "_="].iter().any(|own| line.starts_with(own)))
            .map(str::to_owned)
            .collect();
        assert_eq!(foreign, Vec::<String>::new());
    }

    #[tokio::test]
    async fn the_exit_code_says_whether_to_try_again() {
        assert_eq!(run("exit 0", LONG).await.0, Ok(Accepted), "one that reads nothing may still take it");
        let again = run("exit 75", LONG).await.0.unwrap_err();
        assert!(!again.is_permanent() && again.to_string().contains("exit code 75"), "{again}");
        let refused = run("exit 3", LONG).await.0.unwrap_err();
        assert!(refused.is_permanent() && refused.to_string().contains("exit code 3"), "{refused}");
        let killed = run("kill -9 $$", LONG).await.0.unwrap_err();
        assert!(!killed.is_permanent() && killed.to_string().contains("signal"), "{killed}");
        let missing = CommandChannel::new("/nowhere/page".into(), Vec::new());
        let missing = missing.send(&NOTICE, "", Language::English).await.unwrap_err();
        assert!(missing.is_permanent() && missing.to_string().contains("does not start"), "{missing}");
    }

    #[tokio::test]
    async fn one_that_hangs_is_ended_at_its_limit_and_tried_again() {
        let began = Instant::now();
        let (sent, folder) = run("echo $$ > $OUT/pid; exec /bin/sleep 60", Duration::from_millis(1500)).await;
        let late = sent.unwrap_err();
        assert!(!late.is_permanent() && late.to_string().contains("was ended"), "{late}");
        assert!(began.elapsed() < LONG);
        let pid = read(&folder, "pid");
        assert!(!Path::new("/proc").join(pid.trim()).exists(), "it runs still");
    }
}
