//! The PROXY protocol, versions 1 and 2 (<https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt>): a proxy before
//! this one says, before anything else, whose connection it passes on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest line of version 1, its end included (section 2.1).
const LINE: usize = 107;
/// Bytes after the fixed part of version 2 that are read: addresses take 216 at most, the rest is not looked at.
const REST: usize = 4096;
/// How version 2 begins (section 2.2).
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// What is no such header.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Reads the header and nothing after it. `None`: the connection is the proxy's own, or of a kind that has no address.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<SocketAddr>, Malformed> {
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.map_err(|_| Malformed)?;
    if start == SIGNATURE { binary(stream).await } else { text(stream, &start).await }
}

async fn text(stream: &mut (impl AsyncRead + Unpin), start: &[u8]) -> Result<Option<SocketAddr>, Malformed> {
    if !start.starts_with(b"PROXY ") {
        return Err(Malformed);
    }
    let mut line = start.to_vec();
    // Byte by byte, since what follows is somebody else's.
    while !line.ends_with(b"\r\n") {
        if line.len() >= LINE {
            return Err(Malformed);
        }
        line.push(stream.read_u8().await.map_err(|_| Malformed)?);
    }
    let line = std::str::from_utf8(&line[..line.len() - 2]).map_err(|_| Malformed)?;
    let parts: Vec<&str> = line.split(' ').collect();
    let (v4, source, target, port, other) = match parts.as_slice() {
        ["PROXY", "UNKNOWN", ..] => return Ok(None),
        ["PROXY", kind @ ("TCP4" | "TCP6"), source, target, port, other] => {
            (*kind == "TCP4", source, target, port, other)
        }
        _ => return Err(Malformed),
    };
    let address = |text: &str| text.parse::<IpAddr>().ok().filter(|ip| ip.is_ipv4() == v4).ok_or(Malformed);
    let number = |text: &str| text.parse::<u16>().map_err(|_| Malformed);
    address(target)?;
    number(other)?;
    Ok(Some(SocketAddr::new(address(source)?, number(port)?)))
}

async fn binary(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<SocketAddr>, Malformed> {
    let mut fixed = [0; 4];
    stream.read_exact(&mut fixed).await.map_err(|_| Malformed)?;
    let [command, family, high, low] = fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > REST {
        return Err(Malformed);
    }
    let mut rest = vec![0; length];
    stream.read_exact(&mut rest).await.map_err(|_| Malformed)?;
    let port = |at: usize| u16::from_be_bytes([rest[at], rest[at + 1]]);
    match (command, family) {
        (0x21, 0x11) if length >= 12 => {
            let source: [u8; 4] = rest[..4].try_into().map_err(|_| Malformed)?;
            Ok(Some(SocketAddr::new(Ipv4Addr::from(source).into(), port(8))))
        }
        (0x21, 0x21) if length >= 36 => {
            let source: [u8; 16] = rest[..16].try_into().map_err(|_| Malformed)?;
            Ok(Some(SocketAddr::new(Ipv6Addr::from(source).into(), port(32))))
        }
        (0x21, 0x11 | 0x21) => Err(Malformed),
        // LOCAL, the proxy asks for itself; or addresses of no known kind, or a Unix socket's.
        (0x20 | 0x21, _) => Ok(None),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn told(bytes: &[u8]) -> Result<Option<String>, Malformed> {
        let mut whole = [bytes, b"GET"].concat();
        let mut rest = whole.as_mut_slice() as &[u8];
        let found = read(&mut rest).await?;
        assert_eq!(rest, b"GET", "what follows is left");
        Ok(found.map(|address| address.to_string()))
    }

    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).expect("short").to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    #[tokio::test]
    async fn lines_are_read() {
        for (line, address) in [
            ("PROXY TCP4 192.0.2.1 192.0.2.2 4711 80\r\n", Some("192.0.2.1:4711")),
            ("PROXY TCP6 2001:db8::1 ::1 1 2\r\n", Some("[2001:db8::1]:1")),
            ("PROXY UNKNOWN\r\n", None),
            ("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None),
        ] {
            assert_eq!(told(line.as_bytes()).await, Ok(address.map(str::to_owned)), "{line}");
        }
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(LINE));
        for line in [
            "GET / HTTP/1.1\r\n\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 4711\r\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 65536 80\r\n",
            "PROXY TCP4  192.0.2.1 192.0.2.2 1 80\r\n",
            "PROXY UDP4 192.0.2.1 192.0.2.2 1 80\r\n",
            long.as_str(),
        ] {
            assert_eq!(told(line.as_bytes()).await, Err(Malformed), "{line}");
        }
    }

    #[tokio::test]
    async fn bytes_are_read() {
        let v4 = [192, 0, 2, 1, 192, 0, 2, 2, 0x12, 0x67, 0, 80];
        assert_eq!(told(&binary(0x21, 0x11, &v4)).await, Ok(Some("192.0.2.1:4711".into())));
        let with_more = [&v4[..], &[4, 0, 1, 0]].concat();
        assert_eq!(told(&binary(0x21, 0x11, &with_more)).await, Ok(Some("192.0.2.1:4711".into())));
        let v6 = [&Ipv6Addr::LOCALHOST.octets()[..], &[0; 16], &[0, 7, 0, 80]].concat();
        assert_eq!(told(&binary(0x21, 0x21, &v6)).await, Ok(Some("[::1]:7".into())));
        assert_eq!(told(&binary(0x20, 0, &[])).await, Ok(None));
        assert_eq!(told(&binary(0x21, 0, &[1])).await, Ok(None));
        assert_eq!(told(&binary(0x21, 0x31, &[0; 216])).await, Ok(None));
        for wrong in [
            binary(0x11, 0x11, &v4),
            binary(0x22, 0x11, &v4),
            binary(0x21, 0x11, &v4[..11]),
            binary(0x21, 0x21, &v4),
            binary(0x20, 0, &[0; 5000]),
        ] {
            assert_eq!(told(&wrong).await, Err(Malformed), "{wrong:?}");
        }
    }
}
