//! What no hash shows, and a second look does: a log that is missing under the right hash where there are no receipts, and
//! logs that one method numbers otherwise than the other.

use std::{collections::HashSet, sync::Arc};

use chain::{Node, NodeConfig};
use domain::ChainClient;
use pipeline::ingest::Ingest;
use serde_json::json;
use store::{AuditMethod, StoreClock};
use testkit::{
    meddled::MeddledNode,
    scripted_node::{Reply, ScriptedNode},
};

use super::sound;
use crate::world::{BELL, CHAIN, World, name, ring, settle};

/// A reader of these URLs, the world's node first.
async fn reader(world: &World, others: &[&ScriptedNode]) -> anyhow::Result<Ingest> {
    let urls = std::iter::once(world.node.http_url()).chain(others.iter().map(|node| node.http_url()));
    let config = NodeConfig::new(name(), CHAIN, urls.collect());
    let node = Node::connect(config, Arc::new(StoreClock::measure(&world.store).await?)).await?;
    let client: Arc<dyn ChainClient> = Arc::new(node);
    Ok(world.ingest_of(&client, &world.catalog(), |_| {}))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_without_receipts_asks_another_url_or_the_same_one_again() -> anyhow::Result<()> {
    for method in [AuditMethod::OtherProvider, AuditMethod::SameProvider] {
        let world = World::sqlite().await?;
        let other = ScriptedNode::start().await?;
        let others: &[&ScriptedNode] = if method == AuditMethod::OtherProvider { &[&other] } else { &[] };
        let none = Reply::error(-32601, "the method does not exist/is not available");
        world.node.always("eth_getBlockReceipts", none.clone());
        other.always("eth_getBlockReceipts", none);
        other.chain(|chain| *chain = world.branch());
        let mut ingest = reader(&world, others).await?;
        settle(&mut ingest).await?;
        // One of two logs is left out, so that nothing about the answer is doubtful.
        let pair = world.node.mine(vec![ring(BELL, 11), ring(BELL, 12)]);
        world.node.next("eth_getLogs", Reply::Result(json!([pair.logs_json().remove(0)])));
        other.chain(|chain| *chain = world.branch());
        settle(&mut ingest).await?;
        assert_eq!(world.held(BELL).await?.len(), 1);
        for _ in 0..8 {
            world.node.mine(Vec::new());
        }
        other.chain(|chain| *chain = world.branch());
        settle(&mut ingest).await?;

        let mut auditor = reader(&world, others).await?;
        let (_, last) = auditor.audit_bounds().await?.unwrap();
        assert!(last >= 11, "block 11 is final");
        let found = auditor.audit(11, last, true).await?;
        assert_eq!((found.method, found.missing.len(), found.extra.len()), (method, 1, 0));
        assert_eq!(found.provider, others.first().copied().unwrap_or(&world.node).http_url());
        sound(&world).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_that_the_receipts_number_otherwise_are_the_same_things_under_other_places() -> anyhow::Result<()>
{
    let world = World::sqlite().await?;
    // Questions for logs count them from seven, and receipts from zero.
    let shifted = MeddledNode::new(Arc::clone(&world.client), |mut logs| {
        for log in &mut logs {
            log.log_index += 7;
        }
        std::future::ready(logs)
    });
    let client: Arc<dyn ChainClient> = Arc::new(shifted);
    let mut ingest = world.ingest_of(&client, &world.catalog(), |_| {});
    settle(&mut ingest).await?;
    for tx in 11..=20 {
        world.node.mine(vec![ring(BELL, tx), ring(BELL, tx)]);
    }
    settle(&mut ingest).await?;
    let mut auditor = world.ingest_of(&client, &world.catalog(), |_| {});
    let (_, last) = auditor.audit_bounds().await?.unwrap();
    let logical = async || {
        let stored = world.stored().await?;
        let of = stored.iter().filter(|stored| stored.event.block.number <= last);
        anyhow::Ok(of.map(|stored| stored.event.logical).collect::<HashSet<_>>())
    };
    let before = logical().await?;
    let found = auditor.audit(11, last, true).await?;
    assert_eq!(found.method, AuditMethod::ReceiptsRoot);
    assert_eq!((found.missing.len(), found.extra.len()), (before.len(), before.len()));
    assert!(before.len() >= 10);
    assert_eq!(logical().await?, before, "to a person they are the same");
    let held: Vec<_> = world.held(BELL).await?.into_iter().filter(|(number, ..)| *number <= last).collect();
    let truth: Vec<_> = world.truth(BELL).into_iter().filter(|(number, ..)| *number <= last).collect();
    assert_eq!(held, truth);
    Ok(())
}
