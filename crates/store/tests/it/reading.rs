//! What was learned while a chain was read: limits of URLs, what stands still, blocks that nothing proves.

use domain::{ChainId, Learned, UrlLimits};
use store::{AuditMethod, Part, UNPROVED_MAX, Unproved};

use crate::{
    on_both,
    world::{CHAIN, World},
};

on_both!(
    limits_are_kept_by_url_and_chain_and_change,
    a_standstill_is_noted_once_with_its_beginning_and_cleared,
    unproved_blocks_are_noted_by_range_and_the_newest_are_kept,
);

const OTHER: ChainId = ChainId(7);

fn limits(key: &str, range: Option<u64>) -> UrlLimits {
    let learned = |granted| Learned { granted, refused: granted * 2, lasts: 64 };
    UrlLimits {
        key: key.to_owned(),
        url: "https://node/…".to_owned(),
        range: range.map(learned),
        batch: Some(learned(3)),
    }
}

async fn limits_are_kept_by_url_and_chain_and_change(world: &World) -> anyhow::Result<()> {
    let two = [limits("https://node/…#0001", Some(100)), limits("https://node/…#0002", None)];
    world.store.note_limits(CHAIN, &two, world.now).await?;
    assert_eq!(world.store.limits(CHAIN).await?, two);
    assert_eq!(world.store.limits(OTHER).await?, []);
    let grown = [UrlLimits { batch: None, ..limits("https://node/…#0001", Some(1_000)) }];
    world.store.note_limits(CHAIN, &grown, world.now).await?;
    assert_eq!(world.store.limits(CHAIN).await?, [grown[0].clone(), two[1].clone()]);
    Ok(())
}

async fn a_standstill_is_noted_once_with_its_beginning_and_cleared(world: &World) -> anyhow::Result<()> {
    let later = world.now + std::time::Duration::from_secs(60);
    let store = &world.store;
    store.note_standstill(CHAIN, Part::Past, (16, "refused"), world.now).await?;
    store.note_standstill(CHAIN, Part::Past, (17, "refused\0 again"), later).await?;
    store.note_standstill(CHAIN, Part::Audit, (5, "no truth"), later).await?;
    store.note_standstill(OTHER, Part::Audit, (5, "no truth"), later).await?;
    let found = store.standstills(CHAIN).await?;
    let shown: Vec<_> =
        found.iter().map(|one| (one.part, one.block, one.reason.as_str(), one.since)).collect();
    assert_eq!(shown, [(Part::Past, 17, "refused again", world.now), (Part::Audit, 5, "no truth", later)]);
    store.clear_standstill(CHAIN, Part::Past).await?;
    store.clear_standstill(CHAIN, Part::Audit).await?;
    assert_eq!(store.standstills(CHAIN).await?, []);
    assert_eq!(store.standstills(OTHER).await?.len(), 1);
    Ok(())
}

async fn unproved_blocks_are_noted_by_range_and_the_newest_are_kept(world: &World) -> anyhow::Result<()> {
    let store = &world.store;
    let unproved = |block, method| Unproved { block, reason: "a receipt fewer".to_owned(), method };
    let two = [unproved(9, Some(AuditMethod::SameProvider)), unproved(5, None)];
    store.note_unproved(CHAIN, (0, 20), &two, world.now).await?;
    assert_eq!(store.unproved(CHAIN).await?, two);
    // Audited again, one of them is proved.
    store.note_unproved(CHAIN, (6, 20), &[], world.now).await?;
    assert_eq!(store.unproved(CHAIN).await?, two[1..]);
    let many: Vec<_> = (100..100 + UNPROVED_MAX).map(|block| unproved(block, None)).collect();
    store.note_unproved(CHAIN, (100, 100 + UNPROVED_MAX), &many, world.now).await?;
    let kept = store.unproved(CHAIN).await?;
    assert_eq!((kept.len() as u64, kept.last().map(|last| last.block)), (UNPROVED_MAX, Some(100)));
    assert_eq!(store.unproved(OTHER).await?, []);
    Ok(())
}
