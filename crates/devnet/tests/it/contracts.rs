//! What the sample contracts emit.

use alloy_primitives::{B256, Bytes, U256, keccak256};
use devnet::{Artifact, Call, Leg, Order, Receipt};
use serde_json::Value;

fn topic0(signature: &str) -> String {
    keccak256(signature).to_string()
}

fn topics(receipt: &Receipt, index: usize) -> Vec<String> {
    let topics = receipt.logs[index]["topics"].as_array();
    topics.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[test]
fn every_embedded_artifact_has_an_abi_and_code() {
    for artifact in Artifact::ALL {
        let abi: alloy_json_abi::JsonAbi =
            serde_json::from_str(&artifact.abi_json()).expect("the ABI is an ABI");
        assert!(abi.events().count() > 0, "{artifact:?}");
        assert!(artifact.bytecode().len() > 100, "{artifact:?}");
    }
}

#[tokio::test]
async fn a_burst_is_one_transaction_with_a_log_for_each_recipient() -> anyhow::Result<()> {
    let devnet = super::devnet().await?;
    let token = devnet.token().await?;
    let payments: Vec<_> =
        (1..=9).map(|index| (devnet.account(index), U256::from(index * 1_000_000))).collect();
    let burst = devnet.send(token.burst(devnet.account(0), &payments)).await?;
    assert_eq!(burst.logs.len(), 9);

    let many = token.transfer_many(devnet.account(0), devnet.account(1), U256::from(7), 2_000);
    let many = devnet.send(many).await?;
    assert_eq!(many.logs.len(), 2_000);
    assert_eq!(topics(&many, 1_999)[0], topic0("Transfer(address,address,uint256)"));
    Ok(())
}

#[tokio::test]
async fn the_three_layouts_of_transfer_share_a_topic_and_differ_in_its_number_of_topics() -> anyhow::Result<()>
{
    let devnet = super::devnet().await?;
    let [alice, bob] = [devnet.account(0), devnet.account(1)];
    let one = U256::from(1);
    let fungible = devnet.token().await?.transfer(alice, bob, one);
    let unique = devnet.collectible().await?.mint(alice, bob, one);
    let odd = devnet.odd_token("Odd", "ODD", 2).await?.mint(alice, bob, one);
    for (call, expected) in [(fungible, 3), (unique, 4), (odd, 1)] {
        let found = topics(&devnet.send(call).await?, 0);
        assert_eq!(found.len(), expected);
        assert_eq!(found[0], topic0("Transfer(address,address,uint256)"));
    }
    Ok(())
}

#[tokio::test]
async fn a_postcard_changes_hands_once_its_owner_or_an_approved_one_gives_it() -> anyhow::Result<()> {
    let devnet = super::devnet().await?;
    let [alice, bob] = [devnet.account(0), devnet.account(1)];
    let cards = devnet.collectible().await?;
    devnet.send(cards.mint(alice, bob, U256::from(7))).await?;
    devnet.send(cards.transfer(bob, alice, U256::from(7))).await?;
    assert!(devnet.send(cards.transfer(bob, alice, U256::from(7))).await.is_err());
    let approval = devnet.send(cards.approve(alice, bob, U256::from(7))).await?;
    assert_eq!(topics(&approval, 0).len(), 4);
    Ok(())
}

#[tokio::test]
async fn the_exchange_emits_tuples_big_numbers_hashed_strings_and_an_anonymous_event() -> anyhow::Result<()> {
    let devnet = super::devnet().await?;
    let maker = devnet.account(3);
    let exchange = devnet.exchange().await?;
    let order = Order {
        token: devnet.account(9),
        amount: U256::MAX,
        deadline: u64::MAX,
        legs: vec![
            Leg { venue: maker, delta: i128::MIN, route: Bytes::from_static(b"left") },
            Leg { venue: devnet.account(4), delta: 1, route: Bytes::new() },
        ],
    };
    let placed = devnet.send(exchange.place_order(maker, &order)).await?;
    let signature = "OrderPlaced(uint256,address,(address,uint256,uint64,(address,int128,bytes)[]))";
    assert_eq!(topics(&placed, 0)[..2], [topic0(signature), B256::with_last_byte(1).to_string()]);

    let market = keccak256("BELL/ETH");
    let priced = devnet.send(exchange.set_price(maker, market, U256::from(1) << 200)).await?;
    assert_eq!(topics(&priced, 0), [topic0("PriceSet(bytes32,uint256)"), market.to_string()]);

    let noted = devnet.send(exchange.note(maker, "weather", "rain")).await?;
    assert_eq!(topics(&noted, 0), [topic0("Note(string,string)"), topic0("weather")]);

    let one = U256::from(1);
    let plain = devnet.send(exchange.cancel_order(maker, one, "")).await?;
    let with_reason = devnet.send(exchange.cancel_order(maker, one, "changed my mind")).await?;
    assert_eq!(topics(&plain, 0)[0], topic0("OrderCancelled(uint256)"));
    assert_eq!(topics(&with_reason, 0)[0], topic0("OrderCancelled(uint256,string)"));

    let beat = devnet.send(exchange.heartbeat(maker)).await?;
    assert_eq!(topics(&beat, 0), [B256::with_last_byte(1).to_string()]);
    Ok(())
}

#[tokio::test]
async fn odd_tokens_say_of_themselves_what_no_one_should_trust() -> anyhow::Result<()> {
    let devnet = super::devnet().await?;
    let alice = devnet.account(0);
    let hostile = format!("@everyone \u{202e}\u{7}<b>{}", "x".repeat(10_000));
    let odd = devnet.odd_token(&hostile, "\u{0}", 255).await?;
    let name = keccak256("name()")[..4].to_vec();
    let answer = devnet.read(&Call::new(alice, odd.address, name.clone())).await?;
    assert!(answer.windows(hostile.len()).any(|bytes| bytes == hostile.as_bytes()));

    let bytes32 = devnet.bytes32_token().await?;
    let answer = devnet.read(&Call::new(alice, bytes32.address, name.clone())).await?;
    assert_eq!(answer.len(), 32);
    assert!(answer.starts_with(b"Thirty-two Bytes"));

    let silent = devnet.silent_token().await?;
    assert!(devnet.read(&Call::new(alice, silent.address, name)).await.is_err());
    assert_eq!(devnet.send(silent.mint(alice, alice, U256::from(1))).await?.logs.len(), 1);
    Ok(())
}
