//! Connecting, and losing the node: on a real Anvil where one can do it.

use devnet::Options;
use domain::{ChainClient, ChainError, ChainId, Wake};
use testkit::{
    anvil::TestAnvil,
    scripted_node::{Reply, ScriptedNode},
};

use super::world::{at_head, config, connect, listening, scripted, wake};
use chain::{ConnectError, NodeConfig};

#[tokio::test]
async fn a_node_that_is_killed_and_comes_back_on_its_port_is_used_again() -> anyhow::Result<()> {
    let anvil = TestAnvil::start().await?;
    let (port, url) = (anvil.port(), anvil.ws_url());
    let node = connect(config(&[url])).await?;
    listening(&node, &[]).await;
    anvil.mine(3).await?;
    at_head(&node, 3).await?;

    anvil.kill()?;
    let error = node.chain_id().await.unwrap_err();
    assert!(matches!(error, ChainError::Unavailable { .. }), "{error}");
    assert!(!node.status()[0].healthy);

    let anvil = TestAnvil::start_with(Options { port, ..Options::default() }).await?;
    wake(&node, &[], "the reconnection", |wake| matches!(wake, Wake::Reconnected).then_some(())).await;
    at_head(&node, 0).await?;
    anvil.mine(1).await?;
    let head = anvil.head().await?.hash;
    wake(&node, &[], "the new head", |wake| match wake {
        Wake::Head(header) if header.block.hash == head => Some(()),
        _ => None,
    })
    .await;
    assert!(node.status()[0].healthy);
    Ok(())
}

#[tokio::test]
async fn a_node_of_another_chain_is_refused_with_both_ids() -> anyhow::Result<()> {
    let anvil = TestAnvil::start_with(Options { chain_id: 1, ..Options::default() }).await?;
    for url in [anvil.ws_url(), anvil.http_url()] {
        let error = connect(config(std::slice::from_ref(&url))).await.unwrap_err();
        assert!(error.is_misconfigured());
        assert_eq!(
            error.to_string(),
            format!(
                "the node at {url} serves chain 1, but chain 'testnet' is configured as 31337: correct 'chain_id' or the URL"
            )
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_connection_that_serves_another_chain_after_a_reconnect_is_not_used() -> anyhow::Result<()> {
    let (scripted, node) = scripted().await?;
    scripted.chain(|chain| chain.id = 5);
    scripted.drop_connections();
    scripted.wait_until("the connection is gone", |node| node.connections() == 0).await?;
    // The first question may still find the old connection ended.
    let mut error = node.heads().await.unwrap_err();
    if matches!(error, ChainError::Unavailable { .. }) {
        error = node.heads().await.unwrap_err();
    }
    assert!(matches!(&error, ChainError::Incoherent { detail, .. } if detail.contains("chain 5")), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_node_that_is_not_there_is_named_without_its_key() -> anyhow::Result<()> {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    for scheme in ["ws", "http"] {
        let url = format!("{scheme}://me:hunter2hunter2@127.0.0.1:{port}/v3/0123456789abcdef");
        let error = connect(config(&[url])).await.unwrap_err();
        assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
        assert!(!error.is_misconfigured());
        let said = format!("{error} {error:?}");
        assert!(said.contains(&format!("{scheme}://…@127.0.0.1:{port}/v3/…")), "{said}");
        assert!(!said.contains("0123456789abcdef") && !said.contains("hunter2"), "{said}");
    }
    let error = connect(config(&["ipc:///nowhere/node.ipc".to_owned()])).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("ipc:///nowhere/node.ipc"), "{error}");
    Ok(())
}

#[tokio::test]
async fn something_that_is_no_node_is_said_to_be_none() -> anyhow::Result<()> {
    let scripted = ScriptedNode::start().await?;
    for reply in [Reply::Raw("<html>hello</html>".to_owned()), Reply::http(404, "<html>no</html>")] {
        scripted.always("eth_chainId", reply);
        let error = connect(config(&[scripted.http_url()])).await.unwrap_err();
        assert!(matches!(error, ConnectError::NotJsonRpc { .. }), "{error:?}");
    }
    for status in [200, 404] {
        scripted.refuse_websockets(Some(status));
        let error = connect(config(&[scripted.ws_url()])).await.unwrap_err();
        assert!(matches!(error, ConnectError::NotJsonRpc { .. }), "{error:?}");
        assert!(error.to_string().contains(&format!("HTTP {status}")), "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn tls_to_a_node_without_it_is_an_error_that_names_the_url() -> anyhow::Result<()> {
    let scripted = ScriptedNode::start().await?;
    for url in [scripted.ws_url().replace("ws:", "wss:"), scripted.http_url().replace("http:", "https:")] {
        let error = connect(config(std::slice::from_ref(&url))).await.unwrap_err();
        assert!(matches!(&error, ConnectError::Unreachable { url: named, .. } if *named == url), "{error:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_refused_key_is_said_to_be_the_key() -> anyhow::Result<()> {
    let scripted = ScriptedNode::start().await?;
    scripted.refuse_websockets(Some(401));
    scripted.always(
        "eth_chainId",
        Reply::http(403, r#"{"error":{"code":-32000,"message":"invalid project id"}}"#),
    );
    for url in [scripted.ws_url(), scripted.http_url()] {
        let error = connect(config(&[url])).await.unwrap_err();
        assert!(matches!(error, ConnectError::Refused { .. }), "{error:?}");
        assert!(error.to_string().contains("check the key"), "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn a_chain_without_a_usable_url_is_a_fault_of_the_configuration() {
    let error = connect(config(&[])).await.unwrap_err();
    assert_eq!(error.to_string(), "chain 'testnet' has no node: give at least one URL in its 'rpc'");
    assert!(error.is_misconfigured());
    let error = connect(config(&["carrier-pigeon://coop".to_owned()])).await.unwrap_err();
    assert!(matches!(error, ConnectError::BadUrl { .. }) && error.is_misconfigured(), "{error:?}");
}

#[tokio::test]
async fn nothing_that_prints_a_node_prints_its_key() -> anyhow::Result<()> {
    let scripted = ScriptedNode::start().await?;
    let url = format!("{}/v3/0123456789abcdef", scripted.http_url());
    let config = config(&[url]);
    let shown = format!("{config:?}");
    let node = connect(config).await?;
    scripted.always("eth_call", Reply::error(-32000, "project 0123456789abcdef is asleep"));
    let error = node.call(alloy_primitives::Address::ZERO, alloy_primitives::Bytes::new()).await.unwrap_err();
    let shown = format!("{shown} {node:?} {:?} {error} {error:?}", node.status());
    assert!(shown.contains("project … is asleep"), "{shown}");
    assert!(!shown.contains("0123456789abcdef"), "{shown}");
    Ok(())
}

#[tokio::test]
async fn the_expected_chain_id_reaches_the_error_even_from_the_second_url() -> anyhow::Result<()> {
    let (right, wrong) = (ScriptedNode::start().await?, ScriptedNode::start().await?);
    wrong.chain(|chain| chain.id = 5);
    let error = connect(config(&[right.ws_url(), wrong.ws_url()])).await.unwrap_err();
    assert!(matches!(error, ConnectError::WrongChain { served: ChainId(5), .. }), "{error:?}");
    let other = NodeConfig { expected: ChainId(5), ..config(&[wrong.http_url()]) };
    assert_eq!(connect(other).await?.chain_id().await?, ChainId(5));
    Ok(())
}

#[tokio::test]
async fn a_node_that_hangs_up_in_the_middle_of_the_handshake_is_down_and_not_another_thing()
-> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("ws://{}", listener.local_addr()?);
    let server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            use tokio::io::AsyncReadExt as _;
            let mut first = [0_u8; 256];
            // What came is read, so that the end is an orderly one.
            let _ = stream.read(&mut first).await;
        }
    });
    let error = connect(config(&[url])).await.unwrap_err();
    server.abort();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
    Ok(())
}
