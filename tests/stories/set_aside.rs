//! An event that cannot be handled: it is shown by every command that an operator asks, and holds up no end.

use alloy_primitives::U256;
use store::{Store, testing::tamper};
use testkit::deployment::Deployment;

use crate::{
    commands::say,
    on_both,
    world::{Stage, World, immediate_watch},
};

on_both!(an_event_that_cannot_be_handled_is_shown_and_holds_up_no_end);

/// What keeps the hits of a watch out of the store.
async fn refuse_hits(store: &Store) -> anyhow::Result<()> {
    let statement = if store.is_postgres() {
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE check_violation; END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON hit FOR EACH ROW WHEN (NEW.watch_id = 'bad') EXECUTE FUNCTION refuse()"
    } else {
        "CREATE TRIGGER refuse BEFORE INSERT ON hit WHEN NEW.watch_id = 'bad' BEGIN SELECT RAISE(ABORT, 'refused'); END"
    };
    tamper(store, statement).await?;
    Ok(())
}

async fn an_event_that_cannot_be_handled_is_shown_and_holds_up_no_end(
    deployment: Deployment,
) -> anyhow::Result<()> {
    let stage = Stage::set().await?;
    let (bank, me) = (stage.anvil.account(0), stage.anvil.account(3));
    let filter = format!("to == {me}");
    let watches = ["bad", "good"].map(|id| immediate_watch(id, "bell", "Transfer", &filter));
    let world = World::new(deployment, &stage, &watches.concat()).await?;
    let config = Some(world.config.as_path());
    world.run_through(stage.head().await?).await?;
    let store = world.store().await?;
    refuse_hits(&store).await?;
    let sent = stage.anvil.send(stage.token.transfer(bank, me, U256::from(5))).await?;
    let head = stage.head().await?.to_string();

    // It ends, and says what is left, and where that is shown; so does the next run, which does not wait either.
    for _ in 0..2 {
        let ended = say(config, &["run", "--until-block", &head]).await?;
        assert_eq!(ended.status, Some(3), "{ended:?}");
        let last = ended.err.lines().last().unwrap_or_default().to_owned();
        for part in ["chainbell: block", "set aside", "1 event;", "`chainbell set-aside list`"] {
            assert!(last.contains(part), "'{part}' is not in {last}");
        }
    }
    assert_eq!(world.receiver.inbox().len(), 1, "the other watch is told");

    let row = store.all_set_aside(None, 10).await?.remove(0);
    let (since, next) = (row.since.to_string(), row.next_try.to_string());
    let status = say(config, &["status"]).await?.well()?.out;
    let listed = say(config, &["set-aside", "list"]).await?.well()?.out;
    for shown in [&status, &listed] {
        for part in ["set aside", "matching", &row.item, "watch bad"] {
            let part = if part == "set aside" && shown == &listed { "next try" } else { part };
            assert!(shown.contains(part), "'{part}' is not in {shown}");
        }
    }
    assert!(status.contains(&since) && status.contains(&next), "{status}");
    let line = say(config, &["set-aside", "list", "--json"]).await?.well()?.lines()?.remove(0);
    assert_eq!((line["since"].as_str(), line["tries"].as_u64()), (Some(&*since), Some(u64::from(row.tries))));

    let hash = sent.transaction_hash.to_string();
    let words = say(config, &["explain", &hash]).await?.well()?.out;
    for part in
        [&*format!("matching set {} aside at {since}", row.item), "watch bad", &next, "set-aside retry"]
    {
        assert!(words.contains(part), "'{part}' is not in {words}");
    }

    // Mended, and tried again at once.
    let on_hit = if store.is_postgres() { " ON hit" } else { "" };
    tamper(&store, &format!("DROP TRIGGER refuse{on_hit}")).await?;
    let again = say(config, &["set-aside", "retry"]).await?.well()?;
    assert!(again.err.contains("1 will be tried again"), "{again:?}");
    world.run_through(stage.head().await?).await?;
    assert_eq!(store.all_set_aside(None, 10).await?, []);
    assert_eq!(world.receiver.inbox().len(), 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_cannot_be_read_is_explained_all_the_same() -> anyhow::Result<()> {
    for deployment in [Deployment::embedded()?, Deployment::servers().await?] {
        let stage = Stage::set().await?;
        let (bank, me) = (stage.anvil.account(0), stage.anvil.account(3));
        let watch = immediate_watch("alert", "bell", "Transfer", &format!("to == {me}"));
        let world = World::new(deployment, &stage, &watch).await?;
        let sent = stage.anvil.send(stage.token.transfer(bank, me, U256::from(5))).await?;
        let head = stage.head().await?;
        world.run_through(head).await?;
        let store = world.store().await?;
        let event = store.keys_of_transaction(sent.transaction_hash).await?.remove(0);
        let why = "a stored schema cannot be read";
        let item =
            format!("event {}/{}/{}/{}", event.chain, event.block.number, event.block.hash, event.log_index);
        store.set_aside("matching", &item, why, jiff::Timestamp::UNIX_EPOCH).await?;
        tamper(&store, &format!("UPDATE event SET schema_id = 9999 WHERE block_number = {head}")).await?;
        let words =
            say(Some(&world.config), &["explain", &sent.transaction_hash.to_string()]).await?.well()?.out;
        for part in ["it is stored and cannot be read", "matching set", why, "1970-01-01T00:00:10Z"] {
            assert!(words.contains(part), "'{part}' is not in {words}");
        }
    }
    Ok(())
}
