//! Requests that do not wait for the answer before; pingora's HTTP/1.1 closes after such, the lane answers in order.

use pointsman_demo::client::{Connection, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::stage::{Authority, Client, Stage};

#[tokio::test]
async fn requests_that_come_with_the_handshake_or_at_once_are_all_answered() {
    let authority = Authority::new();
    let stage = Stage::site(&authority).await;
    let mut stream = Client::new(&authority).shake(stage.proxy.addr(), "site.example").await.expect("shaken");
    let one = "GET /echo HTTP/1.1\r\nHost: site.example\r\n\r\n";
    let count = 5;
    stream.write_all(one.repeat(count).as_bytes()).await.expect("written");
    let mut connection = Connection::over(stream, stage.proxy.addr());
    connection.exchange(&Request::new("GET", "/echo").header("connection", "close")).await.expect("answered");
    let mut rest = String::new();
    connection.stream().read_to_string(&mut rest).await.expect("an end that was announced");
    assert_eq!(rest.matches("HTTP/1.1 200").count(), count);
}
