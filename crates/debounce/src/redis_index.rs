//! The timer index in Redis: one atomic script per operation, so that a window and its timer are never apart.
//!
//! Keys, all under the prefix: `open` (zset of window keys by due time), `generations` (hash of the open generation
//! of each key), `claimed` (zset of claimed windows by lease end), `generation` (a counter), and per window a hash
//! with its state and a zset of its members.

use std::{
    fmt,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use domain::{Claim, DebounceError, Debouncer, HitId, WindowAdd, WindowKey};
use jiff::{SignedDuration, Timestamp};
use redis::{RedisError, Script, ScriptInvocation, aio::ConnectionManager};
use uuid::Uuid;

use crate::{
    connect::{RedisConfig, connect},
    faults,
};

/// The keys that every script may take, beside those of its windows.
const KEYS: [&str; 4] = ["open", "generations", "claimed", "generation"];
/// How many hits one call of the script takes. Those of a larger add join in several steps.
const HITS_PER_CALL_MAX: usize = 5_000;
/// How many calls of the script go to the server at once.
const CALLS_PER_PIPE_MAX: usize = 200;

/// A debouncer on Redis 7 or Valkey.
#[derive(Clone)]
pub struct RedisDebouncer {
    connection: ConnectionManager,
    url: String,
    prefix: String,
    add: Script,
    claim: Script,
    settle: Script,
}

impl fmt::Debug for RedisDebouncer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisDebouncer").field("url", &self.url).finish_non_exhaustive()
    }
}

impl RedisDebouncer {
    /// Connects to a server that asks for no files. See [`RedisDebouncer::open`].
    ///
    /// # Errors
    /// As [`RedisDebouncer::open`].
    pub async fn connect(url: &str, prefix: &str) -> Result<Self, DebounceError> {
        Self::open(&RedisConfig::new(url, prefix)).await
    }

    /// Connects, and says so when the server may evict keys.
    ///
    /// # Errors
    /// [`DebounceError`] when nothing answers, or what answers can never be used.
    pub async fn open(config: &RedisConfig) -> Result<Self, DebounceError> {
        let prefix = format!("{}chainbell:window:", config.prefix);
        let keys: Vec<_> = KEYS.iter().map(|name| format!("{prefix}{name}")).collect();
        let debouncer = Self {
            connection: connect(config, &keys).await?,
            url: config.shown(),
            prefix,
            add: Script::new(include_str!("add.lua")),
            claim: Script::new(include_str!("claim.lua")),
            settle: Script::new(include_str!("settle.lua")),
        };
        debouncer.warn_of_eviction().await;
        Ok(debouncer)
    }

    // An evicted window is late, not lost; still, somebody should know.
    async fn warn_of_eviction(&self) {
        let mut connection = self.connection.clone();
        let answer: Result<Vec<String>, _> =
            redis::cmd("CONFIG").arg("GET").arg("maxmemory-policy").query_async(&mut connection).await;
        if let Ok(answer) = answer
            && let Some(policy) = answer.get(1).filter(|policy| *policy != "noeviction")
        {
            tracing::warn!(
                debounce.url = self.url,
                "Redis may evict windows (maxmemory-policy {policy}): set it to noeviction"
            );
        }
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn windows(&self) -> String {
        self.key("w:")
    }

    async fn timed<T>(
        &self,
        action: &'static str,
        call: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, DebounceError> {
        let started = started();
        let result = call.await;
        metrics::histogram!("chainbell_redis_command_seconds", "command" => action).record(started.elapsed());
        result.map_err(|error| {
            metrics::counter!("chainbell_redis_command_errors_total", "command" => action).increment(1);
            let detail = faults::sentence(&error, None);
            DebounceError { url: self.url.clone(), action, detail }
        })
    }

    fn add_call(&self, add: &WindowAdd, hits: &[HitId]) -> ScriptInvocation<'_> {
        let mut call = self.add.prepare_invoke();
        call.key(self.key("open"))
            .key(self.key("generations"))
            .key(self.key("generation"))
            .key(self.windows())
            .arg(add.key.as_str())
            .arg(add.now.as_millisecond())
            .arg(millis(add.rule.window))
            .arg(millis(add.rule.max_wait))
            .arg(add.rule.max_count)
            .arg(u8::from(add.rule.slide));
        for hit in hits {
            call.arg(hit.0.simple().to_string());
        }
        call
    }

    async fn settled(
        &self,
        action: &'static str,
        claim: &Claim,
        lease_end: Option<i64>,
    ) -> Result<(), DebounceError> {
        let mut connection = self.connection.clone();
        let mut script = self.settle.prepare_invoke();
        script
            .key(self.key("claimed"))
            .key(self.windows())
            .arg(format!("{}\n{}", claim.key, claim.generation))
            .arg(&claim.token)
            .arg(lease_end.map_or_else(String::new, |end| end.to_string()));
        self.timed(action, script.invoke_async::<i64>(&mut connection)).await.map(|_| ())
    }
}

impl RedisDebouncer {
    /// Deletes every key under the prefix.
    pub(crate) async fn delete_all(&self) -> Result<(), DebounceError> {
        let mut connection = self.connection.clone();
        let mut cursor = 0_u64;
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(format!("{}*", literal(&self.prefix))).arg("COUNT").arg(1_000);
            let (next, keys): (u64, Vec<String>) =
                self.timed("scan", scan.query_async(&mut connection)).await?;
            if !keys.is_empty() {
                let mut unlink = redis::cmd("UNLINK");
                unlink.arg(keys);
                self.timed("unlink", unlink.query_async::<i64>(&mut connection)).await?;
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }

    /// Forgets the one key that a trial leaves behind.
    pub(crate) async fn forget_generations(&self) -> Result<(), DebounceError> {
        let mut connection = self.connection.clone();
        let mut unlink = redis::cmd("UNLINK");
        unlink.arg(self.key("generation"));
        self.timed("unlink", unlink.query_async::<i64>(&mut connection)).await.map(|_| ())
    }
}

/// Deletes every key under a prefix: what a flush of the server does to one deployment. Nothing is lost with it.
///
/// # Errors
/// [`DebounceError`] when the server does not answer.
pub async fn delete_all(url: &str, prefix: &str) -> Result<(), DebounceError> {
    RedisDebouncer::connect(url, prefix).await?.delete_all().await
}

// Of a pattern, the text that matches itself only.
fn literal(text: &str) -> String {
    text.chars().flat_map(|c| "*?[]^\\".contains(c).then_some('\\').into_iter().chain([c])).collect()
}

#[expect(clippy::disallowed_methods, reason = "measures how long a command took, decides nothing")]
fn started() -> Instant {
    Instant::now()
}

fn millis(duration: Duration) -> i64 {
    // A wait of centuries is as good as for ever, and stays exact in Lua's numbers.
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX).min(10_000_000_000_000)
}

#[async_trait]
impl Debouncer for RedisDebouncer {
    async fn add(&self, adds: Vec<WindowAdd>) -> Result<(), DebounceError> {
        let calls: Vec<_> = adds
            .iter()
            .flat_map(|add| add.hits.chunks(HITS_PER_CALL_MAX).map(move |hits| (add, hits)))
            .collect();
        for calls in calls.chunks(CALLS_PER_PIPE_MAX) {
            // Loaded each time: a server that was restarted has forgotten it.
            let mut pipe = redis::pipe();
            pipe.load_script(&self.add).ignore();
            for (add, hits) in calls {
                pipe.invoke_script(&self.add_call(add, hits)).ignore();
            }
            let mut connection = self.connection.clone();
            self.timed("add", pipe.query_async::<()>(&mut connection)).await?;
        }
        Ok(())
    }

    async fn claim(
        &self,
        now: Timestamp,
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<Claim>, DebounceError> {
        let token = Uuid::new_v4().simple().to_string();
        let mut connection = self.connection.clone();
        let mut script = self.claim.prepare_invoke();
        script
            .key(self.key("open"))
            .key(self.key("generations"))
            .key(self.key("claimed"))
            .key(self.windows())
            .arg(now.as_millisecond())
            .arg(limit)
            .arg(now.as_millisecond().saturating_add(millis(lease)))
            .arg(&token);
        let claimed: Vec<(String, u64, u32)> =
            self.timed("claim", script.invoke_async(&mut connection)).await?;
        Ok(claimed
            .into_iter()
            .map(|(key, generation, claims)| Claim {
                key: WindowKey::from_stored(key),
                generation,
                claims,
                token: token.clone(),
            })
            .collect())
    }

    async fn members(
        &self,
        claim: &Claim,
        after: Option<HitId>,
        limit: usize,
    ) -> Result<Vec<HitId>, DebounceError> {
        let mut connection = self.connection.clone();
        let from = after.map_or_else(|| "-".to_owned(), |hit| format!("({}", hit.0.simple()));
        let mut command = redis::cmd("ZRANGEBYLEX");
        command
            .arg(format!("{}{}\n{}\nmembers", self.windows(), claim.key, claim.generation))
            .arg(from)
            .arg("+")
            .arg("LIMIT")
            .arg(0)
            .arg(limit);
        let members: Vec<String> = self.timed("members", command.query_async(&mut connection)).await?;
        // What is no id was not written by us; the sweep brings any hit that is missing.
        Ok(members.iter().filter_map(|member| member.parse().ok()).collect())
    }

    async fn ack(&self, claim: &Claim) -> Result<(), DebounceError> {
        self.settled("ack", claim, None).await
    }

    async fn release(&self, claim: &Claim, now: Timestamp, delay: Duration) -> Result<(), DebounceError> {
        let delay = SignedDuration::try_from(delay).unwrap_or(SignedDuration::MAX);
        let at = now.saturating_add(delay).unwrap_or(Timestamp::MAX);
        self.settled("release", claim, Some(at.as_millisecond())).await
    }

    async fn outlook(&self) -> Result<(u64, Option<Timestamp>), DebounceError> {
        // Of each set, how many and the first.
        type Answer = (u64, Vec<(String, f64)>, u64, Vec<(String, f64)>);
        let mut connection = self.connection.clone();
        let mut pipe = redis::pipe();
        for set in ["open", "claimed"] {
            pipe.cmd("ZCARD").arg(self.key(set));
            pipe.cmd("ZRANGE").arg(self.key(set)).arg(0).arg(0).arg("WITHSCORES");
        }
        let (open, first_open, claimed, first_claimed): Answer =
            self.timed("outlook", pipe.query_async(&mut connection)).await?;
        #[expect(clippy::cast_possible_truncation, reason = "scores are whole milliseconds that we wrote")]
        let due = first_open.iter().chain(&first_claimed).map(|(_, score)| *score as i64).min();
        // A time beyond all times is one that never comes.
        Ok((open + claimed, due.map(|millis| Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX))))
    }
}
