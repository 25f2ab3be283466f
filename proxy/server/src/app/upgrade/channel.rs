//! What two processes say to each other while one takes over from the other, over a pair of sockets of their own.
//!
//! Each message is its length and JSON; listening sockets follow the offer that counts them (unix(7), `SCM_RIGHTS`). Both
//! ends may be of different versions: fields and kinds of messages are added, never changed.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, UnixAddr, recvmsg, sendmsg};
use pointsman_config::plan::Address;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::listening::FileId;
use crate::world::legacy::Legacy;

/// Tells a process that its standard input is the other end of a [`Channel`].
pub(super) const ENVIRONMENT: &str = "POINTSMAN_UPGRADE";

/// The longest message: 100,000 nodes are some 10 MiB.
const LARGEST: u32 = 64 << 20;

/// Descriptors in one message; the kernel allows 253 (unix(7)).
const AT_ONCE: usize = 128;

/// Sockets of one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// As the configuration names it.
    pub(super) asked: Address,
    /// In use.
    pub(super) address: Address,
    pub(super) sockets: usize,
    /// Of a Unix socket: whatever else has its name is another's.
    #[serde(default)]
    pub(super) file: Option<FileId>,
}

/// What is there to be taken over. The sockets follow, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Offer {
    pub(super) doors: Vec<Place>,
    pub(super) admin: Option<Place>,
    /// The registry's folder: it has to stay where it is.
    pub(super) registry: PathBuf,
    /// Whether the process that offers is ready for traffic.
    pub(super) ready: bool,
    /// Who asked for the upgrade, as the audit names it.
    #[serde(default)]
    pub(super) asked_by: String,
}

/// From the process that serves.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ToHeir {
    Offer(Offer),
    /// The registry is closed: open it.
    Registry(Legacy),
}

/// From the one that is to serve.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum FromHeir {
    /// Configuration, policies and addresses are good; the registry is waited for.
    Proven,
    /// It accepts, on these of the addresses that were offered.
    Serving { taken: Vec<Address> },
    /// It will not.
    Failed { why: String },
}

/// One end.
#[derive(Debug)]
pub(super) struct Channel(UnixStream);

impl Channel {
    /// Both ends; the second is for the standard input of another process.
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        Ok((Self(ours), theirs.into()))
    }

    /// The end that this process was started with.
    pub(super) fn from(end: OwnedFd) -> Self {
        Self(end.into())
    }

    pub(super) fn send(&mut self, message: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_vec(message)?;
        let length = u32::try_from(text.len()).ok().filter(|length| *length <= LARGEST);
        let length = length.ok_or_else(|| io::Error::other("the message is too long"))?;
        self.0.write_all(&length.to_be_bytes())?;
        self.0.write_all(&text)
    }

    /// The next message; an error of kind `UnexpectedEof` if the other process has ended.
    pub(super) fn receive<T: DeserializeOwned>(&mut self, until: Instant) -> io::Result<T> {
        let mut length = [0; 4];
        self.read(&mut length, until)?;
        let length = u32::from_be_bytes(length);
        if length > LARGEST {
            return Err(io::Error::other("the message is too long"));
        }
        let mut text = vec![0; length as usize];
        self.read(&mut text, until)?;
        Ok(serde_json::from_slice(&text)?)
    }

    fn read(&mut self, into: &mut [u8], until: Instant) -> io::Result<()> {
        let mut done = 0;
        while done < into.len() {
            self.wait_until(until)?;
            match self.0.read(&mut into[done..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Bounds what follows; the system says `WouldBlock` once the time is over.
    fn wait_until(&self, until: Instant) -> io::Result<()> {
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.0.set_read_timeout(Some(left))
    }

    /// Gives the other process descriptors of the same sockets.
    pub(super) fn give(&self, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
        for some in sockets.chunks(AT_ONCE) {
            let numbers: Vec<RawFd> = some.iter().map(AsRawFd::as_raw_fd).collect();
            // Descriptors travel with a byte.
            let bytes = [IoSlice::new(&[0])];
            let rights = [ControlMessage::ScmRights(&numbers)];
            sendmsg::<UnixAddr>(self.0.as_raw_fd(), &bytes, &rights, MsgFlags::MSG_NOSIGNAL, None)?;
        }
        Ok(())
    }

    /// Takes so many.
    pub(super) fn take(&self, count: usize, until: Instant) -> io::Result<Vec<OwnedFd>> {
        let mut taken = Vec::new();
        while taken.len() < count {
            self.wait_until(until)?;
            let mut byte = [0];
            let mut bytes = [IoSliceMut::new(&mut byte)];
            let mut room = nix::cmsg_space!([RawFd; AT_ONCE]);
            let flags = MsgFlags::MSG_CMSG_CLOEXEC;
            let message = recvmsg::<UnixAddr>(self.0.as_raw_fd(), &mut bytes, Some(&mut room), flags)?;
            if message.bytes == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            for part in message.cmsgs()? {
                let ControlMessageOwned::ScmRights(numbers) = part else { continue };
                #[expect(unsafe_code, reason = "descriptors that were received are bare numbers")]
                // SAFETY: the kernel has just opened these for us (unix(7)), and nobody else knows their numbers.
                taken.extend(numbers.into_iter().map(|number| unsafe { OwnedFd::from_raw_fd(number) }));
            }
        }
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsFd;

    use super::*;
    use crate::app::upgrade::SIGNAL;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    #[test]
    fn more_sockets_than_one_message_holds_arrive_in_their_order() {
        let (mut ours, theirs) = Channel::pair().expect("a pair");
        let mut theirs = Channel::from(theirs);
        let listeners: Vec<_> = (0..300).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
        let addresses: Vec<_> = listeners.iter().map(|listener| listener.local_addr().expect("bound")).collect();
        let address = addresses[0];
        let place =
            Place { asked: address.into(), address: address.into(), sockets: listeners.len(), file: Some((1, 2)) };
        let offer =
            Offer { doors: vec![place], admin: None, registry: PathBuf::new(), ready: true, asked_by: SIGNAL.into() };
        ours.send(&ToHeir::Offer(offer.clone())).expect("sent");
        ours.give(&listeners.iter().map(AsFd::as_fd).collect::<Vec<_>>()).expect("given");
        ours.send(&ToHeir::Registry(Legacy::default())).expect("sent");
        drop((ours, listeners));
        let ToHeir::Offer(told) = theirs.receive(soon()).expect("an offer") else { panic!("no offer") };
        assert_eq!(told, offer);
        let taken = theirs.take(300, soon()).expect("sockets");
        let seen: Vec<_> =
            taken.into_iter().map(|socket| TcpListener::from(socket).local_addr().expect("bound")).collect();
        assert_eq!(seen, addresses);
        assert!(matches!(theirs.receive(soon()), Ok(ToHeir::Registry(_))));
        let end = theirs.receive::<ToHeir>(soon()).expect_err("the end");
        assert_eq!(end.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn whoever_says_nothing_is_waited_for_only_so_long() {
        let (mut ours, _theirs) = Channel::pair().expect("a pair");
        let silence = ours.receive::<FromHeir>(Instant::now() + Duration::from_millis(20)).expect_err("nothing");
        assert_eq!(silence.kind(), io::ErrorKind::WouldBlock);
    }
}
