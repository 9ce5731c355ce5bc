//! Requests that are too many, heads that do not come, and the end of the server.

use super::*;

#[tokio::test]
async fn too_many_requests_at_once_are_turned_away() {
    let server = running(|settings| settings.requests_max = 0).await;
    let reply = server.get("/rest/v1/sales/customers").await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
    assert_eq!(server.get("/ready").await.status, 503);
    assert_eq!(server.get("/live").await.status, 200, "the process lives");
    server.stop().await;
}

#[tokio::test]
async fn a_head_that_does_not_come_ends_the_connection() {
    let server = running(|settings| settings.head_time_max = Duration::from_millis(20)).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /live HTTP/1.1\r\nhost: local").await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(!rest.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&rest));
    server.stop().await;
}

#[tokio::test]
async fn stopping_ends_idle_connections_and_waits_for_others_only_so_long() {
    let server = running(|_| {}).await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"GET /live HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut first = [0; 15];
    idle.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    let heard = server.heard.clone();
    server.stop().await;
    assert!(!heard.0.lock().unwrap().iter().any(|event| matches!(event, Event::Warned { .. })));

    let server = running(|settings| {
        settings.stop_time_max = Duration::ZERO;
        settings.head_time_max = Duration::from_secs(3_600);
    })
    .await;
    let mut half = TcpStream::connect(server.address).await.unwrap();
    half.write_all(b"GET /live HTTP/1.1\r\nhost: localhost\r\n\r\nGET /li").await.unwrap();
    half.read_exact(&mut first).await.unwrap();
    server.stop().await;
}
