//! Clients that are slow, deaf or late.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::running;

/// As many slow bodies as there may be requests: others are answered meanwhile, and the slow are
/// sent away at their time.
#[tokio::test]
async fn bodies_that_do_not_come_keep_nobody_waiting() {
    let server = running(|settings| {
        settings.requests_max = 1;
        settings.body_time_max = Duration::from_millis(200);
    })
    .await;
    let mut slow = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = "POST /rest/v1/sales/customers HTTP/1.1\r\nhost: localhost\r\n\
                    content-type: application/json\r\ncontent-length: 1000\r\n\r\n{";
        stream.write_all(head.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    assert_eq!(server.get("/rest/v1/sales/customers").await.status, 200);
    for mut stream in slow {
        let mut rest = String::new();
        stream.read_to_string(&mut rest).await.unwrap();
        assert!(rest.starts_with("HTTP/1.1 408") && rest.contains("connection: close"), "{rest}");
    }
    server.stop().await;
}

/// A client that asks and asks and reads nothing loses its connection, which another one gets.
#[tokio::test]
async fn a_client_that_takes_nothing_loses_its_connection() {
    let server = running(|settings| {
        settings.connections_max = 1;
        settings.write_time_max = Duration::from_millis(100);
        settings.head_time_max = Duration::from_secs(3_600);
    })
    .await;
    let mut deaf = TcpStream::connect(server.address).await.unwrap();
    let asks = "GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(1_000);
    // Until the server takes no more, or has gone.
    while deaf.write_all(asks.as_bytes()).await.is_ok() {}
    assert_eq!(server.get("/live").await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn whoever_comes_while_the_server_stops_is_told_at_once() {
    let server = running(|settings| {
        settings.stop_time_max = Duration::from_secs(3_600);
        settings.head_time_max = Duration::from_secs(3_600);
    })
    .await;
    let mut half = TcpStream::connect(server.address).await.unwrap();
    half.write_all(
        b"POST /rest/v1/sales/customers HTTP/1.1\r\nhost: localhost\r\n\
                     content-length: 9\r\nexpect: 100-continue\r\n\r\n",
    )
    .await
    .unwrap();
    // The request is under way: its body is asked for.
    let mut first = [0; 12];
    half.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 100");
    server.stop.send(()).unwrap();
    while TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    drop(half);
    server.running.await.unwrap().unwrap();
}
