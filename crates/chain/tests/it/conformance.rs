//! What every transport owes, on a real Anvil.

use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use chain::{Ability, FeedState, Node, NodeConfig, probe};
use devnet::Options;
use domain::{AnnouncedLog, BlockRef, ChainClient, ChainError, ChainId, Header, LogFilter, LogQuery, Wake};
use testkit::{anvil::TestAnvil, clock::RealClock};

use super::world::{config, connect, head_and_log, listening, wake};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Over {
    WebSocket,
    Http,
    Ipc,
}

struct World {
    anvil: TestAnvil,
    url: String,
    // Holds the IPC socket.
    _directory: tempfile::TempDir,
}

impl World {
    async fn start(over: Over) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let socket = directory.path().join("anvil.ipc");
        let options = Options {
            slots_in_an_epoch: 2,
            ipc: (over == Over::Ipc).then(|| socket.clone()),
            ..Options::default()
        };
        let anvil = TestAnvil::start_with(options).await?;
        let url = match over {
            Over::WebSocket => anvil.ws_url(),
            Over::Http => anvil.http_url(),
            Over::Ipc => format!("ipc://{}", socket.display()),
        };
        Ok(Self { anvil, url, _directory: directory })
    }

    fn config(&self) -> NodeConfig {
        config(std::slice::from_ref(&self.url))
    }

    async fn node(&self) -> anyhow::Result<Node> {
        Ok(connect(self.config()).await?)
    }
}

fn transfer_topic() -> B256 {
    keccak256("Transfer(address,address,uint256)")
}

async fn the_heads_are_read_in_one_batch(over: Over) -> anyhow::Result<()> {
    let world = World::start(over).await?;
    world.anvil.mine(10).await?;
    let node = world.node().await?;
    assert_eq!(node.chain_id().await?, ChainId(31_337));
    let heads = node.heads().await?;
    let latest = world.anvil.head().await?;
    assert_eq!(heads.latest.block, BlockRef::new(latest.number, latest.hash));
    assert_eq!((heads.latest.parent, heads.latest.timestamp), (latest.parent_hash, latest.timestamp));
    assert!(heads.latest.bloom.is_some());
    let number = |block: Option<BlockRef>| block.map(|block| block.number);
    assert_eq!((latest.number, number(heads.safe), number(heads.finalized)), (10, Some(8), Some(6)));
    Ok(())
}

async fn headers_come_in_the_order_asked_and_unknown_ones_are_none(over: Over) -> anyhow::Result<()> {
    let world = World::start(over).await?;
    world.anvil.mine(9).await?;
    let node = connect(NodeConfig { max_batch: 3, ..world.config() }).await?;
    let headers = node.headers_by_number(&[9, 0, 1, 2, 99, 3, 4]).await?;
    let numbers: Vec<_> = headers.iter().map(|header| header.map(|header| header.block.number)).collect();
    assert_eq!(numbers, [Some(9), Some(0), Some(1), Some(2), None, Some(3), Some(4)]);
    assert_eq!(headers[2].unwrap().parent, headers[1].unwrap().block.hash);
    assert_eq!(node.headers_by_number(&[]).await?, []);

    let one = headers[2].unwrap();
    assert_eq!(node.header_by_hash(one.block.hash).await?, Some(one));
    assert_eq!(node.header_by_hash(B256::repeat_byte(0x11)).await?, None);
    Ok(())
}

async fn logs_are_read_by_block_hash_and_by_range(over: Over) -> anyhow::Result<()> {
    let world = World::start(over).await?;
    let anvil = &world.anvil;
    let token = anvil.token().await?;
    let [alice, bob] = [anvil.account(0), anvil.account(1)];
    let first = anvil.send(token.transfer(alice, bob, U256::from(5))).await?;
    let second = anvil.send(token.transfer(alice, bob, U256::from(6))).await?;
    let node = world.node().await?;
    let filter = LogFilter { addresses: vec![token.address], topics0: vec![transfer_topic()] };

    let block = BlockRef::new(first.block_number, first.block_hash);
    let logs = node.logs(LogQuery::Block(block), &filter).await?;
    assert_eq!(logs.len(), 1);
    assert_eq!(
        (logs[0].block, logs[0].tx_hash, logs[0].address),
        (block, first.transaction_hash, token.address)
    );
    assert_eq!(logs[0].data, Bytes::from(U256::from(5).to_be_bytes::<32>()));
    assert_eq!(logs[0].topics.len(), 3);

    let range = LogQuery::Range { from: first.block_number, to: second.block_number };
    let logs = node.logs(range, &filter).await?;
    assert_eq!(
        logs.iter().map(|log| log.tx_hash).collect::<Vec<_>>(),
        [first.transaction_hash, second.transaction_hash]
    );
    assert_eq!(node.logs(range, &LogFilter::default()).await?, logs);
    let other = LogFilter { addresses: vec![Address::repeat_byte(9)], topics0: Vec::new() };
    assert_eq!(node.logs(range, &other).await?, []);
    assert_eq!(node.logs(LogQuery::Range { from: 5, to: 4 }, &filter).await?, []);

    assert_eq!(node.transaction_logs(second.transaction_hash).await?, Some(vec![logs[1].clone()]));
    assert_eq!(node.transaction_logs(B256::repeat_byte(0x22)).await?, None);
    Ok(())
}

async fn an_unknown_block_is_its_own_error(over: Over) -> anyhow::Result<()> {
    let world = World::start(over).await?;
    let node = world.node().await?;
    let nowhere = LogQuery::Block(BlockRef::new(7, B256::repeat_byte(0x11)));
    let error = node.logs(nowhere, &LogFilter::default()).await.unwrap_err();
    assert!(
        matches!(&error, ChainError::UnknownBlock { block, .. } if block.starts_with("7 (0x1111")),
        "{error}"
    );
    assert!(node.status()[0].healthy, "an unknown block is no fault of the node");
    Ok(())
}

async fn a_long_list_of_addresses_is_asked_in_parts_and_merged_in_order(over: Over) -> anyhow::Result<()> {
    let world = World::start(over).await?;
    let anvil = &world.anvil;
    let [alice, bob] = [anvil.account(0), anvil.account(1)];
    let tokens = [anvil.token().await?, anvil.token().await?, anvil.token().await?];
    let mut expected = Vec::new();
    for token in [&tokens[2], &tokens[0], &tokens[1]] {
        expected.push(anvil.send(token.transfer(alice, bob, U256::from(1))).await?);
    }
    let node = connect(NodeConfig { max_addresses: 1, ..world.config() }).await?;
    let addresses = tokens.iter().map(|token| token.address).collect();
    let filter = LogFilter { addresses, topics0: vec![transfer_topic()] };
    let range = LogQuery::Range { from: expected[0].block_number, to: expected[2].block_number };
    let logs = node.logs(range, &filter).await?;
    let expected: Vec<_> = expected.iter().map(|receipt| receipt.transaction_hash).collect();
    assert_eq!(logs.iter().map(|log| log.tx_hash).collect::<Vec<_>>(), expected);
    Ok(())
}

async fn a_contract_is_called_and_its_revert_is_its_own_error(over: Over) -> anyhow::Result<()> {
    let world = World::start(over).await?;
    let token = world.anvil.token().await?;
    let node = world.node().await?;
    let input = |signature: &str| Bytes::from(keccak256(signature)[..4].to_vec());
    let decimals = node.call(token.address, input("decimals()")).await?;
    assert_eq!(U256::from_be_slice(&decimals), U256::from(6));
    let error = node.call(token.address, input("noSuchFunction()")).await.unwrap_err();
    assert!(matches!(error, ChainError::Reverted { .. }), "{error}");
    assert!(!error.is_transient());
    Ok(())
}

async fn new_blocks_and_logs_wake_the_reader(over: Over) -> anyhow::Result<()> {
    let world = World::start(over).await?;
    let anvil = &world.anvil;
    let token = anvil.token().await?;
    let node = world.node().await?;
    let filters = [LogFilter { addresses: vec![token.address], topics0: vec![transfer_topic()] }];
    listening(&node, &filters).await;
    let sent = anvil.send(token.transfer(anvil.account(0), anvil.account(1), U256::from(5))).await?;
    let is_its_head = |head: &Header| head.block.hash == sent.block_hash;
    if over == Over::Http {
        wake(&node, &filters, "the head", |wake| {
            matches!(wake, Wake::Head(head) if is_its_head(&head)).then_some(())
        })
        .await;
    } else {
        let (head, log) = head_and_log(&node, &filters, is_its_head).await;
        assert_eq!(log, AnnouncedLog { block: head.block, log_index: 0, removed: false });
    }
    let feed = if over == Over::Http { FeedState::Polling } else { FeedState::Subscribed };
    assert_eq!(node.status()[0].feed, feed);
    Ok(())
}

async fn nothing_new_is_no_wake(over: Over) -> anyhow::Result<()> {
    let world = World::start(over).await?;
    let node = world.node().await?;
    listening(&node, &[]).await;
    assert!(node.next_wake(&[], Duration::from_millis(200)).await.is_none());
    Ok(())
}

async fn the_probe_finds_what_the_node_can_do(over: Over) -> anyhow::Result<()> {
    let world = World::start(over).await?;
    world.anvil.mine(1).await?;
    let found = probe(&world.url, Duration::from_secs(10), std::sync::Arc::new(RealClock)).await?;
    assert_eq!((found.chain_id, found.latest.block.number), (ChainId(31_337), 1));
    assert!(found.client_version.is_some_and(|version| version.starts_with("anvil/")));
    assert!(found.latest_age < Duration::from_secs(600), "{:?}", found.latest_age);
    assert_eq!((found.safe, found.finalized, found.logs_by_hash), (Ability::Yes, Ability::Yes, Ability::Yes));
    match over {
        Over::Http => assert!(matches!(found.subscriptions, Ability::No(_))),
        Over::WebSocket | Over::Ipc => assert_eq!(found.subscriptions, Ability::Yes),
    }
    Ok(())
}

macro_rules! suite {
    ($($name:ident),* $(,)?) => {
        suite! { @over websocket, WebSocket, $($name),* }
        suite! { @over http, Http, $($name),* }
        suite! { @over ipc, Ipc, $($name),* }
    };
    (@over $module:ident, $over:ident, $($name:ident),*) => {
        mod $module {
            $(
                #[tokio::test]
                async fn $name() -> anyhow::Result<()> {
                    super::$name(super::Over::$over).await
                }
            )*
        }
    };
}

suite! {
    the_heads_are_read_in_one_batch,
    headers_come_in_the_order_asked_and_unknown_ones_are_none,
    logs_are_read_by_block_hash_and_by_range,
    an_unknown_block_is_its_own_error,
    a_long_list_of_addresses_is_asked_in_parts_and_merged_in_order,
    a_contract_is_called_and_its_revert_is_its_own_error,
    new_blocks_and_logs_wake_the_reader,
    nothing_new_is_no_wake,
    the_probe_finds_what_the_node_can_do,
}
