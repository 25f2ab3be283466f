//! Reads the certificates, keys and authorities that a configuration names, and says what is wrong with them.
//!
//! A plan is text; these files change on their own. Whoever serves reads them again, through the same door.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::plan::{Authorities, Certificate, Mark, NodeTls};

/// Bytes that one of these files may have: a bundle of every public root is 0.3 MB.
const MAX: u64 = 4 << 20;

/// A certificate ready to be shown.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The chain and its key.
    pub key: Arc<CertifiedKey>,
    /// Hosts it is for, in lower case; `*.` stands for one label.
    pub names: Vec<String>,
    /// Seconds since 1970 from which it is valid.
    pub not_before: i64,
    /// Seconds since 1970 after which it is not.
    pub not_after: i64,
}

/// Two that show the same certificates are one: a key belongs to its certificate.
impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.key.cert == other.key.cert
    }
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// What, in one line; names the file.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

fn flaw(message: impl Into<String>, hint: impl Into<String>) -> Flaw {
    Flaw { message: message.into(), hint: hint.into() }
}

/// Reads a certificate and its key. That it is valid now is not asked: see [`Identity::not_after`].
pub fn identity(files: &Certificate) -> Result<Identity, Flaw> {
    let chain = chain(&files.cert)?;
    let shown = files.cert.display();
    let (names, not_before, not_after) = about(&chain[0])
        .ok_or_else(|| flaw(format!("the first certificate in {shown} cannot be read"), "make it again"))?;
    let key = Arc::new(certified(chain, private_key(files)?, files)?);
    Ok(Identity { key, names, not_before, not_after })
}

fn private_key(files: &Certificate) -> Result<PrivateKeyDer<'static>, Flaw> {
    PrivateKeyDer::from_pem_slice(&read(&files.key)?).map_err(|_| {
        let hint = "the file begins with `-----BEGIN PRIVATE KEY-----`; an encrypted key must be decrypted first";
        flaw(format!("there is no private key in {}", files.key.display()), hint)
    })
}

/// Proves that the key is the certificate's.
fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    files: &Certificate,
) -> Result<CertifiedKey, Flaw> {
    CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => flaw(
            format!("the key in {} is not that of the certificate in {}", files.key.display(), files.cert.display()),
            "the certificate of the host itself comes first in its file, those of authorities after it",
        ),
        other => flaw(
            format!("the key in {} cannot be used: {other}", files.key.display()),
            "RSA from 2,048 bits, ECDSA on P-256 or P-384, and Ed25519 can",
        ),
    })
}

/// What it takes to speak TLS to nodes.
#[derive(Debug, PartialEq, Eq)]
pub struct Trust {
    /// One of these must have signed a node's certificate.
    pub authorities: Vec<CertificateDer<'static>>,
    /// What nodes are shown that ask for it.
    pub own: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

impl Clone for Trust {
    fn clone(&self) -> Self {
        let own = self.own.as_ref().map(|(chain, key)| (chain.clone(), key.clone_key()));
        Self { authorities: self.authorities.clone(), own }
    }
}

/// Reads what it takes to speak TLS to nodes.
pub fn trust(tls: &NodeTls) -> Result<Trust, (Mark, Flaw)> {
    authorities(&tls.ca).map_err(|flaw| (tls.ca.mark, flaw))?;
    let authorities = chain(&tls.ca.path).map_err(|flaw| (tls.ca.mark, flaw))?;
    let Some(files) = &tls.certificate else { return Ok(Trust { authorities, own: None }) };
    let own = || {
        let (chain, key) = (chain(&files.cert)?, private_key(files)?);
        certified(chain.clone(), key.clone_key(), files)?;
        Ok((chain, key))
    };
    Ok(Trust { authorities, own: Some(own().map_err(|flaw| (files.mark, flaw))?) })
}

/// A TLS client of nodes.
pub fn client(tls: &NodeTls) -> Result<ClientConfig, (Mark, Flaw)> {
    let roots = authorities(&tls.ca).map_err(|flaw| (tls.ca.mark, flaw))?;
    let wrong = |error: rustls::Error| (tls.ca.mark, flaw(error.to_string(), "look at the certificates"));
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(wrong)?
        .with_root_certificates(roots);
    match trust(tls)?.own {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(wrong),
        None => Ok(builder.with_no_client_auth()),
    }
}

/// Reads the certificates of authorities.
pub fn authorities(file: &Authorities) -> Result<RootCertStore, Flaw> {
    let mut store = RootCertStore::empty();
    for (number, certificate) in (1..).zip(chain(&file.path)?) {
        store.add(certificate).map_err(|error| {
            let message = format!("certificate {number} in {} is not an authority's: {error}", file.path.display());
            flaw(message, "the file holds certificates of authorities and nothing else")
        })?;
    }
    Ok(store)
}

/// The subject of a certificate, as it writes it: `C=NL, O=Acme, CN=till-7`.
pub fn subject(certificate: &[u8]) -> Option<String> {
    X509Certificate::from_der(certificate).ok().map(|(_, certificate)| certificate.subject().to_string())
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Flaw> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    match found {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) => {
            let hint = "a PEM file has `-----BEGIN CERTIFICATE-----`; `openssl x509 -inform der` converts DER";
            Err(flaw(format!("there is no certificate in {}", path.display()), hint))
        }
        Err(_) => Err(flaw(format!("{} is not sound PEM", path.display()), "it may be cut off, or two files mixed")),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Flaw> {
    let shown = path.display();
    let size = fs::metadata(path).map(|found| found.len());
    match size.and_then(|size| if size > MAX { Ok(None) } else { fs::read(path).map(Some) }) {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(flaw(format!("{shown} is larger than 4 MiB"), "name a PEM file")),
        Err(error) => {
            let hint = match error.kind() {
                io::ErrorKind::PermissionDenied => "let the user that the proxy runs as read it",
                _ => "paths are relative to the folder of the configuration",
            };
            Err(flaw(format!("cannot read {shown}: {error}"), hint))
        }
    }
}

/// Names and times of validity. A certificate without a subject alternative name is known by its common name, as it
/// was before RFC 6125.
fn about(certificate: &[u8]) -> Option<(Vec<String>, i64, i64)> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let mut names: Vec<String> = alternatives
        .iter()
        .flat_map(|names| &names.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        })
        .collect();
    if alternatives.is_none() {
        let common = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
        names.extend(common.map(str::to_ascii_lowercase));
    }
    let validity = certificate.validity();
    Some((names, validity.not_before.timestamp(), validity.not_after.timestamp()))
}
