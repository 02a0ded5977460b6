//! Transactions into blocks.

use alloy_primitives::U256;
use devnet::{Call, Devnet, Error, Mining, Options};

#[tokio::test]
async fn a_transfer_is_in_a_block_with_its_log_when_send_returns() -> anyhow::Result<()> {
    let devnet = super::devnet().await?;
    let token = devnet.token().await?;
    let receipt = devnet.send(token.transfer(devnet.account(0), devnet.account(1), U256::from(5))).await?;
    assert_eq!(receipt.logs.len(), 1);
    assert_eq!(devnet.head().await?.hash, receipt.block_hash);
    assert_eq!(devnet.block(receipt.block_number).await?.transactions, [receipt.transaction_hash]);
    Ok(())
}

#[tokio::test]
async fn a_transaction_that_reverts_is_an_error_with_its_hash() -> anyhow::Result<()> {
    let devnet = super::devnet().await?;
    let token = devnet.token().await?;
    let poor = devnet.account(5);
    let result = devnet.send(token.transfer(poor, devnet.account(1), U256::from(5))).await;
    let Err(Error::Reverted(hash)) = result else { panic!("expected a revert, got {result:?}") };
    assert!(devnet.receipt(hash).await?.is_some_and(|receipt| !receipt.succeeded()));
    Ok(())
}

#[tokio::test]
async fn two_thousand_transfers_from_two_accounts_are_all_mined_in_order() -> anyhow::Result<()> {
    let devnet = super::devnet().await?;
    let token = devnet.token().await?;
    let [alice, bob, carol] = [devnet.account(0), devnet.account(1), devnet.account(2)];
    devnet.send(token.mint(alice, bob, U256::from(1_000_000))).await?;
    let transfers: Vec<Call> = (0..2_000u64)
        .map(|index| token.transfer(if index % 2 == 0 { alice } else { bob }, carol, U256::from(index)))
        .collect();

    let receipts = devnet.send_all(&transfers).await?;

    assert_eq!(receipts.len(), 2_000);
    let last = receipts[1_999].block_number;
    let logs = devnet.logs(token.address, receipts[0].block_number, last).await?;
    assert_eq!(logs.len(), 2_000);
    let places: Vec<(u64, u64)> =
        receipts.iter().step_by(2).map(|receipt| (receipt.block_number, receipt.transaction_index)).collect();
    assert!(places.is_sorted(), "one account's transactions keep their order");
    // Automine is back.
    let after = devnet.send(token.transfer(alice, bob, U256::from(1))).await?;
    assert_eq!(after.block_number, last + 1);
    Ok(())
}

#[tokio::test]
async fn with_mining_by_hand_submitted_transactions_wait_for_the_next_block() -> anyhow::Result<()> {
    let devnet = Devnet::start(Options { mining: Mining::Auto, ..Options::default() }).await?;
    let token = devnet.token().await?;
    devnet.set_automine(false).await?;
    let call = token.transfer(devnet.account(0), devnet.account(1), U256::from(5));
    let hashes = devnet.submit(&[call.clone(), call.clone(), call]).await?;
    assert_eq!(devnet.receipt(hashes[0]).await?, None);
    devnet.mine(1).await?;
    assert_eq!(devnet.head().await?.transactions, hashes);
    Ok(())
}

#[tokio::test]
async fn concurrent_sends_from_one_account_do_not_collide() -> anyhow::Result<()> {
    let devnet = std::sync::Arc::new(super::devnet().await?);
    let token = devnet.token().await?;
    let mut sends = tokio::task::JoinSet::new();
    for value in 1..=20u64 {
        let devnet = std::sync::Arc::clone(&devnet);
        sends.spawn(async move {
            let call = token.transfer(devnet.account(0), devnet.account(1), U256::from(value));
            devnet.send(call).await.map(|receipt| receipt.transaction_hash)
        });
    }
    let mut hashes = sends.join_all().await.into_iter().collect::<Result<Vec<_>, _>>()?;
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes.len(), 20);
    Ok(())
}

#[tokio::test]
async fn a_snapshot_takes_the_chain_back_and_sending_goes_on() -> anyhow::Result<()> {
    let devnet = super::devnet().await?;
    let token = devnet.token().await?;
    let call = token.transfer(devnet.account(0), devnet.account(1), U256::from(5));
    let snapshot = devnet.snapshot().await?;
    let before = devnet.head().await?;
    devnet.send(call.clone()).await?;
    devnet.revert(snapshot).await?;
    assert_eq!(devnet.head().await?.hash, before.hash);
    assert_eq!(devnet.send(call).await?.block_number, before.number + 1);
    assert!(matches!(devnet.revert(U256::from(99)).await, Err(Error::Unexpected { .. })));
    Ok(())
}
