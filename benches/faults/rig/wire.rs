//! A TCP proxy that does harm: it stands between the proxy under test and a node, and delays, slices, swallows, resets or
//! half-closes what passes, from one moment to the next.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What it does, to connections that are there and to those that come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Harm {
    /// Nothing.
    Pass,
    /// Each piece comes so late.
    Delay(Duration),
    /// Pieces of so many bytes, with such a pause between two.
    Slice(usize, Duration),
    /// Takes everything and passes nothing on: the peer is gone and nobody said so.
    Swallow,
    /// Ends every connection with RST (`SO_LINGER` 0), and each that comes.
    Reset,
}

/// The proxy. Dropping it cuts everything.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) address: SocketAddr,
    harm: watch::Sender<(Harm, u64)>,
    open: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Wire {
    /// In front of `to`, harmless at first.
    pub(crate) async fn to(to: SocketAddr) -> Result<Self, String> {
        let problem = |problem: std::io::Error| format!("the fault proxy: {problem}");
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(problem)?;
        let address = listener.local_addr().map_err(problem)?;
        let (harm, watched) = watch::channel((Harm::Pass, 0));
        let open = Arc::new(AtomicUsize::new(0));
        let count = open.clone();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (harm, count) = (watched.clone(), count.clone());
                connections.spawn(async move {
                    count.fetch_add(1, Ordering::SeqCst);
                    carry(client, to, harm).await;
                    count.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Ok(Self { address, harm, open, task })
    }

    /// From now on.
    pub(crate) fn harm(&self, harm: Harm) {
        self.harm.send_modify(|now| *now = (harm, now.1 + 1));
    }

    /// Connections that it carries.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Closes with RST instead of FIN.
pub(crate) fn reset(stream: TcpStream) {
    let _ = stream.set_zero_linger();
}

async fn carry(mut client: TcpStream, to: SocketAddr, mut harm: watch::Receiver<(Harm, u64)>) {
    let first = *harm.borrow_and_update();
    if first.0 == Harm::Reset {
        return reset(client);
    }
    let Ok(mut node) = TcpStream::connect(to).await else { return reset(client) };
    let _ = (client.set_nodelay(true), node.set_nodelay(true));
    let (mut up, mut down) = (vec![0; 16 << 10], vec![0; 16 << 10]);
    loop {
        let passed = tokio::select! {
            changed = harm.changed() => match (changed, harm.borrow_and_update().0) {
                (Err(_), _) => return,
                (_, Harm::Reset) => return reset(client),
                _ => true,
            },
            read = client.read(&mut up) => match read {
                Ok(0) | Err(_) => return,
                Ok(bytes) => {
                    let now = harm.borrow().0;
                    pass(&up[..bytes], &mut node, now).await
                }
            },
            read = node.read(&mut down) => match read {
                Ok(0) => return,
                Err(_) => return reset(client),
                Ok(bytes) => {
                    let now = harm.borrow().0;
                    pass(&down[..bytes], &mut client, now).await
                }
            },
        };
        if !passed {
            return;
        }
    }
}

async fn pass(bytes: &[u8], to: &mut TcpStream, harm: Harm) -> bool {
    match harm {
        Harm::Swallow => true,
        Harm::Delay(pause) => {
            tokio::time::sleep(pause).await;
            to.write_all(bytes).await.is_ok()
        }
        Harm::Slice(size, pause) => {
            for piece in bytes.chunks(size.max(1)) {
                if to.write_all(piece).await.is_err() {
                    return false;
                }
                tokio::time::sleep(pause).await;
            }
            true
        }
        Harm::Pass | Harm::Reset => to.write_all(bytes).await.is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
            }
        });
        address
    }

    async fn said(stream: &mut TcpStream, text: &[u8]) -> std::io::Result<Vec<u8>> {
        stream.write_all(text).await?;
        let mut answer = vec![0; text.len()];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    }

    #[tokio::test]
    async fn it_passes_slices_and_resets() {
        let wire = Wire::to(echo().await).await.expect("a wire");
        let mut stream = TcpStream::connect(wire.address).await.expect("connected");
        assert_eq!(said(&mut stream, b"hello").await.expect("echoed"), b"hello");
        wire.harm(Harm::Slice(2, Duration::from_millis(1)));
        assert_eq!(said(&mut stream, b"in pieces").await.expect("echoed"), b"in pieces");
        wire.harm(Harm::Reset);
        let problem = stream.read(&mut [0; 1]).await.expect_err("RST, not FIN");
        assert_eq!(problem.kind(), std::io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn what_it_swallows_never_arrives() {
        let wire = Wire::to(echo().await).await.expect("a wire");
        let mut stream = TcpStream::connect(wire.address).await.expect("connected");
        assert_eq!(said(&mut stream, b"hello").await.expect("echoed"), b"hello");
        wire.harm(Harm::Swallow);
        let lost = tokio::time::timeout(Duration::from_millis(100), said(&mut stream, b"lost")).await;
        assert!(lost.is_err(), "{lost:?}");
    }
}
