//! Tells systemd how the process is doing, where it asks (`Type=notify`; `sd_notify(3)`).

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Says that, e.g. `READY=1`. Nothing happens where nobody asked.
pub(super) fn say(state: &str) {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send(name.as_bytes(), state) {
        log::warn!("the supervisor at {} cannot be told {state}: {error}", name.display());
    }
}

fn send(name: &[u8], state: &str) -> io::Result<()> {
    let to = match name {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        path => SocketAddr::from_pathname(std::path::Path::new(std::ffi::OsStr::from_bytes(path)))?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &to).map(drop)
}
