//! Which certificate a client is shown.

use std::collections::HashMap;
use std::sync::Arc;

use pointsman_config::certificates::Identity;
use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// Certificates by the host that a client names (RFC 6066 §3): one for exactly that host, else one for any host of its
/// domain (`*.`, one label, RFC 6125 §6.4.3), else the first of the listener. Of several the first whose kind of key
/// the client can verify.
#[derive(Debug)]
pub(super) struct Names {
    all: Vec<Arc<CertifiedKey>>,
    exact: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// By what follows `*.`.
    domains: HashMap<String, Vec<Arc<CertifiedKey>>>,
}

impl Names {
    pub(super) fn new(identities: &[Arc<Identity>]) -> Self {
        let mut names = Self { all: Vec::new(), exact: HashMap::new(), domains: HashMap::new() };
        for identity in identities {
            for name in &identity.names {
                let (map, name) = match name.strip_prefix("*.") {
                    Some(domain) => (&mut names.domains, domain),
                    None => (&mut names.exact, name.as_str()),
                };
                map.entry(name.to_owned()).or_default().push(Arc::clone(&identity.key));
            }
            names.all.push(Arc::clone(&identity.key));
        }
        names
    }

    fn of(&self, host: Option<&str>) -> &[Arc<CertifiedKey>] {
        let host = host.unwrap_or_default().to_ascii_lowercase();
        let domain = host.split_once('.').map_or("", |(_, domain)| domain);
        self.exact.get(&host).or_else(|| self.domains.get(domain)).unwrap_or(&self.all)
    }
}

fn choose(of: &[Arc<CertifiedKey>], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
    of.iter().find(|certified| certified.key.choose_scheme(schemes).is_some()).or(of.first()).cloned()
}

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        choose(self.of(hello.server_name()), hello.signature_schemes())
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SignatureAlgorithm};
    use rustls::crypto::ring;

    use super::*;

    fn identity(names: &[&str], kind: &'static SignatureAlgorithm) -> Arc<Identity> {
        let key = KeyPair::generate_for(kind).expect("a key");
        let params = CertificateParams::new(vec!["x".to_owned()]).expect("a name");
        let made = params.self_signed(&key).expect("a certificate");
        let der = key.serialize_der().try_into().expect("a key");
        let key = CertifiedKey::from_der(vec![made.der().clone()], der, &ring::default_provider()).expect("matching");
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Arc::new(Identity { key: Arc::new(key), names, not_before: 0, not_after: i64::MAX })
    }

    #[test]
    fn the_exact_host_wins_then_its_domain_then_the_first() {
        let all = [
            identity(&["first.example"], &PKCS_ECDSA_P256_SHA256),
            identity(&["*.example.com", "example.com"], &PKCS_ECDSA_P256_SHA256),
            identity(&["api.example.com"], &PKCS_ECDSA_P256_SHA256),
        ];
        let names = Names::new(&all);
        for (host, place) in [
            (Some("api.example.com"), 2),
            (Some("API.Example.COM"), 2),
            (Some("www.example.com"), 1),
            (Some("example.com"), 1),
            // A star stands for one label.
            (Some("a.b.example.com"), 0),
            (Some("elsewhere.org"), 0),
            (Some(""), 0),
            (None, 0),
        ] {
            let found = choose(names.of(host), &[SignatureScheme::ECDSA_NISTP256_SHA256]).expect("one");
            assert!(Arc::ptr_eq(&found, &all[place].key), "{host:?}");
        }
    }

    #[test]
    fn of_two_for_a_host_the_client_gets_the_one_it_can_verify() {
        let all = [identity(&["a.com"], &PKCS_ED25519), identity(&["a.com"], &PKCS_ECDSA_P256_SHA256)];
        let names = Names::new(&all);
        let found = choose(names.of(Some("a.com")), &[SignatureScheme::ECDSA_NISTP256_SHA256]).expect("one");
        assert!(Arc::ptr_eq(&found, &all[1].key));
        let found = choose(names.of(Some("a.com")), &[SignatureScheme::RSA_PSS_SHA256]).expect("one");
        assert!(Arc::ptr_eq(&found, &all[0].key), "none fits: the handshake says so");
    }
}
