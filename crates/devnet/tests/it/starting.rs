//! How a node starts and ends.

use std::time::Duration;

use devnet::{Devnet, Error, Mining, Options};
use serde_json::json;

#[tokio::test]
async fn a_missing_anvil_is_named_with_the_mend() {
    let options = Options { binary: Some("/nowhere/anvil".into()), ..Options::default() };
    let error = Devnet::start(options).await.expect_err("there is no such program");
    assert!(matches!(error, Error::AnvilMissing { .. }), "{error:?}");
    assert!(error.to_string().contains("/nowhere/anvil"), "{error}");
    assert!(error.to_string().contains("scripts/services start anvil"), "{error}");
}

#[tokio::test]
async fn an_anvil_that_ends_at_once_is_reported_with_its_own_words() -> anyhow::Result<()> {
    let holder = std::net::TcpListener::bind("127.0.0.1:0")?;
    let options = Options { port: holder.local_addr()?.port(), ..Options::default() };
    let error = Devnet::start(options).await.expect_err("the port is taken");
    assert!(matches!(error, Error::NotStarted { .. }), "{error:?}");
    assert!(error.to_string().to_lowercase().contains("in use"), "{error}");
    Ok(())
}

#[tokio::test]
async fn the_options_reach_the_node() -> anyhow::Result<()> {
    let socket = std::env::temp_dir().join(format!("chainbell-devnet-{}.ipc", std::process::id()));
    let devnet = Devnet::start(Options {
        mining: Mining::Manual,
        chain_id: 4_242,
        slots_in_an_epoch: 2,
        accounts: 3,
        ipc: Some(socket.clone()),
        ..Options::default()
    })
    .await?;
    assert_eq!(devnet.rpc::<String>("eth_chainId", json!([])).await?, "0x1092");
    assert_eq!(devnet.accounts().len(), 3);
    assert!(devnet.ipc().is_some_and(std::path::Path::exists));

    devnet.mine(10).await?;
    let finalized: devnet::Block = devnet.rpc("eth_getBlockByNumber", json!(["finalized", false])).await?;
    let safe: devnet::Block = devnet.rpc("eth_getBlockByNumber", json!(["safe", false])).await?;
    assert_eq!((devnet.head().await?.number, safe.number, finalized.number), (10, 8, 6));
    drop(devnet);
    let _ = std::fs::remove_file(socket);
    Ok(())
}

#[tokio::test]
async fn a_node_with_an_interval_makes_blocks_by_itself() -> anyhow::Result<()> {
    let mining = Mining::Every(Duration::from_millis(100));
    let devnet = Devnet::start(Options { mining, ..Options::default() }).await?;
    let token = devnet.token().await?;
    // `send` returns only once a block holds the transaction, which nobody but the interval makes.
    let receipt = devnet
        .send(token.mint(devnet.account(0), devnet.account(1), alloy_primitives::U256::from(1)))
        .await?;
    assert!(receipt.block_number > 1);
    Ok(())
}

#[tokio::test]
async fn a_dropped_node_is_gone() -> anyhow::Result<()> {
    let devnet = super::devnet().await?;
    let address = devnet.http_url().trim_start_matches("http://").to_owned();
    assert!(std::net::TcpStream::connect(&address).is_ok());
    drop(devnet);
    assert!(std::net::TcpStream::connect(&address).is_err());
    Ok(())
}
