//! A node of which the test decides every answer, and when.

use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::stage::LONG;

/// What the node is asked, in the order in which it comes. Dropping it closes every socket.
pub(crate) struct Puppet {
    pub(crate) address: SocketAddr,
    asked: mpsc::UnboundedReceiver<Asked>,
    task: JoinHandle<()>,
}

/// Names in lower case, in the order sent.
#[derive(Clone, Default)]
pub(crate) struct Headers(Vec<(String, String)>);

/// One request that waits for its answer.
pub(crate) struct Asked {
    /// Method and target, e.g. `GET /a`.
    pub(crate) line: String,
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
    reply: oneshot::Sender<Reply>,
}

enum Reply {
    Status(u16),
    Reset,
    Garbage,
}

impl Puppet {
    pub(crate) async fn start() -> Self {
        Self::at("127.0.0.1:0".parse().expect("an address")).await
    }

    pub(crate) async fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.expect("a socket");
        let address = listener.local_addr().expect("an address");
        let (sender, asked) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let sender = sender.clone();
                connections.spawn(async move {
                    let _ = serve(stream, sender).await;
                });
            }
        });
        Self { address, asked, task }
    }

    /// The next request.
    pub(crate) async fn next(&mut self) -> Asked {
        timeout(LONG, self.asked.recv()).await.expect("a request in time").expect("the node runs")
    }

    /// Whether a request is there that nobody has taken.
    pub(crate) fn is_asked(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Answers every request with this status from now on; gives the number answered when it is stopped.
    pub(crate) fn answer_all(mut self, status: u16) -> JoinHandle<()> {
        tokio::spawn(async move {
            while let Some(asked) = self.asked.recv().await {
                asked.answer(status);
            }
        })
    }
}

impl Drop for Puppet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Headers {
    /// The values of a header, in the order sent.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }
}

impl Asked {
    /// Answers with this status and no body.
    pub(crate) fn answer(self, status: u16) {
        let _ = self.reply.send(Reply::Status(status));
    }

    /// Ends the connection without an answer.
    pub(crate) fn reset(self) {
        let _ = self.reply.send(Reply::Reset);
    }

    /// Answers with something that is not HTTP, and stays.
    pub(crate) fn garble(self) {
        let _ = self.reply.send(Reply::Garbage);
    }
}

async fn serve(stream: TcpStream, sender: mpsc::UnboundedSender<Asked>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut first, mut length, mut chunked, mut headers) = (String::new(), 0, false, Headers::default());
        if stream.read_line(&mut first).await? == 0 {
            return Ok(());
        }
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await?;
            let Some((name, value)) = line.split_once(':') else { break };
            let (name, value) = (name.to_ascii_lowercase(), value.trim().to_owned());
            if name == "content-length" {
                length = value.parse().unwrap_or(0);
            }
            chunked |= name == "transfer-encoding";
            headers.0.push((name, value));
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        if chunked {
            body = chunks(&mut stream).await?;
        }
        let line = first.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
        if line.ends_with("/health") {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await?;
            continue;
        }
        let (reply, answer) = oneshot::channel();
        let _ = sender.send(Asked { line, headers, body, reply });
        match answer.await {
            Ok(Reply::Status(status)) => {
                let text = format!("HTTP/1.1 {status} Said\r\nContent-Length: 0\r\n\r\n");
                stream.write_all(text.as_bytes()).await?;
            }
            Ok(Reply::Garbage) => stream.write_all(b"SSH-2.0-OpenSSH\r\n\r\n").await?,
            Ok(Reply::Reset) | Err(_) => return Ok(()),
        }
    }
}

/// A body in chunks (RFC 9112 section 7.1), without its trailers.
async fn chunks(stream: &mut BufReader<TcpStream>) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let size = usize::from_str_radix(line.trim_end(), 16).map_err(std::io::Error::other)?;
        if size == 0 {
            break;
        }
        let start = body.len();
        body.resize(start + size + 2, 0);
        stream.read_exact(&mut body[start..]).await?;
        body.truncate(start + size);
    }
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 2 {
        line.clear();
    }
    Ok(body)
}
