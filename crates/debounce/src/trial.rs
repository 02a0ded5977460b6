//! The trial that `doctor` asks for: what the rooms will do, once, under a prefix of its own that is empty after.

use domain::{Clock, DebounceError, Debouncer as _, HitId, WindowAdd, WindowKey, window::WindowRule};
use uuid::Uuid;

use crate::{RedisConfig, RedisDebouncer, known};

const LEASE: std::time::Duration = std::time::Duration::from_secs(60);

/// Opens a window, claims it, reads its members and ends it, on a Redis; nothing is tried on the store, which has its own
/// examination.
///
/// # Errors
/// One sentence that names what the server refuses, and the mend.
pub async fn try_out(config: &RedisConfig, clock: &dyn Clock) -> Result<(), DebounceError> {
    if config.url == "store:" {
        return Ok(());
    }
    known(config)?;
    // Behind the prefix, so that an ACL for the deployment's keys is enough.
    let trial = Uuid::new_v4().simple();
    let prefix = format!("{}chainbell:window:doctor:{trial}:", config.prefix);
    let index = RedisDebouncer::open(&RedisConfig { prefix, ..config.clone() }).await?;
    let now = clock.now();
    let hit: HitId = HitId(Uuid::new_v4());
    let add =
        WindowAdd { key: WindowKey::from_stored("doctor"), rule: WindowRule::NOW, hits: vec![hit], now };
    index.add(vec![add]).await?;
    let claims = index.claim(now, 1, LEASE).await?;
    let Some(claim) = claims.first() else {
        return Err(config.failed("try", "a window that is due cannot be claimed: its keys are gone at once"));
    };
    let members = index.members(claim, None, 1).await?;
    index.ack(claim).await?;
    index.outlook().await?;
    index.forget_generations().await?;
    if members == [hit] {
        return Ok(());
    }
    Err(config.failed("try", "what was written is not read back: its keys are gone at once"))
}
