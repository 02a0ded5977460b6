//! Audits, repairs, and the reads that they compare with.

use domain::{Content, Fields, Finality, Value};
use store::{AuditMethod, AuditRow, Committed, EventKey, Fence, Publish, Repair, StoreError, verified};

use crate::{
    on_both,
    world::{CHAIN, World, block, cursor, header},
};

on_both!(
    audits_that_continue_each_other_become_one_row,
    an_audit_does_not_grow_over_a_later_one,
    audits_of_another_set_of_contracts_prove_nothing_of_this_one,
    a_second_round_replaces_the_first,
    a_repair_adds_what_is_missing_and_takes_back_what_is_extra,
    a_repair_replaces_other_content_in_place_as_a_new_turn,
    a_repair_tells_nobody_unless_asked_and_obeys_the_lease,
    events_to_compare_come_by_page_and_contract,
);

fn audit(world: &World, from: u64, to: u64) -> AuditRow {
    AuditRow {
        chain: CHAIN,
        from,
        to,
        method: AuditMethod::ReceiptsRoot,
        contracts: "set".to_owned(),
        missing: 0,
        extra: 0,
        different: 0,
        repaired: 0,
        provider: "https://node.example/…".to_owned(),
        audited_at: world.now,
    }
}

async fn noted(world: &World) -> anyhow::Result<Vec<(u64, u64)>> {
    let rows = world.store.audits(CHAIN, "set").await?;
    Ok(rows.iter().map(|row| (row.from, row.to)).collect())
}

async fn audits_that_continue_each_other_become_one_row(world: &World) -> anyhow::Result<()> {
    for piece in 0..3 {
        world.store.note_audit(&audit(world, piece * 10, piece * 10 + 9)).await?;
    }
    assert_eq!(world.store.audits(CHAIN, "set").await?, [audit(world, 0, 29)]);
    let weaker = AuditRow { method: AuditMethod::SameProvider, ..audit(world, 30, 39) };
    world.store.note_audit(&weaker).await?;
    let bad = AuditRow { missing: 1, ..audit(world, 40, 49) };
    world.store.note_audit(&bad).await?;
    world.store.note_audit(&audit(world, 50, 59)).await?;
    assert_eq!(noted(world).await?, [(0, 29), (30, 39), (40, 49), (50, 59)]);
    let rows = world.store.audits(CHAIN, "set").await?;
    assert_eq!((&rows[1], &rows[2]), (&weaker, &bad));
    Ok(())
}

async fn an_audit_does_not_grow_over_a_later_one(world: &World) -> anyhow::Result<()> {
    world.store.note_audit(&audit(world, 0, 9)).await?;
    world.store.note_audit(&AuditRow { missing: 1, ..audit(world, 12, 14) }).await?;
    // If the first row grew over 12 to 14, the faults noted before this would seem to be noted after it.
    world.store.note_audit(&audit(world, 10, 19)).await?;
    assert_eq!(noted(world).await?, [(0, 9), (12, 14), (10, 19)]);
    let whole = verified(&world.store.audits(CHAIN, "set").await?);
    assert_eq!((whole.len(), whole[0].from, whole[0].to), (1, 0, 19));
    Ok(())
}

async fn audits_of_another_set_of_contracts_prove_nothing_of_this_one(world: &World) -> anyhow::Result<()> {
    world.store.note_audit(&AuditRow { contracts: "other".to_owned(), ..audit(world, 0, 9) }).await?;
    world.store.note_audit(&audit(world, 10, 19)).await?;
    assert_eq!(noted(world).await?, [(10, 19)]);
    Ok(())
}

async fn a_second_round_replaces_the_first(world: &World) -> anyhow::Result<()> {
    for _ in 0..2 {
        for piece in 0..3 {
            world.store.note_audit(&audit(world, piece * 10, piece * 10 + 9)).await?;
        }
    }
    assert_eq!(noted(world).await?, [(0, 29)]);
    Ok(())
}

fn repair<'a>(world: &'a World, publish: Publish) -> Repair<'a> {
    Repair {
        chain: CHAIN,
        name: &world.name,
        missing: &[],
        children: &[],
        extra: &[],
        publish,
        fence: None,
        now: world.now,
    }
}

async fn a_repair_adds_what_is_missing_and_takes_back_what_is_extra(world: &World) -> anyhow::Result<()> {
    world.commit(None, None, &[header(0, 1, 1)], &[]).await?;
    let extra = world.event(block(1, 1), 0, 1);
    world.commit(Some(block(0, 1)), None, &[header(1, 1, 1)], std::slice::from_ref(&extra)).await?;
    world.finalize(1).await?;
    world.store.tell_finalized(CHAIN, &world.name, 10, world.now).await?;
    let missing = world.event(block(1, 1), 1, 1);
    let keys = [EventKey::of(&extra)];
    let mend =
        Repair { missing: std::slice::from_ref(&missing), extra: &keys, ..repair(world, Publish::Yes) };
    assert_eq!(world.store.repair(&mend).await?, Committed { seen: 1, orphaned: 1 });
    let expected = [
        format!("{}:orphaned", extra.id),
        format!("{}:seen", missing.id),
        format!("{}:finalized", missing.id),
    ];
    assert_eq!(world.messages().await?[2..], expected);
    assert_eq!(world.canonical().await?.iter().map(|s| s.event.id).collect::<Vec<_>>(), [missing.id]);
    assert_eq!(world.store.events_by_keys(&keys).await?[0].finality, Finality::Orphaned);
    assert_eq!(world.store.unmatched(jiff::Timestamp::MAX, 10).await?.len(), 2);
    // Mended is mended.
    assert_eq!(world.store.repair(&mend).await?, Committed::default());
    Ok(())
}

async fn a_repair_replaces_other_content_in_place_as_a_new_turn(world: &World) -> anyhow::Result<()> {
    let wrong = world.event(block(1, 1), 0, 1);
    world.commit(None, None, &[header(1, 1, 1)], std::slice::from_ref(&wrong)).await?;
    let mut right = wrong.clone();
    if let Content::Decoded { params, .. } = &mut right.content {
        *params = Fields::named([
            ("to", Value::Address(alloy_primitives::Address::repeat_byte(0x33))),
            ("amount", Value::Uint(alloy_primitives::U256::from(7))),
            ("note", Value::String("right".into())),
        ]);
    }
    let mend = Repair { missing: std::slice::from_ref(&right), ..repair(world, Publish::Yes) };
    assert_eq!(world.store.repair(&mend).await?, Committed { seen: 1, orphaned: 0 });
    let held = world.canonical().await?;
    assert_eq!((held.len(), &held[0].event, held[0].turn), (1, &right, 2));
    assert_eq!(world.messages().await?[1..], [format!("{}:seen:2", right.id)]);
    // A log that nobody can decode takes the place of one that somebody did.
    right.content = Content::Undecoded {
        topics: vec![alloy_primitives::B256::repeat_byte(7)],
        data: vec![1].into(),
        reason: "too few topics".into(),
    };
    let mend = Repair { missing: std::slice::from_ref(&right), ..repair(world, Publish::Yes) };
    assert_eq!(world.store.repair(&mend).await?.seen, 1);
    assert_eq!(world.canonical().await?[0].event, right);
    Ok(())
}

async fn a_repair_tells_nobody_unless_asked_and_obeys_the_lease(world: &World) -> anyhow::Result<()> {
    let missing = world.event(block(1, 1), 1, 1);
    let fence = Some(Fence { lease: "ingest", owner: "one" });
    let mend = Repair { missing: std::slice::from_ref(&missing), fence, ..repair(world, Publish::No) };
    assert!(matches!(world.store.repair(&mend).await, Err(StoreError::Fenced(_))));
    assert!(world.canonical().await?.is_empty());
    assert_eq!(world.store.repair(&Repair { fence: None, ..mend }).await?.seen, 1);
    assert!(world.messages().await?.is_empty());
    assert!(world.store.unmatched(jiff::Timestamp::MAX, 10).await?.is_empty());
    Ok(())
}

async fn events_to_compare_come_by_page_and_contract(world: &World) -> anyhow::Result<()> {
    world.store.settle_contracts(CHAIN, &[cursor("token", 0, 99), cursor("other", 0, 99)], 99).await?;
    let mut stranger = world.event(block(2, 1), 1, 3);
    stranger.contract = "other".parse()?;
    let events = [
        world.event(block(1, 1), 0, 1),
        world.event(block(2, 1), 0, 2),
        stranger,
        world.event(block(3, 1), 0, 4),
    ];
    world.commit(None, None, &[header(1, 1, 1), header(2, 1, 1), header(3, 1, 1)], &events).await?;
    let token = [world.contract.clone()];
    let first = world.store.event_keys(CHAIN, (1, 3), &token, None, 2).await?;
    assert_eq!(first.iter().map(|s| &s.event).collect::<Vec<_>>(), [&events[0], &events[1]]);
    let rest = world.store.event_keys(CHAIN, (1, 3), &token, Some((2, 0)), 2).await?;
    assert_eq!(rest.iter().map(|s| &s.event).collect::<Vec<_>>(), [&events[3]]);
    let both = [world.contract.clone(), "other".parse()?];
    assert_eq!(world.store.event_keys(CHAIN, (2, 3), &both, None, 10).await?.len(), 3);
    assert!(world.store.event_keys(CHAIN, (1, 3), &[], None, 10).await?.is_empty());
    Ok(())
}
