//! `Follow`: new blocks on our tip.

use domain::{ChainError, Header, Origin, RawLog};
use store::{ChainCommit, Child};

use super::{Did, Ingest};
use crate::RoomError;

impl Ingest {
    pub(super) async fn extend(&mut self, head: &Header) -> Result<Did, RoomError> {
        let Some(chain) = &self.chain else { return Ok(Did::Idle) };
        let tip = chain.tip();
        let until = self.until(head.block.number);
        if until <= tip.number || self.factories_behind() {
            return Ok(Did::Idle);
        }
        let next = tip.number + 1;
        // Far behind, what is final can be read by range. The range must be worth it: it holds no blocks to rewind.
        if self.finalized.min(until) >= next + u64::from(self.config.blocks_max)
            && let Some(did) = self.catch_up(head, self.finalized.min(until)).await?
        {
            return Ok(did);
        }
        let last = until.min(tip.number + u64::from(self.config.blocks_max));
        let kept = self.kept.take_headers(head.block, tip);
        let headers = match kept {
            // Up to the head that they were read for, and no further than is read now.
            Some(headers) => headers.into_iter().take_while(|header| header.block.number <= last).collect(),
            None => self.next_headers(head, tip, last).await?,
        };
        match headers.first() {
            // The node does not know the next block: it lags behind its own head, or shrank. The next head tells.
            None => return Ok(Did::Idle),
            Some(first) if first.parent != tip.hash => {
                return if self.is_fork(tip, first).await? {
                    self.recover(head).await
                } else {
                    Ok(Did::Idle)
                };
            }
            Some(_) => {}
        }
        self.kept.keep_headers(head.block, &headers);
        let (read, events, children) = self.events_of(&headers).await?;
        self.commit(None, &headers[..read], &events, &children).await
    }

    // Reads final blocks by range, as one piece of the live chain: these are news, however late. `None` where no height up
    // to there has a block.
    async fn catch_up(&mut self, head: &Header, to: u64) -> Result<Option<Did>, RoomError> {
        let Some(chain) = &self.chain else { return Ok(Some(Did::Idle)) };
        let tip = chain.tip();
        let Some(first) = self.next_header(tip.number + 1, to).await? else { return Ok(None) };
        // Our tip need not be final: it may have left the chain while we were away.
        if first.parent != tip.hash {
            let fork = self.is_fork(tip, &first).await?;
            return if fork { self.recover(head).await.map(Some) } else { Ok(Some(Did::Idle)) };
        }
        let (url, filters) = (self.deps.client.url(), self.filters.clone());
        let (to, logs) = self.range_logs(first.block.number, to, &filters).await?;
        let header = self.header_at_or_below(to, head.block.number).await?;
        // That a node has the last block says nothing about how far another one's logs reach.
        if self.deps.client.url() != url {
            let detail = "another node answered before its range was read to the end".to_owned();
            return Err(ChainError::Unavailable { url, method: "eth_getBlockByNumber", detail }.into());
        }
        if let Some(log) = logs.iter().find(|log| log.block.number > header.block.number) {
            let detail = format!("it has logs of block {}, and no such block", log.block);
            return Err(ChainError::Incoherent { url: self.deps.client.url(), detail }.into());
        }
        let times = self.timestamps(&logs).await?;
        let time = |log: &RawLog| times.get(&log.block.number).copied();
        let (events, children) = self.decode(&logs, Origin::Live, time);
        let did = self.commit(None, std::slice::from_ref(&header), &events, &children).await?;
        Ok(Some(match did {
            Did::Followed { events, .. } => {
                Did::Followed { blocks: header.block.number - tip.number, events }
            }
            other => other,
        }))
    }

    /// Commits blocks on our tip, or on `ancestor` in a reorg, and only then believes in them.
    pub(super) async fn commit(
        &mut self,
        ancestor: Option<domain::BlockRef>,
        headers: &[Header],
        events: &[domain::Event],
        children: &[Child],
    ) -> Result<Did, RoomError> {
        let Some(chain) = &self.chain else { return Ok(Did::Idle) };
        let old = chain.tip();
        let tip = headers.last().map(|header| header.block).or(ancestor).unwrap_or(old);
        let lease = self.fence_name();
        let commit = ChainCommit {
            chain: self.config.chain,
            name: &self.config.name,
            expected_tip: Some(old),
            ancestor,
            headers,
            events,
            children,
            tip,
            publish: self.publish(),
            fence: self.fence(&lease),
            now: self.deps.clock.now(),
        };
        domain::crash_point!("ingest.before_commit", !events.is_empty());
        let committed = self.deps.store.commit_chain(&commit).await?;
        domain::crash_point!("ingest.committed", !events.is_empty());
        domain::crash_point!("ingest.recover.committed", ancestor.is_some());
        let Some(chain) = self.chain.as_mut() else { return Ok(Did::Idle) };
        let rewound = ancestor.and_then(|ancestor| chain.rewind(ancestor).ok());
        let depth = rewound.map_or(0, |dropped| dropped.len() as u64);
        for header in headers {
            // Blocks that were read by range do not link to the tip one by one.
            if chain.extend(header).is_err() {
                chain.jump(header.block);
            }
            self.witnesses.satisfied(header.block, events);
        }
        if committed.seen + committed.orphaned > 0 {
            self.deps.relay.ring();
        }
        self.deps.committed.ring();
        Ok(match ancestor {
            Some(_) => Did::Recovered { depth, orphaned: committed.orphaned },
            None => Did::Followed { blocks: headers.len() as u64, events: committed.seen },
        })
    }
}
