//! Under a supervisor that asks how the process is doing, as systemd does with `Type=notify`.

use pointsman_demo::harness::{PATIENCE, Proxy, ProxyOptions};
use tokio::net::UnixDatagram;

use crate::stage::{BINARY, upgrade};

const YAML: &str = r#"
listeners: [{ address: "@listen@" }]
admin: { address: "@admin@" }
access_log: off
registry: { store: embedded, path: registry }
services: { api: { nodes: [{ id: n1, address: "127.0.0.1:1" }] } }
routes: [{ match: {}, service: api }]
"#;

async fn heard(socket: &UnixDatagram) -> String {
    let mut bytes = [0; 256];
    let read = tokio::time::timeout(PATIENCE, socket.recv(&mut bytes)).await.expect("in time").expect("a word");
    String::from_utf8_lossy(&bytes[..read]).into_owned()
}

#[tokio::test]
async fn a_supervisor_is_told_who_serves() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("notify");
    let socket = UnixDatagram::bind(&place).expect("bound");
    let mut options = ProxyOptions::new(BINARY, YAML).arguments(&["--threads", "1"]);
    options.environment.push(("NOTIFY_SOCKET".into(), place.to_str().expect("a path").into()));
    let mut proxy = Proxy::start_with(options).await.expect("a proxy that serves");
    assert_eq!(heard(&socket).await, "READY=1");
    for _ in 0..2 {
        let pid = upgrade(&mut proxy, &[]).await.expect("upgraded");
        assert_eq!(heard(&socket).await, format!("MAINPID={pid}"));
    }
    proxy.signal(libc::SIGTERM).expect("signalled");
    assert_eq!(heard(&socket).await, "STOPPING=1");
    proxy.heir_ended().await.expect("ends");
}
