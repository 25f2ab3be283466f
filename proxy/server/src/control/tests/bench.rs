//! What the checks cost: run by hand, `cargo test -p pointsman --lib -- --ignored --nocapture two_thousand_checks`.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

/// 200 nodes at 100 ms: counts what arrives at the nodes in five seconds and what the process spends.
#[tokio::test(flavor = "current_thread")]
#[ignore = "a measurement of six seconds; prints checks a second and CPU time"]
async fn two_thousand_checks_a_second() {
    const NODES: u64 = 200;
    let folder = tempfile::tempdir().expect("folder");
    let room = Room::at(folder.path());
    let served = Arc::new(AtomicU64::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
    let address = listener.local_addr().expect("address");
    let count = Arc::clone(&served);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
                count.fetch_add(1, Ordering::Relaxed);
            });
        }
    });
    let nodes = (1..=NODES).map(|n| static_node(&format!("n{n}"), n, address)).collect();
    let check = HealthCheck { interval: Duration::from_millis(100), jitter: 0.0, ..http_check() };
    room.configure(service("oms", Some(check), nodes)).await;
    room.control.first_checks().await.expect("runs");
    let (before, cpu) = (served.load(Ordering::Relaxed), cpu_ticks());
    tokio::time::sleep(Duration::from_secs(5)).await;
    let checks = served.load(Ordering::Relaxed) - before;
    println!("{} checks a second; threads' CPU in hundredths of a second:", checks / 5);
    for (thread, ticks) in cpu_ticks() {
        println!("  {thread}: {}", ticks - cpu.get(&thread).copied().unwrap_or(0));
    }
    assert!(checks >= 5 * NODES * 8, "{checks} checks in 5 s");
}

/// User and system ticks of each thread of this process, by name (proc(5)).
fn cpu_ticks() -> BTreeMap<String, u64> {
    let mut ticks = BTreeMap::new();
    for task in std::fs::read_dir("/proc/self/task").expect("proc").flatten() {
        let Ok(stat) = std::fs::read_to_string(task.path().join("stat")) else { continue };
        let Some((name, rest)) = stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(") ")) else { continue };
        let fields: Vec<u64> = rest.split(' ').skip(11).take(2).filter_map(|f| f.parse().ok()).collect();
        *ticks.entry(name.to_owned()).or_default() += fields.iter().sum::<u64>();
    }
    ticks
}
