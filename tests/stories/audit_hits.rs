//! `chainbell audit --hits`, and the auditor of hits in the background.

use serde_json::json;
use testkit::{deployment::Deployment, wait::eventually};

use crate::{
    commands::say,
    on_both,
    scripted::listen,
    world::{CAP, Stage, World, digest_watch, immediate_watch},
};

on_both!(hits_are_audited_and_an_event_that_was_not_matched_is_named, hits_are_audited_in_the_background_too,);

async fn hits_are_audited_and_an_event_that_was_not_matched_is_named(
    deployment: Deployment,
) -> anyhow::Result<()> {
    let stage = Stage::set().await?;
    let to = stage.anvil.account(3);
    let extra = digest_watch("in", to, "300ms") + &immediate_watch("alert", "bell", "Transfer", "value > 4");
    let world = World::new(deployment, &stage, &extra).await?;
    let config = Some(world.config.as_path());
    world.run_through(stage.head().await?).await?;
    // The first look notes from when on the watches hold.
    let clean = say(config, &["audit", "--hits"]).await?.well()?;
    assert!(clean.out.contains("hits: none") && clean.err.contains("0 hits owed"), "{clean:?}");
    stage.transfers(to, 6).await?;
    world.run_through(stage.head().await?).await?;
    let clean = say(config, &["audit", "--hits"]).await?.well()?;
    assert!(clean.out.contains("hits: 8 notified") && clean.err.contains("8 hits owed"), "{clean:?}");

    // Read by one that forgets to match.
    stage.transfers(to, 1).await?;
    let store = world.store().await?;
    let reader = world.start(&["--roles", "ingest"])?;
    world.reached(&store, stage.head().await?).await?;
    reader.kill().await?;
    let due = say(config, &["audit", "--hits"]).await?.well()?;
    assert!(due.err.contains("9 hits owed"), "it waits for matching, which is no difference: {due:?}");
    let later = "2100-01-01T00:00:00Z".parse()?;
    let seen = store.events_by_keys(&store.unmatched(later, 10).await?).await?;
    store.mark_matched(&seen).await?;
    let missed = say(config, &["audit", "--hits"]).await?;
    assert_eq!(missed.status, Some(1), "{missed:?}");
    let line = format!(
        "missing: the event satisfies the watch and has no hit  event {}  watch in",
        seen[0].event.id
    );
    assert!(
        missed.out.contains(&line) && missed.err.contains("one difference in the audit of hits"),
        "{missed:?}"
    );
    let missed = say(config, &["audit", "--hits", "--json"]).await?;
    assert_eq!(missed.status, Some(1), "{missed:?}");
    let said = &missed.lines()?[0];
    assert_eq!((&said["owed"], &said["counts"]["missing"]), (&json!(9), &json!(1)));
    assert_eq!((&said["states"], &said["uncertain_watches"]), (&json!({ "notified": 8 }), &json!(0)));
    assert_eq!(said["differences"][0]["event"], json!(seen[0].event.id));
    say(config, &["audit", "--hits", "--repair"]).await?.refused(2, &["--repair"]);
    Ok(())
}

async fn hits_are_audited_in_the_background_too(deployment: Deployment) -> anyhow::Result<()> {
    let stage = Stage::set().await?;
    let to = stage.anvil.account(3);
    let world = World::new(deployment, &stage, &digest_watch("in", to, "300ms")).await?;
    world.run_through(stage.head().await?).await?;
    stage.transfers(to, 3).await?;
    world.run_through(stage.head().await?).await?;
    let port = listen(&world).await?;
    let running = world.start(&[])?;
    let metrics = eventually("the metrics tell of hits", CAP, || async {
        let answer = crate::operations::get(port, "/metrics").await;
        let text = answer.map(|(_, body)| body).unwrap_or_default();
        Ok(if text.contains("chainbell_hits{state=\"notified\"}") { Ok(text) } else { Err(text.len()) })
    });
    let metrics = metrics.await?;
    for line in [
        "chainbell_hits{state=\"notified\"} 3",
        "chainbell_hits{state=\"pending\"} 0",
        "chainbell_hit_audit_differences{kind=\"missing\"} 0",
        "chainbell_hit_audit_events_total 4",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
    running.terminate().await?;
    Ok(())
}
