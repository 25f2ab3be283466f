//! `grpc.health.v1.Health/Check` (<https://github.com/grpc/grpc/blob/master/doc/health-checking.md>), its two messages
//! written and read by hand: one field each.

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};

use super::Failed;

/// The longest answer that is read; one that is right has 7 bytes.
const LONGEST: usize = 1 << 10;
/// `SERVING` among `HealthCheckResponse.ServingStatus`.
const SERVING: u64 = 1;

/// Asks about a service. `Ok`: it serves.
pub(super) async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    service: &str,
    authority: &str,
    scheme: &str,
) -> Result<(), Failed> {
    let (requests, connection) = h2::client::handshake(stream).await.map_err(|e| broken(&e))?;
    let asked = exchange(requests, service, authority, scheme);
    tokio::pin!(asked);
    tokio::select! {
        biased;
        answer = &mut asked => answer,
        // What came before the end is answered even so.
        _ = connection => asked.await,
    }
}

async fn exchange(
    requests: h2::client::SendRequest<Bytes>,
    service: &str,
    authority: &str,
    scheme: &str,
) -> Result<(), Failed> {
    let request = Request::post(format!("{scheme}://{authority}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", "pointsman-check")
        .body(())
        .map_err(|e| e.to_string())?;
    let mut ready = requests.ready().await.map_err(|e| broken(&e))?;
    let (response, mut body) = ready.send_request(request, false).map_err(|e| broken(&e))?;
    body.send_data(question(service), true).map_err(|e| broken(&e))?;
    let (head, mut body) = response.await.map_err(|e| broken(&e))?.into_parts();
    if head.status != StatusCode::OK {
        return Err(format!("status {}, expected 200", head.status.as_u16()).into());
    }
    let mut message = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.map_err(|e| broken(&e))?;
        // An error means that the stream is gone, which the next read tells.
        let _ = body.flow_control().release_capacity(piece.len());
        message.extend_from_slice(&piece);
        if message.len() > LONGEST {
            return Err("the answer is longer than 1 KiB".into());
        }
    }
    let trailers = body.trailers().await.map_err(|e| broken(&e))?;
    // An answer without a message has its status in its head.
    match trailers.as_ref().and_then(status).or_else(|| status(&head.headers)) {
        Some("0") => serves(&message),
        Some(code) => Err(format!("gRPC status {code}, expected 0").into()),
        None => Err("no gRPC status in the answer".into()),
    }
}

fn status(fields: &HeaderMap) -> Option<&str> {
    fields.get("grpc-status")?.to_str().ok()
}

/// One message, not compressed: `HealthCheckRequest { string service = 1; }`.
fn question(service: &str) -> Bytes {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(1 << 3 | 2);
        // The configuration allows 256 bytes, so two groups of seven bits hold the length.
        let length = service.len();
        if length > 127 {
            message.push((length & 127 | 128) as u8);
            message.push((length >> 7) as u8);
        } else {
            message.push(length as u8);
        }
        message.extend_from_slice(service.as_bytes());
    }
    let mut framed = vec![0];
    framed.extend_from_slice(&(message.len() as u32).to_be_bytes());
    framed.extend_from_slice(&message);
    framed.into()
}

/// One message, not compressed: `HealthCheckResponse { ServingStatus status = 1; }`.
fn serves(framed: &[u8]) -> Result<(), Failed> {
    let malformed = || Failed::from("malformed answer to a gRPC health check");
    let [0, a, b, c, d, message @ ..] = framed else { return Err(malformed()) };
    if u32::from_be_bytes([*a, *b, *c, *d]) as usize != message.len() {
        return Err(malformed());
    }
    match message {
        [8, value] if u64::from(*value) == SERVING => Ok(()),
        [] | [8, 0] => Err("the service says UNKNOWN".into()),
        [8, 2] => Err("the service says NOT_SERVING".into()),
        [8, 3] => Err("the service says SERVICE_UNKNOWN".into()),
        _ => Err(malformed()),
    }
}

fn broken(error: &h2::Error) -> Failed {
    format!("connected, then HTTP/2: {error}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_one_message_with_one_field() {
        assert_eq!(&question("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&question("ab")[..], b"\0\0\0\0\x04\x0a\x02ab");
        let long = question(&"x".repeat(200));
        assert_eq!(&long[..8], [0, 0, 0, 0, 203, 0x0a, 0xc8, 0x01]);
        assert_eq!(long.len(), 208);
    }

    #[test]
    fn only_serving_passes() {
        let answer = |message: &[u8]| serves(&[&[0, 0, 0, 0, message.len() as u8], message].concat());
        assert_eq!(answer(&[8, 1]), Ok(()));
        for message in [&[][..], &[8, 0], &[8, 2], &[8, 3], &[8, 4], &[16, 1], &[8], &[8, 1, 8, 2]] {
            assert!(answer(message).is_err(), "{message:?}");
        }
        for framed in [&[][..], &[0, 0, 0, 0], &[1, 0, 0, 0, 2, 8, 1], &[0, 0, 0, 0, 3, 8, 1]] {
            assert!(serves(framed).is_err(), "{framed:?}");
        }
    }
}
