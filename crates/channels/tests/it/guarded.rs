//! No request goes into private address space unless that is allowed.

use domain::Channel as _;
use testkit::receiver::Receiver;

use crate::world::{channel, guarded, permanent, retried, signed};

#[tokio::test]
async fn a_private_address_is_refused_in_every_spelling() -> anyhow::Result<()> {
    let receiver = Receiver::start().await?;
    let port = receiver.url().rsplit(':').next().unwrap_or_default().to_owned();
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "017700000001",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
    ] {
        let url = format!("https://{host}:{port}");
        let detail = permanent(guarded().send(&signed(&url)).await);
        assert!(detail.contains("private network") && detail.contains("allow_private"), "{url}: {detail}");
    }
    assert!(receiver.received().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_name_that_leads_into_a_private_network_is_refused() -> anyhow::Result<()> {
    for host in ["localhost", "LOCALHOST"] {
        let (detail, _) = retried(guarded().send(&signed(&format!("https://{host}:1/secret-path"))).await);
        assert!(detail.contains("private network") && !detail.contains("secret-path"), "{detail}");
    }
    Ok(())
}

#[tokio::test]
async fn private_addresses_and_names_can_be_allowed() -> anyhow::Result<()> {
    let receiver = Receiver::start().await?;
    channel().send(&signed(&receiver.url())).await?;
    channel().send(&signed(&receiver.url().replace("127.0.0.1", "localhost"))).await?;
    assert_eq!(receiver.received().len(), 2);
    Ok(())
}

#[tokio::test]
async fn an_unencrypted_url_is_refused() {
    let refused =
        guarded().check(&signed("http://example.com/secret-path-1234").target).expect_err("plain http");
    assert!(refused.contains("not encrypted") && !refused.contains("secret-path"), "{refused}");
    assert_eq!(guarded().check(&signed("https://example.com/hook").target), Ok(()));
    assert_eq!(guarded().check(&signed("https://[2606:4700:4700::1111]/hook").target), Ok(()));
}

#[tokio::test]
async fn what_is_no_url_is_refused_without_being_shown() {
    for url in ["https://", "https://exa mple/secret-path-1234", "https://host:99999/secret-path-1234"] {
        let refused = guarded().check(&signed(url).target).expect_err("no URL");
        assert!(refused.contains("no URL") && !refused.contains("secret-path"), "{refused}");
    }
}
