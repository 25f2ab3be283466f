//! Files that a configuration names, and the words in which an operator reads that one is wrong.

use std::fs;
use std::path::Path;

use pointsman_config::certificates;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
use tempfile::TempDir;

const YAML: &str = "\
listeners:
  - address: 127.0.0.1:8443
    tls:
      certificates:
        - { cert: site.pem, key: site.key }
      client_ca: ca.pem
";

struct Folder(TempDir);

impl Folder {
    /// A configuration whose files are all right.
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        let (cert, key) = certificate(&["example.com", "*.Example.org"], false);
        let (authority, _) = certificate(&[], true);
        folder
            .write("pointsman.yaml", YAML)
            .write("site.pem", &cert)
            .write("site.key", &key)
            .write("ca.pem", &authority);
        folder
    }

    fn write(&self, name: &str, text: &str) -> &Self {
        fs::write(self.0.path().join(name), text).expect("writable");
        self
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    /// What an operator reads, the folder called `etc`.
    fn problems(&self) -> String {
        let problems = pointsman_config::load(&self.path("pointsman.yaml"), &[]).expect_err("wrong");
        problems.to_string().replace(&*self.0.path().to_string_lossy(), "etc")
    }

    fn says(&self, at: (usize, usize), message: &str, help: &str) {
        let (line, column) = at;
        let drawn = YAML.lines().nth(line - 1).expect("a line");
        let problems = self.problems();
        let expected =
            format!("error: {message}\n --> etc/pointsman.yaml:{line}:{column}\n  |\n{line} | {drawn}\n  | ");
        assert!(problems.starts_with(&expected), "{problems}\n--- is not\n{expected}");
        assert!(problems.contains(&format!("\n  = help: {help}\n")), "{problems}");
        assert!(problems.ends_with("1 problem found"), "{problems}");
    }
}

fn certificate(names: &[&str], authority: bool) -> (String, String) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.distinguished_name.push(DnType::CommonName, "till-7");
    if authority {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    let key = KeyPair::generate().expect("a key");
    let made = params.self_signed(&key).expect("a certificate");
    (made.pem(), key.serialize_pem())
}

#[test]
fn sound_files_are_accepted_and_tell_whom_they_are_for() {
    let folder = Folder::new();
    let plan = pointsman_config::load(&folder.path("pointsman.yaml"), &[]).unwrap_or_else(|wrong| panic!("{wrong}"));
    let tls = plan.listeners[0].tls.as_ref().expect("TLS");
    let identity = certificates::identity(&tls.certificates[0]).expect("sound");
    assert_eq!(identity.names, ["example.com", "*.example.org"]);
    assert!(identity.not_before < identity.not_after);
    assert_eq!(certificates::subject(&identity.key.cert[0]).as_deref(), Some("CN=till-7"));
    assert_eq!(certificates::authorities(tls.client_ca.as_ref().expect("one")).expect("sound").len(), 1);
}

#[test]
fn text_alone_is_checked_without_its_files() {
    assert!(pointsman_config::parse(YAML, Path::new("nowhere/pointsman.yaml"), &|_| None, &[]).is_ok());
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let folder = Folder::new();
    fs::remove_file(folder.path("site.key")).expect("removed");
    folder.says(
        (5, 13),
        "cannot read etc/site.key: No such file or directory (os error 2)",
        "paths are relative to the folder of the configuration",
    );
}

#[test]
fn a_key_of_another_certificate_is_told_from_one_that_is_none() {
    let folder = Folder::new();
    folder.write("site.key", &certificate(&["example.com"], false).1);
    folder.says(
        (5, 13),
        "the key in etc/site.key is not that of the certificate in etc/site.pem",
        "the certificate of the host itself comes first in its file, those of authorities after it",
    );
    folder.write("site.key", "no key");
    folder.says(
        (5, 13),
        "there is no private key in etc/site.key",
        "the file begins with `-----BEGIN PRIVATE KEY-----`; an encrypted key must be decrypted first",
    );
}

#[test]
fn a_certificate_that_is_empty_cut_off_or_garbage_is_refused() {
    let folder = Folder::new();
    let whole = fs::read_to_string(folder.path("site.pem")).expect("readable");
    let hint = "a PEM file has `-----BEGIN CERTIFICATE-----`; `openssl x509 -inform der` converts DER";
    folder.write("site.pem", "");
    folder.says((5, 13), "there is no certificate in etc/site.pem", hint);
    folder.write("site.pem", &whole[..whole.len() / 2]);
    folder.says((5, 13), "etc/site.pem is not sound PEM", "it may be cut off, or two files mixed");
    folder.write("site.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    folder.says((5, 13), "the first certificate in etc/site.pem cannot be read", "make it again");
}

#[test]
fn authorities_that_are_none_are_refused() {
    let folder = Folder::new();
    folder.write("ca.pem", &fs::read_to_string(folder.path("site.key")).expect("readable"));
    folder.says(
        (6, 18),
        "there is no certificate in etc/ca.pem",
        "a PEM file has `-----BEGIN CERTIFICATE-----`; `openssl x509 -inform der` converts DER",
    );
}
