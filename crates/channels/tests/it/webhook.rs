//! What an endpoint gets, and what its answers mean.

use std::time::Duration;

use domain::{Channel as _, Clock as _, NotificationId, NotificationState};
use jiff::SignedDuration;
use testkit::{
    clock::RealClock,
    receiver::{Receiver, SECRET},
};
use uuid::Uuid;

use crate::world::{channel, outgoing, permanent, retried, signed};

const NEW_SECRET: &str = "whsec_bmV3ZXIgc2VjcmV0IG9mIDI0IGJ5dGVz";

#[tokio::test]
async fn a_webhook_is_signed_as_the_standard_says() -> anyhow::Result<()> {
    let receiver = Receiver::start().await?;
    let receipt = channel().send(&signed(&receiver.url())).await?;
    assert_eq!(receipt.detail, "HTTP 204");
    let received = receiver.received().remove(0);
    assert!(received.verified);
    assert!(!received.verified_by(NEW_SECRET));
    assert_eq!(received.headers["content-type"], "application/json");
    assert_eq!(received.body["type"], "notification.created");
    assert_eq!(received.body["data"]["body"], "ä 🔔 \u{202e} \"quoted\"");
    assert_eq!(received.body["data"]["facts"]["value"], "1000000000");
    Ok(())
}

#[tokio::test]
async fn during_rotation_either_secret_verifies() -> anyhow::Result<()> {
    let receiver = Receiver::start().await?;
    channel().send(&outgoing(&receiver.url(), &[NEW_SECRET, SECRET])).await?;
    let received = receiver.received().remove(0);
    assert!(received.verified_by(SECRET) && received.verified_by(NEW_SECRET));
    Ok(())
}

#[tokio::test]
async fn a_target_without_a_secret_gets_no_signature() -> anyhow::Result<()> {
    let receiver = Receiver::start().await?;
    channel().send(&outgoing(&receiver.url(), &[])).await?;
    let received = receiver.received().remove(0);
    assert!(!received.headers.contains_key("webhook-signature"));
    assert!(received.headers.contains_key("webhook-timestamp"));
    Ok(())
}

#[tokio::test]
async fn the_id_stays_the_same_over_all_attempts() -> anyhow::Result<()> {
    let receiver = Receiver::start().await?;
    receiver.fail_next(500, None);
    receiver.fail_next(429, None);
    let (channel, mut outgoing) = (channel(), signed(&receiver.url()));
    for attempt in 1..=3 {
        outgoing.attempt = attempt;
        assert_eq!(channel.send(&outgoing).await.is_ok(), attempt == 3);
    }
    let received = receiver.received();
    assert_eq!(received.len(), 3);
    for request in received {
        assert_eq!(request.id, outgoing.delivery.to_string());
        assert!(request.verified);
    }
    Ok(())
}

#[tokio::test]
async fn a_correction_names_itself() -> anyhow::Result<()> {
    let receiver = Receiver::start().await?;
    let mut outgoing = signed(&receiver.url());
    outgoing.first = false;
    outgoing.notification.corrects = Some(NotificationId(Uuid::from_u128(7)));
    channel().send(&outgoing).await?;
    outgoing.notification.state = NotificationState::Retracted;
    channel().send(&outgoing).await?;
    let kinds: Vec<_> =
        receiver.received().into_iter().map(|received| received.body["type"].clone()).collect();
    assert_eq!(kinds, ["notification.corrected", "notification.retracted"]);
    Ok(())
}

#[tokio::test]
async fn every_success_is_one_and_gone_is_for_good() -> anyhow::Result<()> {
    let receiver = Receiver::start().await?;
    for status in [200, 201, 202, 204, 299] {
        receiver.fail_next(status, None);
        assert_eq!(channel().send(&signed(&receiver.url())).await?.detail, format!("HTTP {status}"));
    }
    receiver.answer_next(410, None, "we moved");
    assert_eq!(permanent(channel().send(&signed(&receiver.url())).await), "HTTP 410: we moved");
    Ok(())
}

#[tokio::test]
async fn other_answers_are_tried_again_when_the_endpoint_says() -> anyhow::Result<()> {
    let receiver = Receiver::start().await?;
    let url = receiver.url();
    for (status, header, expected) in [
        (500, None, None),
        (404, None, None),
        (429, Some("17"), Some(17)),
        (503, Some(" 3 "), Some(3)),
        (503, Some("soon"), None),
        (503, Some("-5"), None),
        (503, Some("Wed, 21 Oct 2015 07:28:00 GMT"), None),
        (429, Some("18446744073709551615"), Some(u64::MAX)),
    ] {
        receiver.fail_next(status, header);
        let (detail, retry_after) = retried(channel().send(&signed(&url)).await);
        assert_eq!((detail, retry_after), (format!("HTTP {status}"), expected.map(Duration::from_secs)));
    }
    Ok(())
}

#[tokio::test]
async fn an_endpoint_may_say_when_by_a_date() -> anyhow::Result<()> {
    let receiver = Receiver::start().await?;
    let at = RealClock.now() + SignedDuration::from_secs(120);
    receiver.fail_next(503, Some(&at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()));
    let (_, retry_after) = retried(channel().send(&signed(&receiver.url())).await);
    let seconds = retry_after.map(|after| after.as_secs());
    assert!(seconds.is_some_and(|seconds| (110..=120).contains(&seconds)), "{seconds:?}");
    Ok(())
}

#[tokio::test]
async fn nobody_is_sent_elsewhere() -> anyhow::Result<()> {
    let (receiver, elsewhere) = (Receiver::start().await?, Receiver::start().await?);
    for status in [301, 302, 307, 308] {
        receiver.answer_next(status, Some(&elsewhere.url()), "");
        let (detail, _) = retried(channel().send(&signed(&receiver.url())).await);
        assert_eq!(detail, format!("HTTP {status}"));
    }
    assert!(elsewhere.received().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_bad_secret_is_named_and_not_shown() {
    for secret in ["whsec_not base64!", "whsec_", "whsec_c2hvcnQ=", "hunter2hunter2hunter2!"] {
        let target = outgoing("https://example.com/hook", &[SECRET, secret]).target;
        let refused = channel().check(&target).expect_err("a bad secret");
        assert!(refused.contains("target 'hook'") && refused.contains("openssl rand"), "{refused}");
        assert!(!refused.contains(secret.trim_start_matches("whsec_")) || secret == "whsec_", "{refused}");
    }
    assert_eq!(channel().check(&outgoing("https://example.com/hook", &[SECRET, NEW_SECRET]).target), Ok(()));
}

#[tokio::test]
async fn an_answer_that_repeats_the_url_or_the_secret_does_not_get_them_into_our_records()
-> anyhow::Result<()> {
    let receiver = Receiver::start().await?;
    let url = format!("{}?token=hunter2hunter2", receiver.url()).replace("http://", "http://me:pass-word@");
    let echo = format!(
        "Cannot POST /hook?token=hunter2hunter2 for me:pass-word with {SECRET}\u{1b}[2J\n<ok>\u{202e}"
    );
    receiver.answer_next(400, None, &echo);
    let (detail, _) = retried(channel().send(&signed(&url)).await);
    for secret in ["hunter2", "pass-word", SECRET, "\u{1b}", "\u{202e}", "\n"] {
        assert!(!detail.contains(secret), "{detail:?}");
    }
    assert!(detail.starts_with("HTTP 400: Cannot POST"), "{detail:?}");
    Ok(())
}
