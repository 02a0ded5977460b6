//! What only the index in Redis has to prove.

use debounce::RedisDebouncer;
use domain::{Debouncer as _, window::WindowRule};

use crate::world::{MINUTE, World, hit, hits, key};

pub(crate) async fn command(world: &World, command: &::redis::Cmd) -> anyhow::Result<::redis::Value> {
    let (url, _) = world.redis_address()?;
    let mut connection = ::redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    Ok(command.query_async(&mut connection).await?)
}

pub(crate) async fn keys(world: &World) -> anyhow::Result<Vec<String>> {
    let (_, prefix) = world.redis_address()?;
    let pattern = format!("{prefix}*");
    let keys = command(world, ::redis::cmd("KEYS").arg(pattern)).await?;
    Ok(::redis::from_redis_value(keys)?)
}

#[tokio::test]
async fn a_window_whose_keys_were_evicted_in_part_takes_hits_and_closes() -> anyhow::Result<()> {
    // Whichever keys the server drops, an add works and its hit is claimed.
    for evicted in 0..32_u32 {
        let world = World::redis().await?;
        world.add(&key(1), MINUTE, [hit(1)]).await?;
        let mut stored = keys(&world).await?;
        stored.sort();
        assert_eq!(stored.len(), 5, "{stored:?}");
        for (bit, name) in stored.iter().enumerate().filter(|(bit, _)| evicted & (1 << bit) != 0) {
            command(&world, ::redis::cmd("DEL").arg(name)).await?;
            assert!(bit < 5);
        }
        world.add(&key(1), WindowRule::NOW, [hit(2)]).await?;
        let claim = world.claim_one().await?;
        assert!(world.members(&claim).await?.contains(&hit(2)), "without {evicted:05b} of {stored:?}");
        world.debouncer.ack(&claim).await?;
        assert_eq!(world.debouncer.outlook().await?, (0, None));
        world.flush().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_claim_from_before_a_flush_does_not_touch_a_window_from_after() -> anyhow::Result<()> {
    let world = World::redis().await?;
    world.add(&key(1), WindowRule::NOW, [hit(1)]).await?;
    let stale = world.claim_one().await?;
    world.flush().await?;
    world.advance(1);
    world.add(&key(1), WindowRule::NOW, [hit(2)]).await?;
    let claim = world.claim_one().await?;
    assert_ne!(claim.generation, stale.generation);
    assert_eq!(world.members(&stale).await?, []);
    world.debouncer.ack(&stale).await?;
    world.debouncer.release(&stale, world.now(), std::time::Duration::ZERO).await?;
    assert_eq!(world.members(&claim).await?, hits([2]));
    world.flush().await
}

#[tokio::test]
async fn nothing_is_left_in_redis_once_all_windows_are_done() -> anyhow::Result<()> {
    let world = World::redis().await?;
    for n in 0..20 {
        world.add(&key(n), WindowRule::NOW, [hit(n)]).await?;
    }
    for claim in world.claim(100).await? {
        world.debouncer.ack(&claim).await?;
    }
    let left = keys(&world).await?;
    assert_eq!(left.len(), 1, "only the counter of generations: {left:?}");
    world.flush().await?;
    assert_eq!(keys(&world).await?, Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn a_server_that_forgot_the_scripts_is_told_them_again() -> anyhow::Result<()> {
    let world = World::redis().await?;
    world.add(&key(1), WindowRule::NOW, [hit(1)]).await?;
    command(&world, ::redis::cmd("SCRIPT").arg("FLUSH")).await?;
    world.add(&key(1), WindowRule::NOW, [hit(2)]).await?;
    let claim = world.claim_one().await?;
    assert_eq!(world.members(&claim).await?, hits([1, 2]));
    world.flush().await
}

#[tokio::test]
async fn deployments_on_one_server_are_apart_and_a_prefix_is_no_pattern() -> anyhow::Result<()> {
    let (world, other) = (World::redis().await?, World::redis().await?);
    let (url, prefix) = world.redis_address()?;
    let starred = RedisDebouncer::connect(url, "debounce_*").await?;
    world.add(&key(1), WindowRule::NOW, [hit(1)]).await?;
    assert_eq!(other.claim(10).await?, []);
    assert_eq!(starred.claim(world.now(), 10, crate::world::LEASE).await?, []);
    debounce::delete_all(url, "debounce_*").await?;
    assert_eq!(world.claim(10).await?.len(), 1, "{prefix} is still there");
    world.flush().await?;
    other.flush().await
}

#[tokio::test]
async fn a_url_that_is_no_index_is_named_without_its_secrets() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let store = store::Store::open(&format!("sqlite://{}", dir.path().join("test.db").display())).await?;
    for url in ["memcached://user:hunter2@host", "redis://user:hunter2@127.0.0.1:1/0"] {
        let error = debounce::open(url, "", store.clone()).await.expect_err("nobody is there").to_string();
        assert!(error.contains("debounce.url") && !error.contains("hunter2"), "{error}");
    }
    assert_eq!(debounce::open("store:", "", store).await?.outlook().await?, (0, None));
    Ok(())
}
