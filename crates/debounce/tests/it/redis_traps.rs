//! What a Redis of others lost, pinned or wedged.

use std::sync::{Arc, Mutex, PoisonError};

use debounce::RedisDebouncer;
use domain::{Debouncer as _, WindowAdd, window::WindowRule};
use jiff::SignedDuration;
use testkit::{wait::eventually, wire::Wire};
use tracing::{Event, Metadata, Subscriber, field::Field, span};

use crate::{
    redis::{command, keys},
    world::{LEASE, MINUTE, World, hit, hits, key},
};

// Nothing expires by itself, so that no unit of time can be mistaken, and what a window leaves goes with its ack.
#[tokio::test]
async fn no_key_has_an_end_of_its_own_and_every_time_is_in_milliseconds() -> anyhow::Result<()> {
    let world = World::redis().await?;
    let within = |score: f64, seconds: i64| {
        let (from, to) = (world.now(), world.now() + SignedDuration::from_secs(seconds));
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of this century are exact")]
        let (from, to) = (from.as_millisecond() as f64, to.as_millisecond() as f64);
        (from..=to).contains(&score)
    };
    world.add(&key(1), MINUTE, [hit(1)]).await?;
    world.add(&key(2), WindowRule::NOW, [hit(2)]).await?;
    let claim = world.claim_one().await?;
    for step in ["added and claimed", "given back", "acknowledged"] {
        match step {
            "given back" => world.debouncer.release(&claim, world.now(), LEASE).await?,
            "acknowledged" => world.debouncer.ack(&claim).await?,
            _ => {}
        }
        for name in keys(&world).await? {
            let left = command(&world, ::redis::cmd("PTTL").arg(&name)).await?;
            assert_eq!(left, ::redis::Value::Int(-1), "{step}: {name} would go by itself");
            if name.ends_with(":open") || name.ends_with(":claimed") {
                let scored = ::redis::cmd("ZRANGE").arg(&name).arg(0).arg(-1).arg("WITHSCORES").to_owned();
                let scored: Vec<(String, f64)> = ::redis::from_redis_value(command(&world, &scored).await?)?;
                assert!(scored.iter().all(|(_, score)| within(*score, 60)), "{step}: {name} {scored:?}");
            }
        }
    }
    world.advance(60);
    world.debouncer.ack(&world.claim_one().await?).await?;
    assert_eq!(keys(&world).await?.len(), 1, "only the counter of generations");
    world.flush().await
}

#[tokio::test]
async fn a_member_that_is_no_hit_is_passed_over_and_its_window_closes() -> anyhow::Result<()> {
    let world = World::redis().await?;
    world.add(&key(1), WindowRule::NOW, (0..5).map(hit)).await?;
    let members = keys(&world).await?.into_iter().find(|name| name.ends_with("members"));
    let members = members.ok_or_else(|| anyhow::anyhow!("the window has members"))?;
    for foreign in ["", "garbage", "{\"id\":1}", "\0\u{202e}", &"x".repeat(10_000)] {
        command(&world, ::redis::cmd("ZADD").arg(&members).arg(0).arg(foreign)).await?;
    }
    let claim = world.claim_one().await?;
    assert_eq!(world.members(&claim).await?, hits(0..5));
    world.debouncer.ack(&claim).await?;
    assert_eq!(world.debouncer.outlook().await?, (0, None));
    assert_eq!(keys(&world).await?.len(), 1, "what it was goes with it");
    world.flush().await
}

// A pool that keeps a connection which failed answers with that failure for ever.
#[tokio::test]
async fn a_connection_that_was_cut_is_made_again_and_what_was_added_is_still_there() -> anyhow::Result<()> {
    let world = World::redis().await?;
    let (url, prefix) = world.redis_address()?;
    let (mut wire, near) = Wire::to(url).await?;
    let debouncer = RedisDebouncer::connect(&near, prefix).await?;
    let add = |number| {
        vec![WindowAdd { key: key(1), rule: WindowRule::NOW, hits: vec![hit(number)], now: world.now() }]
    };
    debouncer.add(add(1)).await?;
    for round in 2..=3 {
        wire.cut().await;
        for _ in 0..3 {
            let refused = debouncer.add(add(9)).await.expect_err("nobody gets through");
            assert!(!refused.to_string().is_empty());
        }
        wire.mend().await?;
        eventually("it gets through again", crate::world::LEASE, || async {
            Ok(debouncer.add(add(round)).await)
        })
        .await?;
    }
    assert_eq!(world.members(&world.claim_one().await?).await?, hits(1..=3));
    world.flush().await
}

// No memory limit is set on the test server, so that a policy evicts nothing while this test looks at it.
#[tokio::test]
async fn a_server_that_may_evict_windows_is_said_to_at_the_start() -> anyhow::Result<()> {
    let world = World::redis().await?;
    let (url, prefix) = world.redis_address()?;
    let warnings = Warnings::default();
    let _listening = tracing::subscriber::set_default(warnings.clone());
    let set = |policy: &str| ::redis::cmd("CONFIG").arg("SET").arg("maxmemory-policy").arg(policy).to_owned();
    RedisDebouncer::connect(url, prefix).await?;
    let quiet = warnings.said();
    command(&world, &set("allkeys-lru")).await?;
    let connected = RedisDebouncer::connect(url, prefix).await;
    command(&world, &set("noeviction")).await?;
    connected?;
    assert_eq!(quiet, Vec::<String>::new());
    let said = warnings.said().join("\n");
    assert!(said.contains("allkeys-lru") && said.contains("set it to noeviction"), "{said}");
    Ok(())
}

/// Keeps the texts of this crate's warnings.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    fn said(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN && metadata.target().starts_with("debounce")
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = String::new();
        event.record(&mut |field: &Field, value: &dyn std::fmt::Debug| {
            if field.name() == "message" {
                text = format!("{value:?}");
            }
        });
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}
