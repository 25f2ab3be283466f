//! The WebSocket echo: text and binary messages come back as they are.

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;

/// Thousands of sessions stay open at a node, most of them silent.
const BUFFER: usize = 4096;

pub(super) async fn echo(upgrade: WebSocketUpgrade) -> Response {
    upgrade.read_buffer_size(BUFFER).write_buffer_size(0).on_upgrade(talk)
}

async fn talk(mut socket: WebSocket) {
    // Pings are answered by the library; any error or a close ends the conversation.
    while let Some(Ok(message)) = socket.recv().await {
        if matches!(message, Message::Text(_) | Message::Binary(_)) && socket.send(message).await.is_err() {
            return;
        }
    }
}
