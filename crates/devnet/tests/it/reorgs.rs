//! The cheats that stage a reorg, against what the node really does.

use alloy_primitives::U256;
use devnet::{Error, Reorg};

#[tokio::test]
async fn a_transaction_is_mined_again_in_another_block_under_the_same_hash() -> anyhow::Result<()> {
    let devnet = super::devnet().await?;
    let token = devnet.token().await?;
    let [alice, bob, carol] = [devnet.account(0), devnet.account(1), devnet.account(2)];
    devnet.send(token.mint(alice, carol, U256::from(100))).await?;
    let lost = devnet.send(token.transfer(alice, bob, U256::from(5))).await?;
    let kept = devnet.send(token.transfer(carol, bob, U256::from(6))).await?;
    devnet.mine(1).await?;
    let old_head = devnet.head().await?;
    let raw = devnet.raw_transaction(kept.transaction_hash).await?;

    devnet.reorg(Reorg::new(3).remine(raw, 2)).await?;

    let again = devnet.receipt(kept.transaction_hash).await?.expect("it was mined again");
    assert!(again.succeeded());
    assert_eq!(again.block_number, kept.block_number + 1);
    assert_ne!(again.block_hash, kept.block_hash);
    assert_eq!(devnet.receipt(lost.transaction_hash).await?, None);
    let head = devnet.head().await?;
    assert_eq!(head.number, old_head.number);
    assert_ne!(head.hash, old_head.hash);
    // The account whose transaction was lost sends on without a gap.
    devnet.send(token.transfer(alice, bob, U256::from(7))).await?;
    Ok(())
}

#[tokio::test]
async fn a_head_is_replaced_at_the_same_height_by_one_with_other_transactions() -> anyhow::Result<()> {
    let devnet = super::devnet().await?;
    let token = devnet.token().await?;
    let [alice, bob] = [devnet.account(0), devnet.account(1)];
    let old = devnet.send(token.transfer(alice, bob, U256::from(5))).await?;

    let replacement = token.transfer(alice, bob, U256::from(6));
    devnet.reorg(Reorg::new(1).send(&replacement, 0).send(&replacement, 0)).await?;

    let head = devnet.head().await?;
    assert_eq!(head.number, old.block_number);
    assert_ne!(head.hash, old.block_hash);
    assert_eq!(head.transactions.len(), 2);
    assert_eq!(devnet.receipt(old.transaction_hash).await?, None);
    assert_eq!(devnet.logs(token.address, head.number, head.number).await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_new_branch_is_built_as_deep_as_asked_on_the_common_ancestor() -> anyhow::Result<()> {
    let devnet = super::devnet().await?;
    let token = devnet.token().await?;
    let [alice, bob] = [devnet.account(0), devnet.account(1)];
    for value in 1..=5u64 {
        devnet.send(token.transfer(alice, bob, U256::from(value))).await?;
    }
    let ancestor = devnet.block(3).await?;
    let old = devnet.head().await?;

    let mut reorg = Reorg::new(3);
    for offset in 0..3 {
        reorg = reorg.send(&token.transfer(bob, alice, U256::from(1)), offset);
    }
    devnet.reorg(reorg).await?;

    assert_eq!(devnet.head().await?.number, old.number);
    let mut parent = ancestor.hash;
    for number in 4..=6 {
        let block = devnet.block(number).await?;
        assert_eq!(block.parent_hash, parent);
        assert_eq!(block.transactions.len(), 1);
        parent = block.hash;
    }
    assert_eq!(devnet.block(3).await?, ancestor);
    Ok(())
}

#[tokio::test]
async fn a_rollback_shortens_the_chain_and_the_next_block_takes_the_height() -> anyhow::Result<()> {
    let devnet = super::devnet().await?;
    let token = devnet.token().await?;
    let [alice, bob] = [devnet.account(0), devnet.account(1)];
    let gone = devnet.send(token.transfer(alice, bob, U256::from(5))).await?;
    devnet.rollback(1).await?;
    assert_eq!(devnet.head().await?.number, gone.block_number - 1);
    let next = devnet.send(token.transfer(alice, bob, U256::from(6))).await?;
    assert_eq!(next.block_number, gone.block_number);
    assert_ne!(next.block_hash, gone.block_hash);
    Ok(())
}

#[tokio::test]
async fn a_reorg_deeper_than_the_chain_is_refused() -> anyhow::Result<()> {
    let devnet = super::devnet().await?;
    devnet.mine(2).await?;
    let result = devnet.reorg(Reorg::new(50)).await;
    assert!(matches!(result, Err(Error::Refused { .. })), "{result:?}");
    Ok(())
}

#[tokio::test]
async fn a_transaction_whose_predecessor_is_not_on_the_new_branch_does_not_fit_it() -> anyhow::Result<()> {
    let devnet = super::devnet().await?;
    let token = devnet.token().await?;
    let [alice, bob] = [devnet.account(0), devnet.account(1)];
    devnet.send(token.transfer(alice, bob, U256::from(5))).await?;
    let second = devnet.send(token.transfer(alice, bob, U256::from(6))).await?;
    let raw = devnet.raw_transaction(second.transaction_hash).await?;

    let result = devnet.reorg(Reorg::new(2).remine(raw, 0)).await;

    assert!(matches!(result, Err(Error::LeftOut(hash)) if hash == second.transaction_hash), "{result:?}");
    assert_eq!(devnet.receipt(second.transaction_hash).await?, None);
    Ok(())
}
