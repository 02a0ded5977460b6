//! Owns the subscriptions on one connection: to heads, and to the logs of each filter. It knows no policy: what to do
//! when they end is for the feed.

use std::{collections::HashMap, pin::Pin, sync::Arc};

use domain::LogFilter;
use futures::{Stream, StreamExt, stream};
use serde_json::{Value as Json, json, value::RawValue};
use tokio_stream::StreamMap;

use crate::{
    desk::Heard,
    fault::Fault,
    limits::LOG_SUBSCRIPTIONS_MAX,
    link::{Link, SUBSCRIBE, Subscription},
    questions::{log_params, split},
    upstream::Upstream,
};

/// What a subscription brings.
#[derive(Debug)]
pub(crate) enum Announced {
    Head(Box<RawValue>),
    Log(Box<RawValue>),
    /// The reader was too slow, and some are gone.
    Lost,
    /// There will be no more.
    Ended,
}

type Announcements = Pin<Box<dyn Stream<Item = Announced> + Send>>;

/// Live subscriptions.
pub(crate) struct Session {
    pub(crate) link: Arc<Link>,
    heads: Announcements,
    logs: StreamMap<Subscription, Announcements>,
    // By their parameters, which tell whether a filter has a subscription already.
    subscribed: HashMap<String, Subscription>,
}

impl Session {
    /// Subscribes to heads and to the logs of the filters.
    pub(crate) async fn open(
        upstream: &Upstream,
        link: Arc<Link>,
        filters: &[LogFilter],
    ) -> Result<Self, Fault> {
        let (_, heads) = subscribe(upstream, &link, json!(["newHeads"]), Announced::Head).await?;
        let mut session = Self { link, heads, logs: StreamMap::new(), subscribed: HashMap::new() };
        session.filter(upstream, filters).await?;
        Ok(session)
    }

    /// Brings the log subscriptions in line with the filters: the new ones come before the old ones go, so that no log
    /// of a filter in both passes unseen.
    pub(crate) async fn filter(&mut self, upstream: &Upstream, filters: &[LogFilter]) -> Result<(), Fault> {
        let max_addresses = upstream.shared.config.max_addresses;
        let parts: Vec<_> = filters.iter().flat_map(|filter| split(filter, max_addresses)).collect();
        let mut wanted: HashMap<String, Json> = HashMap::new();
        if parts.len() <= LOG_SUBSCRIPTIONS_MAX {
            for part in &parts {
                let params = json!(["logs", log_params(None, part)]);
                wanted.insert(params.to_string(), params);
            }
        } else {
            let (url, filters) = (upstream.endpoint.redacted(), parts.len());
            tracing::info!(url, filters, "too many filters for subscriptions to logs: heads only");
        }
        for (key, params) in &wanted {
            if !self.subscribed.contains_key(key) {
                let (id, logs) = subscribe(upstream, &self.link, params.clone(), Announced::Log).await?;
                self.logs.insert(id.clone(), logs);
                self.subscribed.insert(key.clone(), id);
            }
        }
        let (link, logs) = (&self.link, &mut self.logs);
        self.subscribed.retain(|key, id| {
            let keep = wanted.contains_key(key);
            if !keep {
                logs.remove(id);
                link.unsubscribe(id);
            }
            keep
        });
        Ok(())
    }

    /// The next announcement of any subscription; of those that are there, logs before heads, so that a reader that is
    /// woken by a head has the block's witnesses already, where the node was first with them.
    pub(crate) async fn next(&mut self) -> Announced {
        tokio::select! {
            biased;
            Some((_, announced)) = self.logs.next() => announced,
            announced = self.heads.next() => announced.unwrap_or(Announced::Ended),
        }
    }
}

async fn subscribe(
    upstream: &Upstream,
    link: &Link,
    params: Json,
    announce: fn(Box<RawValue>) -> Announced,
) -> Result<(Subscription, Announcements), Fault> {
    let (id, hearing) = upstream.timed(SUBSCRIBE, link, link.subscribe(params)).await?;
    let stream = hearing
        .map(move |heard| match heard {
            Heard::News(raw) => announce(raw),
            Heard::Lost => Announced::Lost,
        })
        .chain(stream::iter([Announced::Ended]));
    Ok((id, Box::pin(stream)))
}
