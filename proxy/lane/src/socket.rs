//! A stream socket that is read and written by the system calls themselves.
//!
//! In a process with several threads glibc makes `recv`, `send` and `writev` points at which a thread can be cancelled: it marks
//! them before and after the call, which costs a small request several percent of its time, and nobody cancels threads here.
//! `syscall(2)` does no more than the call.

use std::io::{self, IoSlice};
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use libc::{c_long, c_void};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// A connection over TCP or a Unix socket: the kernel reads, writes, watches and closes both by the same calls, and nothing
/// else is asked of it here. So a Unix connection, too, comes as a `TcpStream`, which is a descriptor of a stream socket.
#[derive(Debug)]
pub struct Socket(TcpStream);

impl Socket {
    /// As tokio knows it.
    pub fn get_ref(&self) -> &TcpStream {
        &self.0
    }

    /// As tokio knows it.
    pub fn into_inner(self) -> TcpStream {
        self.0
    }

    /// Carries out `call`, which moves at most `most` bytes, once the socket is ready for it. One that moves fewer has
    /// emptied or filled the socket: it counts as not ready any more, so that the next call waits instead of asking
    /// the kernel in vain (the socket is watched edge by edge; tokio's own reads and writes do the same).
    #[inline]
    fn once_ready(
        &self,
        interest: Interest,
        most: usize,
        task: &mut Context<'_>,
        mut call: impl FnMut(i32) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let fd = self.0.as_raw_fd();
        loop {
            ready!(if interest.is_readable() { self.0.poll_read_ready(task) } else { self.0.poll_write_ready(task) })?;
            let mut moved = Ok(0);
            let is_used_up = |moved: &io::Result<usize>| match moved {
                Ok(count) => 0 < *count && *count < most,
                Err(error) => error.kind() == io::ErrorKind::WouldBlock,
            };
            let _ = self.0.try_io(interest, || {
                moved = call(fd);
                if is_used_up(&moved) { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
            });
            match moved {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                moved => return Poll::Ready(moved),
            }
        }
    }
}

impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Self {
        Self(stream)
    }
}

impl AsyncRead for Socket {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, task: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let room = into.initialize_unfilled();
        let read = ready!(self.once_ready(Interest::READABLE, room.len(), task, |fd| receive(fd, room)))?;
        into.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.once_ready(Interest::WRITABLE, bytes.len(), task, |fd| send(fd, bytes))
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let most = parts.iter().map(|part| part.len()).sum();
        self.once_ready(Interest::WRITABLE, most, task, |fd| send_all(fd, parts))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(task)
    }
}

/// recv(2), which the kernel knows as recvfrom without an address.
#[inline]
#[expect(unsafe_code, reason = "a system call without the library's cancellation points")]
fn receive(fd: i32, room: &mut [u8]) -> io::Result<usize> {
    const NO_FLAGS: c_long = 0;
    let nowhere = std::ptr::null_mut::<c_void>();
    // SAFETY: the kernel writes at most `room.len()` bytes at `room`, which is borrowed for writing as long as the call
    // lasts; null says that no address is asked for.
    told(unsafe { libc::syscall(libc::SYS_recvfrom, fd, room.as_mut_ptr(), room.len(), NO_FLAGS, nowhere, nowhere) })
}

/// send(2), which the kernel knows as sendto without an address.
#[inline]
#[expect(unsafe_code, reason = "a system call without the library's cancellation points")]
fn send(fd: i32, bytes: &[u8]) -> io::Result<usize> {
    const FLAGS: c_long = libc::MSG_NOSIGNAL as c_long;
    const NO_LENGTH: c_long = 0;
    let nobody = std::ptr::null::<c_void>();
    // SAFETY: the kernel reads at most `bytes.len()` bytes at `bytes`, which is borrowed as long as the call lasts; null says
    // that no address is given.
    told(unsafe { libc::syscall(libc::SYS_sendto, fd, bytes.as_ptr(), bytes.len(), FLAGS, nobody, NO_LENGTH) })
}

/// sendmsg(2) without an address.
#[inline]
#[expect(unsafe_code, reason = "a system call without the library's cancellation points")]
fn send_all(fd: i32, parts: &[IoSlice<'_>]) -> io::Result<usize> {
    const FLAGS: c_long = libc::MSG_NOSIGNAL as c_long;
    let message = libc::msghdr {
        msg_name: std::ptr::null_mut(),
        msg_namelen: 0,
        // An IoSlice is an iovec in memory (its documentation), and sendmsg does not write to it.
        msg_iov: parts.as_ptr().cast_mut().cast(),
        msg_iovlen: parts.len(),
        msg_control: std::ptr::null_mut(),
        msg_controllen: 0,
        msg_flags: 0,
    };
    // SAFETY: the kernel reads the message and the parts that it names, all borrowed as long as the call lasts.
    told(unsafe { libc::syscall(libc::SYS_sendmsg, fd, &raw const message, FLAGS) })
}

/// What the kernel says: a count, or -1 with the reason in `errno`.
fn told(answer: c_long) -> io::Result<usize> {
    usize::try_from(answer).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let ours = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("connected");
        (ours.into(), listener.accept().await.expect("accepted").0)
    }

    #[tokio::test]
    async fn more_than_the_socket_holds_goes_through_whole_and_in_order() {
        let (mut ours, theirs) = pair().await;
        let sent: Vec<u8> = (0..16 << 20).map(|n: u32| (n % 251) as u8).collect();
        let expected = sent.clone();
        let (mut read, mut write) = theirs.into_split();
        let echo = tokio::spawn(async move { tokio::io::copy(&mut read, &mut write).await.map(|_| write) });
        let mut got = vec![0; sent.len()];
        let (mut reads, mut writes) = tokio::io::split(&mut ours);
        let send = async {
            let (head, rest) = sent.split_at(3 << 20);
            writes.write_all(head).await?;
            let mut parts = [IoSlice::new(&rest[..5]), IoSlice::new(&rest[5..])];
            let mut parts = &mut parts[..];
            while !parts.is_empty() {
                let count = writes.write_vectored(parts).await?;
                IoSlice::advance_slices(&mut parts, count);
            }
            io::Result::Ok(())
        };
        let (sent, received) = tokio::join!(send, reads.read_exact(&mut got));
        sent.expect("sent");
        received.expect("received");
        assert!(got == expected, "the bytes differ");
        ours.shutdown().await.expect("shut");
        drop(echo.await.expect("no panic").expect("echoed"));
        assert_eq!(ours.read(&mut [0; 8]).await.expect("an end"), 0);
    }

    #[tokio::test]
    async fn what_arrives_after_a_short_read_wakes_the_reader() {
        let (mut ours, mut theirs) = pair().await;
        for round in 0..200_u8 {
            theirs.write_all(&[round; 3]).await.expect("sent");
            let mut room = [0; 64];
            let count = ours.read(&mut room).await.expect("read");
            assert_eq!(&room[..count], &[round; 3][..count]);
            if count < 3 {
                ours.read_exact(&mut room[count..3]).await.expect("the rest");
            }
        }
    }

    #[tokio::test]
    async fn writing_to_who_has_gone_is_an_error_and_no_signal() {
        let (mut ours, theirs) = pair().await;
        theirs.set_zero_linger().expect("set");
        drop(theirs);
        let error = loop {
            if let Err(error) = ours.write_all(b"anybody?").await {
                break error;
            }
        };
        assert!(matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset), "{error}");
        assert!(ours.read(&mut [0; 8]).await.is_err() || ours.read(&mut [0; 8]).await.is_ok_and(|count| count == 0));
    }
}
