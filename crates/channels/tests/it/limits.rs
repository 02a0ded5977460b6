//! One deadline and one size over the whole exchange, whatever the endpoint does.

use std::time::Duration;

use domain::{Channel as _, Clock as _};
use testkit::clock::RealClock;
use tokio::net::TcpListener;

use crate::{
    endpoints::{Endpoint, Manner},
    world::{DEADLINE, channel, permanent, retried, signed},
};

/// Runs `call`, and fails when it took longer than the deadline allows.
async fn in_time<T>(call: impl Future<Output = T>) -> (T, Duration) {
    let started = RealClock.now();
    let result = call.await;
    let took = Duration::try_from(RealClock.now().duration_since(started)).unwrap_or(Duration::ZERO);
    assert!(took < DEADLINE + Duration::from_secs(2), "it took {took:?}");
    (result, took)
}

#[tokio::test]
async fn an_endpoint_that_never_answers_ends_at_the_deadline() -> anyhow::Result<()> {
    let endpoint = Endpoint::start(Manner::Silent).await?;
    let (result, took) = in_time(channel().send(&signed(&endpoint.url()))).await;
    let (detail, _) = retried(result);
    assert!(detail.contains("timed out") && !detail.contains("/hook"), "{detail}");
    assert!(took + Duration::from_millis(50) >= DEADLINE);
    Ok(())
}

#[tokio::test]
async fn a_connection_that_is_never_made_ends_at_the_deadline() -> anyhow::Result<()> {
    // A listener that accepts nobody: once its queue is full, the next to connect is left hanging.
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind("127.0.0.1:0".parse()?)?;
    let listener: TcpListener = socket.listen(1)?;
    let address = listener.local_addr()?;
    let mut queue = Vec::new();
    while queue.len() < 50 {
        match tokio::time::timeout(Duration::from_millis(300), tokio::net::TcpStream::connect(address)).await
        {
            Ok(stream) => queue.push(stream?),
            Err(_) => break,
        }
    }
    assert!(queue.len() < 50, "the queue of the listener is never full here");
    let (result, _) = in_time(channel().send(&signed(&format!("http://{address}/hook")))).await;
    assert!(retried(result).0.contains("timed out"));
    Ok(())
}

#[tokio::test]
async fn a_refused_connection_and_one_that_is_hung_up_are_tried_again() -> anyhow::Result<()> {
    let endpoint = Endpoint::start(Manner::HangsUp).await?;
    let (result, _) = in_time(channel().send(&signed(&endpoint.url()))).await;
    let url = endpoint.url();
    let (hung_up, _) = retried(result);
    drop(endpoint);
    let closed = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    let (result, took) = in_time(channel().send(&signed(&format!("http://{closed}/secret-path")))).await;
    let (refused, _) = retried(result);
    assert!(took < DEADLINE);
    for detail in [hung_up, refused] {
        assert!(!detail.is_empty() && !detail.contains("secret-path") && !detail.contains(&url), "{detail}");
    }
    Ok(())
}

#[tokio::test]
async fn the_status_counts_even_when_the_body_drips() -> anyhow::Result<()> {
    let slow = "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n";
    let endpoint = Endpoint::start(Manner::Drips(slow)).await?;
    let (result, _) = in_time(channel().send(&signed(&endpoint.url()))).await;
    assert_eq!(result?.detail, "HTTP 200", "it was accepted, and is not sent again");

    let gone = "HTTP/1.1 410 Gone\r\ntransfer-encoding: chunked\r\n\r\n5\r\nmoved\r\nffff\r\n";
    let endpoint = Endpoint::start(Manner::Drips(gone)).await?;
    let (result, _) = in_time(channel().send(&signed(&endpoint.url()))).await;
    let detail = permanent(result);
    assert!(detail.starts_with("HTTP 410: moved"), "{detail}");
    Ok(())
}

#[tokio::test]
async fn headers_that_drip_end_at_the_deadline() -> anyhow::Result<()> {
    let endpoint = Endpoint::start(Manner::Drips("HTTP/1.1 200 OK\r\nx-filler: ")).await?;
    let (result, _) = in_time(channel().send(&signed(&endpoint.url()))).await;
    assert!(retried(result).0.contains("timed out"));
    Ok(())
}

#[tokio::test]
async fn of_an_endless_body_only_the_start_is_read() -> anyhow::Result<()> {
    let endless = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 10000000000\r\n\r\n";
    let endpoint = Endpoint::start(Manner::Floods(endless)).await?;
    let (result, took) = in_time(channel().send(&signed(&endpoint.url()))).await;
    let (detail, _) = retried(result);
    assert!(detail.starts_with("HTTP 500: xxx") && detail.chars().count() < 300, "{detail}");
    assert!(took < DEADLINE, "it did not have to wait");
    // What the sockets' buffers hold may have left; the rest was never asked for.
    assert!(endpoint.sent() < 64 * 1024 * 1024, "{} bytes", endpoint.sent());
    Ok(())
}

#[tokio::test]
async fn endless_headers_are_refused() -> anyhow::Result<()> {
    let endpoint = Endpoint::start(Manner::Floods("HTTP/1.1 200 OK\r\nx-filler: ")).await?;
    let (result, _) = in_time(channel().send(&signed(&endpoint.url()))).await;
    retried(result);
    Ok(())
}

#[tokio::test]
async fn one_bad_endpoint_does_not_delay_the_others() -> anyhow::Result<()> {
    let bad = Endpoint::start(Manner::Silent).await?;
    let good = testkit::receiver::Receiver::start().await?;
    let channel = channel();
    let (to_bad, to_good) = (signed(&bad.url()), signed(&good.url()));
    let slow = channel.send(&to_bad);
    let quick = async {
        let (result, took) = in_time(channel.send(&to_good)).await;
        assert!(took < DEADLINE, "{took:?}");
        result
    };
    let (slow, quick) = tokio::join!(slow, quick);
    retried(slow);
    quick?;
    Ok(())
}

// An answer that nobody reads keeps its connection: after enough of them there is none left. This endpoint serves one
// connection at a time, so that the second request waits for ever if the first one's is kept.
#[tokio::test]
async fn refusals_with_bodies_that_nobody_wants_keep_no_connection() -> anyhow::Result<()> {
    let busy = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 10000000000\r\n\r\n";
    let endpoint = Endpoint::start(Manner::Floods(busy)).await?;
    let channel = channel();
    for _ in 0..40 {
        let (result, took) = in_time(channel.send(&signed(&endpoint.url()))).await;
        let (detail, after) = retried(result);
        assert!(detail.starts_with("HTTP 429"), "{detail}");
        assert_eq!(after, Some(Duration::from_secs(7)));
        assert!(took < DEADLINE, "it waited for the one before: {took:?}");
    }
    Ok(())
}
