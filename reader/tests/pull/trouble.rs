//! Wrong set-up: each answer names what is wrong, and nothing is written.

use crate::clinic::Run;
use crate::{Clinic, FIRST, assert_placed, study};
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;

fn assert_answer(run: &Run, exit: i32, words: &str) {
    assert_eq!(run.exit, exit, "{}{}", run.out, run.err);
    assert!(run.err.starts_with("scanpost-reader: ") && run.err.contains(words), "{}", run.err);
}

#[test]
fn a_server_of_another_ca_is_refused() {
    let clinic = Clinic::new();
    clinic.put(&clinic.seal(FIRST, &study::slices(1, 1)).mails());
    clinic.configure(|text| text.replace("/ca.pem", "/other-ca.pem"));
    assert_answer(&clinic.pull(), 4, "certificate");
    clinic.assert_nothing_placed();
}

#[test]
fn a_wrong_password_is_named() {
    let clinic = Clinic::new();
    clinic.write_password("wrong");
    assert_answer(&clinic.pull(), 4, "login");
}

#[test]
fn a_server_that_is_down_is_named() {
    let clinic = Clinic::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    clinic.configure(|text| {
        text.replace(&format!("port = {}", clinic.dovecot.port()), &format!("port = {port}"))
    });
    assert_answer(&clinic.pull(), 4, "cannot be reached");
}

/// Passes `bytes_max` bytes of each connection on to the reader, then closes it.
fn cutting_proxy(server_port: u16, bytes_max: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for reader in listener.incoming() {
            let (mut reader, mut server) =
                (reader.unwrap(), TcpStream::connect(("127.0.0.1", server_port)).unwrap());
            let (mut from_reader, mut to_server) = (reader.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || io::copy(&mut from_reader, &mut to_server));
            std::thread::spawn(move || {
                let mut block = [0; 4096];
                let mut left = bytes_max;
                while let Ok(count @ 1..) = server.read(&mut block) {
                    let _ = reader.write_all(&block[..count.min(left)]);
                    left = left.saturating_sub(count);
                    if left == 0 {
                        break;
                    }
                }
                let _ = (reader.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
            });
        }
    });
    port
}

#[test]
fn a_mailbox_that_breaks_off_writes_nothing_and_each_run_gets_further() {
    let clinic = Clinic::new();
    let slices = study::slices(1, 24);
    let delivery = clinic.seal(FIRST, &slices);
    clinic.put(&delivery.mails());
    let here = clinic.dovecot.port();
    // Room for handshake, cover and one or two pieces on each of two connections.
    let cut = cutting_proxy(here, 100_000);
    clinic.configure(|text| text.replace(&format!("port = {here}"), &format!("port = {cut}")));
    let (mut pieces_before, mut runs) = (0, 0);
    loop {
        let (exit, list) = clinic.pull_json();
        runs += 1;
        if exit == 0 {
            break;
        }
        assert_eq!((exit, &list[0]["state"]), (4, &"failed".into()), "{list}");
        clinic.assert_nothing_placed();
        let pieces = whole_pieces(&clinic);
        assert!(pieces > pieces_before, "run {runs} got no further than {pieces} of {}", delivery.pieces());
        pieces_before = pieces;
    }
    assert!(runs > 1, "the connection never broke off");
    assert_placed(&clinic, FIRST, &slices);
}

fn whole_pieces(clinic: &Clinic) -> usize {
    let folder = clinic.output().join(".incoming").join(FIRST.delivery().to_string());
    fs::read_dir(folder).unwrap().filter(|entry| entry.as_ref().unwrap().path().extension().is_none()).count()
}

#[test]
fn an_output_that_is_no_folder_is_named() {
    let clinic = Clinic::new();
    fs::write(clinic.output(), "").unwrap();
    assert_answer(&clinic.pull(), 5, "cannot use the output folder");
}

#[test]
fn no_folder_at_all_is_an_error() {
    let clinic = Clinic::new();
    clinic.configure(|text| text + "folders = [\"Junk\", \"Nowhere\"]\n");
    assert_answer(&clinic.pull(), 4, "Nowhere");
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let clinic = Clinic::new();
    fs::set_permissions(clinic.doctor.key(), PermissionsExt::from_mode(0o644)).unwrap();
    assert_answer(&clinic.pull(), 5, "key.pem is open to others (mode 0644); run: chmod 600");
}

#[test]
fn a_key_that_is_not_the_certificates_is_refused() {
    let clinic = Clinic::new();
    clinic.configure(|text| {
        text.replace(&format!("key = {:?}", clinic.doctor.key()), &format!("key = {:?}", clinic.site.key()))
    });
    assert_answer(&clinic.pull(), 5, "key.pem");
}

#[test]
fn a_misspelt_setting_is_named() {
    let clinic = Clinic::new();
    clinic.configure(|text| text.replace("password_file", "pasword_file"));
    assert_answer(&clinic.pull(), 5, "pasword_file");
}

#[test]
fn wrong_usage_does_not_look_like_try_again() {
    let clinic = Clinic::new();
    assert_eq!(clinic.command().arg("--jsno").output().unwrap().status.code(), Some(5));
}
