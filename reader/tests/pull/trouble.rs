//! Wrong set-up: each answer names what is wrong, and nothing is written.

use crate::clinic::Run;
use crate::{Clinic, FIRST, study};
use std::fs;
use std::net::TcpListener;
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
