//! Certificates that must not be shown.

use pointsman_demo::load::{self, LoadOptions, Trust};

use crate::Terms;
use crate::rig::{Cause, Puppet, Rig, Setup, until};
use crate::rows::running;
use crate::seen::Seen;

/// A certificate for `localhost` and its key, valid for so many days from or until now.
fn certificate(expired: bool) -> Result<(String, String), String> {
    let problem = |problem: rcgen::Error| problem.to_string();
    let key = rcgen::KeyPair::generate().map_err(problem)?;
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).map_err(problem)?;
    if expired {
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    }
    Ok((params.self_signed(&key).map_err(problem)?.pem(), key.serialize_pem()))
}

/// Handshakes and requests over TLS that trust that certificate alone; how many failed of 20.
async fn failed(rig: &Rig, pem: &str) -> Result<u64, String> {
    let file = rig.proxy.folder().join("trusted.pem");
    std::fs::write(&file, pem).map_err(|problem| problem.to_string())?;
    let mut options = LoadOptions { keep_alive: false, ..rig.load("GET", "/fault/x", 2).requests(20) };
    options.to = rig.proxy.listeners[1];
    options.tls = Some(Trust::read(&file, "localhost")?);
    options.end = load::End::Requests(20);
    Ok(running(options)?.finish().await.failed)
}

pub(super) async fn certificates(terms: &Terms) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let node = Puppet::start("fault-1").await?;
    let (cert, key) = certificate(false)?;
    let rig = Setup::new()
        .file("site.pem", cert.clone())
        .file("site.key", key.clone())
        .also_listen("{ address: \"@listen2@\", tls: { certificates: [{ cert: site.pem, key: site.key }] } }")
        .faulty(&[&node], "")
        .start(terms)
        .await?;
    seen.same("before: failed of 20", failed(&rig, &cert).await?, 0);
    let (expired, expired_key) = certificate(true)?;
    let (another, another_key) = certificate(false)?;
    let cases = [
        ("garbage", "no certificate".to_owned(), key.clone()),
        ("empty", String::new(), key.clone()),
        ("another's key", cert.clone(), another_key.clone()),
        ("expired", expired, expired_key),
    ];
    for (number, (name, cert_now, key_now)) in (1..).zip(cases) {
        for (file, text) in [("site.key", key_now), ("site.pem", cert_now)] {
            let aside = rig.proxy.folder().join("aside.pem");
            let written =
                std::fs::write(&aside, text).and_then(|()| std::fs::rename(&aside, rig.proxy.folder().join(file)));
            written.map_err(|problem| problem.to_string())?;
        }
        let labels = ["outcome=\"refused\""];
        let refused = until(std::time::Duration::from_secs(10), || async {
            rig.moved("pointsman_certificate_reloads_total", &labels).await.is_ok_and(|by| by >= f64::from(number))
        })
        .await;
        seen.claim(format!("{name}: refused"), refused, if refused { "yes" } else { "no" });
        seen.same(format!("{name}: failed of 20 with the old one"), failed(&rig, &cert).await?, 0);
    }
    for (file, text) in [("site.key", another_key), ("site.pem", another.clone())] {
        let aside = rig.proxy.folder().join("aside.pem");
        let written =
            std::fs::write(&aside, text).and_then(|()| std::fs::rename(&aside, rig.proxy.folder().join(file)));
        written.map_err(|problem| problem.to_string())?;
    }
    let renewed = until(std::time::Duration::from_secs(15), || async { failed(&rig, &another).await == Ok(0) }).await;
    seen.claim("a good one is shown after all", renewed, if renewed { "yes" } else { "no" });
    let cause = Cause {
        metric: "pointsman_certificate_reloads_total",
        labels: &["outcome=\"refused\""],
        log: &["certificate-refused"],
    };
    rig.judge(&mut seen, &[&node], Vec::new(), &[cause]).await?;
    Ok(seen)
}
