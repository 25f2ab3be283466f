//! Bytes on their way in and out.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that were read and not yet forgotten.
#[derive(Debug)]
pub(super) struct Buffer {
    data: Vec<u8>,
    len: usize,
}

impl Buffer {
    pub(super) fn new(capacity: usize) -> Self {
        Self { data: vec![0; capacity], len: 0 }
    }

    #[cfg(test)]
    pub(super) fn holding(bytes: &[u8]) -> Self {
        Self { data: bytes.to_vec(), len: bytes.len() }
    }

    pub(super) fn filled(&self) -> &[u8] {
        &self.data[..self.len]
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn capacity(&self) -> usize {
        self.data.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.len == self.data.len()
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    /// Makes it hold `capacity` bytes at least.
    pub(super) fn grow(&mut self, capacity: usize) {
        if self.data.len() < capacity {
            self.data.resize(capacity, 0);
        }
    }

    /// Takes out a range.
    pub(super) fn discard(&mut self, range: Range<usize>) {
        self.data.copy_within(range.end..self.len, range.start);
        self.len -= range.len();
    }

    /// Reads once; 0 is the end of the stream. There must be room. A read that does not fill the room empties the socket,
    /// and tokio remembers that (`poll_read`, not `try_read`): the next one waits without asking the kernel.
    pub(super) fn poll_fill<S>(&mut self, context: &mut Context<'_>, stream: &mut S) -> Poll<io::Result<usize>>
    where
        S: AsyncRead + Unpin,
    {
        let mut room = ReadBuf::new(&mut self.data[self.len..]);
        ready!(Pin::new(stream).poll_read(context, &mut room))?;
        let read = room.filled().len();
        self.len += read;
        Poll::Ready(Ok(read))
    }
}

/// Bytes to be written: some of our own, then a range of what was read elsewhere, so that large bodies are not copied.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Written first.
    pub(super) bytes: Vec<u8>,
    done: usize,
    /// Whether the stream may hold back what it took.
    held: bool,
    /// Written after them, out of the buffer that [`Outbox::poll_flush`] is given.
    pub(super) direct: Range<usize>,
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.is_taken() && !self.held
    }

    fn is_taken(&self) -> bool {
        self.bytes.is_empty() && self.direct.is_empty()
    }

    /// What of our own is not written yet.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.done..]
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.done = 0;
        self.held = false;
        self.direct = 0..0;
    }

    /// Writes until nothing is left. `moved` is set when a byte was taken by the stream.
    pub(super) fn poll_flush<S>(
        &mut self,
        context: &mut Context<'_>,
        stream: &mut S,
        source: &[u8],
        moved: &mut bool,
    ) -> Poll<io::Result<()>>
    where
        S: AsyncWrite + Unpin,
    {
        while !self.is_taken() {
            let own = &self.bytes[self.done..];
            let direct = &source[self.direct.clone()];
            let stream = Pin::new(&mut *stream);
            let wrote = ready!(match (own.is_empty(), direct.is_empty()) {
                (_, true) => stream.poll_write(context, own),
                (true, false) => stream.poll_write(context, direct),
                (false, false) => stream.poll_write_vectored(context, &[IoSlice::new(own), IoSlice::new(direct)]),
            })?;
            if wrote == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *moved = true;
            self.held = true;
            let of_own = wrote.min(own.len());
            self.done += of_own;
            self.direct.start += wrote - of_own;
            if self.done == self.bytes.len() {
                self.bytes.clear();
                self.done = 0;
            }
        }
        self.direct = 0..0;
        // Costs a plain socket nothing: it holds nothing back.
        ready!(Pin::new(stream).poll_flush(context))?;
        self.held = false;
        Poll::Ready(Ok(()))
    }
}
