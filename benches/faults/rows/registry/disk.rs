//! What the registry acknowledged, on a disk that is full and over a kill in the middle of a write.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pointsman_demo::client::{Connection, Request};
use pointsman_demo::harness::{Proxy, ProxyOptions};
use rand::Rng;
use serde_json::json;

use crate::Terms;
use crate::rig::{Cause, Puppet, Setup};
use crate::seen::Seen;

/// A small disk of our own. Dropping it unmounts it.
struct Disk(tempfile::TempDir);

impl Disk {
    fn mount() -> Result<Self, String> {
        let disk = Self(tempfile::tempdir().map_err(|problem| problem.to_string())?);
        command("mount", &["-t", "tmpfs", "-o", "size=64k", "tmpfs", &disk.path()])?;
        Ok(disk)
    }

    fn path(&self) -> String {
        self.0.path().display().to_string()
    }

    fn remount(&self, how: &str) -> Result<(), String> {
        command("mount", &["-o", &format!("remount,{how}"), &self.path()])
    }

    /// Fills what is left.
    fn fill(&self) {
        use std::io::Write;
        if let Ok(mut file) = std::fs::File::create(self.0.path().join("filler")) {
            while file.write_all(&[0; 512]).is_ok() {}
        }
    }

    fn free(&self) {
        let _ = std::fs::remove_file(self.0.path().join("filler"));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = command("umount", &["-l", &self.path()]);
    }
}

fn command(name: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(name).args(arguments).output().map_err(|problem| format!("{name}: {problem}"))?;
    if output.status.success() { Ok(()) } else { Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr))) }
}

pub(super) async fn full(terms: &Terms) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let disk = Disk::mount()?;
    let node = Puppet::start("fault-1").await?;
    let mut rig = Setup::new().registry(&format!("{}/registry", disk.path())).faulty(&[&node], "").start(terms).await?;
    let join = |number: usize| {
        let (path, body) =
            (format!("/v1/services/fault/nodes/oms-{number}"), json!({ "address": node.address, "ttl": "1h" }));
        let admin = rig.proxy.admin.clone();
        async move { admin.put(&path, &body).await.map_err(|problem| problem.to_string()) }
    };
    seen.same("before: a join", join(1).await?.status, 201);
    disk.fill();
    // The log may have some bytes left in its last page: join until the disk says no.
    let mut last = join(1000).await?;
    for more in 1..200 {
        if last.status == 503 {
            break;
        }
        last = join(1000 + more).await?;
    }
    seen.claim("full: a join is refused aloud", last.status == 503 && last.text().contains("storage"), last.status);
    let read = rig.proxy.admin.get("/v1/services").await.map_err(|problem| problem.to_string())?.status;
    seen.same("full: reads", read, 200);
    seen.same("full: traffic", rig.ask("GET", "/fault/x").await.status(), 200);
    disk.free();
    let again = crate::rig::until(Duration::from_secs(20), || async { join(2).await.is_ok_and(|a| a.status == 201) });
    let again = again.await;
    seen.claim("full: then it is writable again", again, if again { "yes" } else { "no" });
    let before = ids(&rig.proxy).await?;
    rig.hush(&mut seen).await;
    rig.proxy.kill().await.map_err(|problem| problem.to_string())?;
    rig.proxy.restart().await.map_err(|problem| problem.to_string())?;
    let after = ids(&rig.proxy).await?;
    seen.claim("after kill -9: the same nodes", after == before, format!("{} of {}", after.len(), before.len()));
    let damaged = rig.proxy.said().contains("registry-damaged");
    seen.claim("no torn file", !damaged, if damaged { "damaged" } else { "none" });
    read_only(terms, &mut seen).await?;
    let cause = Cause { metric: "", labels: &[], log: &["registry-unwritable"] };
    rig.judge(&mut seen, &[&node], Vec::new(), &[cause]).await?;
    Ok(seen)
}

/// A file system that has open files cannot be made read-only by hand; one that is so from the start can be had.
async fn read_only(terms: &Terms, seen: &mut Seen) -> Result<(), String> {
    let disk = Disk::mount()?;
    disk.remount("ro")?;
    let yaml = format!(
        "listeners: [{{ address: \"@listen@\" }}]\nadmin: {{ address: \"@admin@\" }}\naccess_log: off\n\
         registry: {{ store: embedded, path: {}/registry }}\nservices: {{ fault: {{}} }}\n\
         routes: [{{ match: {{}}, service: fault }}]\n",
        disk.path()
    );
    let end = Proxy::start_unready(ProxyOptions::new(&terms.pointsman, &yaml)).await;
    let said = end.err().map(|problem| problem.to_string()).unwrap_or_default();
    let told = said.contains("it ended") || said.contains("exit status");
    seen.claim(
        "read-only at start: said aloud",
        told && said.contains(&disk.path()),
        said.lines().last().unwrap_or("it started"),
    );
    Ok(())
}

async fn ids(proxy: &Proxy) -> Result<Vec<String>, String> {
    let report = proxy.admin.get("/v1/services/fault").await.and_then(|answer| answer.json());
    let report = report.map_err(|problem| problem.to_string())?;
    let id = |node: &serde_json::Value| node["id"].as_str().unwrap_or_default().to_owned();
    let mut ids: Vec<String> = report["nodes"].as_array().into_iter().flatten().map(id).collect();
    ids.sort_unstable();
    Ok(ids)
}

/// What a writer knows of one node: the weight that was acknowledged last, and the one that was asked for last.
type Known = Arc<Mutex<BTreeMap<String, (u64, u64)>>>;

pub(super) async fn killed(terms: &Terms) -> Result<Seen, String> {
    const YAML: &str = "listeners: [{ address: \"@listen@\" }]\nadmin: { address: \"@admin@\" }\naccess_log: off\n\
        registry: { store: embedded, path: registry }\nservices:\n  fault: { health: { tcp: true } }\n\
        routes: [{ match: {}, service: fault }]\n";
    let mut seen = Seen::default();
    let kills = if terms.quick { 20 } else { 1000 };
    let options = ProxyOptions::new(&terms.pointsman, YAML).arguments(&["--threads", "1"]);
    // Until it accepts only: the nodes are made up, so their checks never pass.
    let mut proxy = Proxy::start_unready(options.clone()).await.map_err(|problem| problem.to_string())?;
    let known = Known::default();
    let (mut right, mut wrong, mut mid_write, mut damaged) = (0, Vec::new(), 0, 0);
    for kill in 0..kills {
        let writers: Vec<_> =
            (0..4).map(|writer| tokio::spawn(write(proxy.admin.address(), writer, known.clone()))).collect();
        let pause = rand::thread_rng().gen_range(2_000..30_000);
        tokio::time::sleep(Duration::from_micros(pause)).await;
        proxy.kill().await.map_err(|problem| problem.to_string())?;
        for writer in writers {
            let _ = writer.await;
        }
        mid_write += u64::from(lock(&known).values().any(|(acknowledged, asked)| acknowledged != asked));
        proxy.restart().await.map_err(|problem| problem.to_string())?;
        let found = weights(&proxy).await?;
        let strays: Vec<String> = lock(&known)
            .iter()
            .filter(|(id, (acknowledged, asked))| {
                found.get(*id).map_or(*acknowledged != 0, |weight| weight < acknowledged || weight > asked)
            })
            .map(|(id, (acknowledged, asked))| {
                format!("kill {kill}: {id} is {:?}, not {acknowledged} to {asked}", found.get(id))
            })
            .collect();
        right += u64::from(strays.is_empty());
        wrong.extend(strays);
        // What the proxy holds now is what counts from here.
        lock(&known)
            .iter_mut()
            .for_each(|(id, known)| *known = found.get(id).map_or((0, 0), |weight| (*weight, *weight)));
        damaged += u64::from(Path::new(&proxy.folder().join("registry")).read_dir().is_ok_and(|mut files| {
            files.any(|file| file.is_ok_and(|file| file.file_name().to_string_lossy().contains("damaged")))
        }));
    }
    seen.same("kills after which the acknowledged state was there", right, kills);
    seen.same("logs found damaged", damaged, 0);
    if let Some(first) = wrong.first() {
        seen.note(first.clone());
    }
    seen.claim("writes were under way when it was killed", mid_write > 0, format!("{mid_write} of {kills}"));
    Ok(seen)
}

fn lock(known: &Known) -> std::sync::MutexGuard<'_, BTreeMap<String, (u64, u64)>> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Joins again and again with a rising weight until the proxy is gone.
async fn write(admin: std::net::SocketAddr, writer: usize, known: Known) -> std::io::Result<()> {
    let mut connection = Connection::open(admin).await?;
    for turn in 0.. {
        let id = format!("oms-{writer}-{}", turn % 4);
        let weight = lock(&known).get(&id).map_or(1, |known| known.1 % 60_000 + 1);
        lock(&known).entry(id.clone()).or_default().1 = weight;
        let body = json!({ "address": "127.0.0.1:9", "weight": weight, "ttl": "24h" });
        let path = format!("/v1/services/fault/nodes/{id}");
        let answer = connection.exchange(&Request::new("PUT", &path).json(&body)).await?;
        if answer.status < 300 {
            lock(&known).entry(id).or_default().0 = weight;
        }
    }
    Ok(())
}

async fn weights(proxy: &Proxy) -> Result<BTreeMap<String, u64>, String> {
    let report = proxy.admin.get("/v1/services/fault").await.and_then(|answer| answer.json());
    let report = report.map_err(|problem| problem.to_string())?;
    let nodes = report["nodes"].as_array().cloned().unwrap_or_default();
    let of = |node: &serde_json::Value| Some((node["id"].as_str()?.to_owned(), node["weight"].as_u64()?));
    Ok(nodes.iter().filter_map(of).collect())
}
