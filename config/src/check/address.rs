//! Where sockets are, and who may connect to those in the file system.

use std::net::SocketAddr;
use std::path::Path;

use super::fields::Fields;
use crate::plan::{Address, LONGEST_PATH, NoAddress};
use crate::raw::{Node, Value};

impl Fields<'_> {
    /// Where somebody listens. `to_connect`: port 0 and unspecified addresses are no use.
    pub(crate) fn address(&self, name: &str, to_connect: bool) -> Option<Address> {
        let node = self.get(name)?;
        let text = match &node.value {
            Value::Text(text) => text.text.clone(),
            Value::Int(number) => number.to_string(),
            _ => String::new(),
        };
        if let Some(path) = Address::path_in(&text) {
            return self.unix(name, node, path);
        }
        let Ok(address) = text.parse::<SocketAddr>() else {
            self.wrong(name, node, "an IP address and a port", address_hint(&text));
            return None;
        };
        if to_connect && (address.port() == 0 || address.ip().is_unspecified()) {
            self.wrong(name, node, "an address that can be connected to", "write the node's own address and port");
            return None;
        }
        Some(address.into())
    }

    /// A Unix socket; its path is joined to the folder of the file.
    fn unix(&self, name: &str, node: &Node, written: &str) -> Option<Address> {
        let path = self.checks.path(written);
        let address = match written.chars().next() {
            None => Err(NoAddress::NoPath),
            Some('@') => Err(NoAddress::Abstract),
            Some(_) => Address::unix(&path),
        };
        let (wants, hint) = match address {
            Ok(address) => return Some(address),
            Err(NoAddress::Long(bytes)) => (
                format!("a path of at most {LONGEST_PATH} bytes"),
                format!("`{}` has {bytes}: put the socket into a folder with a shorter name", path.display()),
            ),
            Err(NoAddress::Abstract) => (
                "the path of a file".into(),
                "names with `@` are open to every user of the machine; write for example `unix:/run/app.sock`".into(),
            ),
            Err(_) => ("the path of a socket".into(), "for example `unix:/run/app.sock`".into()),
        };
        self.wrong(name, node, wants, hint);
        None
    }

    /// `mode`: who may connect to a Unix socket.
    pub(crate) fn mode(&self, address: &Address) -> Option<u32> {
        let node = self.get("mode")?;
        if address.ip().is_some() {
            let message = format!("{} has no effect: {address} is no file", self.label("mode"));
            self.checks.report(self.key_mark("mode"), message, "leave it out, or listen on a Unix socket");
            return None;
        }
        let digits = |text: &&str| matches!(text.len(), 3 | 4) && text.bytes().all(|b| matches!(b, b'0'..=b'7'));
        let mode = node.as_text().filter(digits).and_then(|text| u32::from_str_radix(text, 8).ok());
        let mode = mode.filter(|mode| *mode <= 0o777);
        if mode.is_none() {
            let hint = "for example `\"0660\"`: its owner and its group may connect";
            self.wrong("mode", node, "octal digits in quotes, from \"000\" to \"0777\"", hint);
        }
        mode
    }
}

fn address_hint(text: &str) -> String {
    if text.starts_with('/') || Path::new(text).extension().is_some_and(|ending| ending == "sock") {
        return format!("write `unix:{}` for a Unix socket", text.trim_start_matches("unix://"));
    }
    let looks_like_port = |port: &str| port.parse::<u16>().is_ok();
    if let Some(port) = Some(text.strip_prefix(':').unwrap_or(text)).filter(|port| looks_like_port(port)) {
        return format!("write `0.0.0.0:{port}` for every interface, or `127.0.0.1:{port}` for this machine alone");
    }
    if let Ok(ip) = text.parse::<std::net::IpAddr>() {
        let shown = SocketAddr::new(ip, 8080);
        return format!("add a port: `{shown}`");
    }
    if let Some((host, port)) = text.rsplit_once(':') {
        if host == "localhost" && looks_like_port(port) {
            return format!("write `127.0.0.1:{port}`");
        }
        if host.contains("://") || host.ends_with('/') {
            return "leave out the scheme: `127.0.0.1:8080`".into();
        }
        if looks_like_port(port) && host.contains(|c: char| c.is_ascii_alphabetic()) && !host.contains(':') {
            return "names are not looked up; write the IP address, or let the node join through the registry".into();
        }
    }
    "for example `127.0.0.1:8080` or `[::1]:8080`".into()
}
