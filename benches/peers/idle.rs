//! What idle keep-alive connections of clients hold.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::running::Running;
use crate::scenario::Scenario;

/// Connections that are held before memory is read for the first time. They touch code and tables that all share, and make an
/// allocator give back what the start of the program left behind, in our case megabytes, at some point before the 500th.
const FIRST: usize = 1000;

/// Memory of a proxy that holds so many of them beyond the first thousand.
#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct Idle {
    pub(crate) scenario: Scenario,
    pub(crate) proxy: String,
    pub(crate) connections: usize,
    pub(crate) kib_per_connection: f64,
}

/// Opens connections one after the other, asks once on each, and reads what holding them costs at each of `counts`, which
/// ascend. The second value: why it could not go on to all of them.
pub(crate) fn measure(proxy: &Running, scenario: Scenario, counts: &[usize]) -> (Vec<Idle>, Option<String>) {
    let mut measured = Vec::new();
    let outcome = hold(proxy, counts, |connections, kib_per_connection| {
        measured.push(Idle { scenario, proxy: proxy.name.clone(), connections, kib_per_connection });
    });
    let problem = outcome.err().map(|problem| format!("{scenario}: {}: idle connections: {problem}", proxy.name));
    (measured, problem)
}

fn hold(proxy: &Running, counts: &[usize], mut found: impl FnMut(usize, f64)) -> Result<(), String> {
    if counts.is_empty() {
        return Ok(());
    }
    let mut held = Vec::new();
    let mut fill = |count| {
        while held.len() < count {
            held.push(asked(proxy.address).map_err(|problem| format!("after {}: {problem}", held.len()))?);
        }
        settled(proxy)
    };
    let before = fill(FIRST)?;
    for count in counts {
        found(*count, (fill(FIRST + *count)? as f64 - before as f64) / *count as f64);
    }
    Ok(())
}

/// Memory after what was just answered has been put away.
fn settled(proxy: &Running) -> Result<u64, String> {
    std::thread::sleep(Duration::from_secs(1));
    proxy.process.pss_kib()
}

fn asked(to: SocketAddr) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: bench\r\nx-customer-id: 1\r\n\r\n")?;
    // The reply is small and comes in one piece or a few; its length does not matter, its arrival does.
    let mut reply = [0; 4096];
    if stream.read(&mut reply)? == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(stream)
}
