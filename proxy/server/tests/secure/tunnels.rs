//! Tunnels over TLS: what is ciphered and held back must come out before anybody waits for an answer.

use futures::{SinkExt, StreamExt};
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use crate::stage::{Authority, Client, Stage};

#[tokio::test]
async fn a_websocket_passes_over_tls() {
    let authority = Authority::new();
    let stage = Stage::site(&authority).await;
    let stream = Client::new(&authority).shake(stage.proxy.addr(), "site.example").await.expect("shaken");
    let (mut socket, _) = client_async("ws://site.example/ws", stream).await.expect("switched");
    // The last is more than the sockets on the way hold at once.
    for size in [0_usize, 5, 70_000, 8 << 20] {
        let message = Message::Binary(vec![7; size].into());
        socket.send(message.clone()).await.expect("sent");
        assert_eq!(socket.next().await.expect("an answer").expect("whole"), message);
    }
    socket.close(None).await.expect("closed");
    assert!(matches!(socket.next().await, Some(Ok(Message::Close(_)))));
    stage.counted("pointsman_tunnels{service=\"api\"} 0").await;
}
