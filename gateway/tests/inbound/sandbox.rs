//! What the kernel refuses to the process, with both layers and with each alone.

use gateway::pulled::inbound::{Confinement, Probed};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_scanpost-gateway");
const WHOLE: Confinement = Confinement { files: true, network: true, system_calls: true };

/// None where this kernel lacks what is tested, which is said aloud.
fn probe(without: &[&str]) -> Option<Probed> {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [allowed, elsewhere] =
        listeners.each_ref().map(|listener| listener.local_addr().unwrap().to_string());
    let state = TempDir::new().unwrap();
    std::fs::write(state.path().join("journal.sqlite"), b"journal").unwrap();
    let mut command = Command::new(BINARY);
    command.args(["inbound", "--probe", &allowed, &elsewhere]).arg(state.path());
    for layer in without {
        command.args(["--without", layer]);
    }
    let output = command.env_clear().stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{:?}", output.status);
    let probed: Probed = serde_json::from_slice(&output.stdout).unwrap();
    let expected = Confinement {
        files: !without.contains(&"landlock"),
        network: !without.contains(&"landlock"),
        system_calls: !without.contains(&"seccomp"),
    };
    if probed.confinement != expected {
        println!("NOT RUN: this kernel holds {:?}, the test needs {expected:?}", probed.confinement);
        return None;
    }
    assert!(probed.connected, "the connection that is allowed must succeed");
    assert!(!state.path().join("probe").exists() || !probed.escapes.is_empty());
    Some(probed)
}

#[test]
fn a_process_that_was_taken_over_gets_nowhere() {
    let Some(probed) = probe(&[]) else { return };
    assert_eq!(probed.confinement, WHOLE);
    assert_eq!(probed.escapes, Vec::<String>::new());
    println!("{} attempts, all refused by the kernel", probed.attempts);
    assert_eq!(probed.attempts, 14);
}

#[test]
fn landlock_alone_keeps_it_from_files_ports_programs_and_signals() {
    let Some(probed) = probe(&["seccomp"]) else { return };
    assert_eq!(
        probed.escapes,
        ["send a datagram", "connect to a local service", "start a thread", "become dumpable"]
    );
}

#[test]
fn seccomp_alone_keeps_it_from_all_but_another_port() {
    let Some(probed) = probe(&["landlock"]) else { return };
    assert_eq!(probed.escapes, ["connect to another port"]);
}
