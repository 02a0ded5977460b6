//! Doubts about what the node in use says, and who settles them: another URL, or the receipts. Owns what counts as a
//! lie; must not let an answer of another URL become part of what is committed.

use domain::{ChainError, Header, LogFilter, LogQuery, Proof, RawLog};
use futures::future::join_all;
use jiff::SignedDuration;

use super::{Did, Ingest, source::logs_from};
use crate::RoomError;

// After so many steps in a row that a block was unknown in, another URL is asked.
const UNKNOWN_MAX: u32 = 3;

// How many other URLs are asked about one doubt.
const OTHERS_MAX: usize = 3;

/// What the other URLs say about a head that would take the place of ours.
#[derive(Debug, Default, PartialEq, Eq)]
struct Votes {
    with: usize,
    against: Vec<String>,
}

impl Ingest {
    /// Refuses to follow a reorg that more URLs contradict than confirm. Those have what we hold and go on from there, so that
    /// one of them is read meanwhile; other nodes hear of a real reorg moments later, and then it is theirs too. A node that
    /// tells of it still when it is asked again, after a while, is taken for a liar.
    pub(super) async fn contest(&mut self, head: &Header) -> Result<(), RoomError> {
        let votes = self.votes(head).await;
        if votes.against.len() <= votes.with {
            self.contested = None;
            return Ok(());
        }
        let now = self.deps.clock.now();
        let patience = SignedDuration::try_from(self.config.contest).unwrap_or(SignedDuration::MAX);
        let url = self.deps.client.url();
        let contested = self.contested.take().filter(|(of, _)| *of == url);
        let since = contested.map_or(now, |(_, since)| since);
        let against = votes.against.join(", ");
        let detail =
            format!("block {} is not in the chain of {against}, which holds what we hold", head.block);
        if now.duration_since(since) >= patience {
            self.deps.client.accuse(&detail);
        } else {
            self.contested = Some((url.clone(), since));
            self.deps.client.doubt(&detail);
        }
        Err(ChainError::Incoherent { url, detail }.into())
    }

    /// Leaves a URL for another that, time and again, does not know the blocks that it tells of itself.
    pub(super) fn doubt_what_is_unknown(&mut self, did: &Result<Did, RoomError>) {
        let url = self.deps.client.url();
        match did {
            Err(RoomError::Chain(ChainError::UnknownBlock { block, .. })) => {
                let before = self.unknown.take().filter(|(of, _)| *of == url).map_or(0, |(_, times)| times);
                if before + 1 < UNKNOWN_MAX {
                    self.unknown = Some((url, before + 1));
                } else if !self.deps.client.others().is_empty() {
                    self.deps.client.doubt(&format!("it told of block {block}, which it does not know"));
                }
            }
            Err(_) => {}
            Ok(_) => {
                self.unknown = None;
                // It holds what we hold again.
                self.contested.take_if(|(of, _)| *of == url);
            }
        }
    }

    // A vote against: another URL still holds our tip, and another block at the head's height. One that has not come so
    // far has no vote.
    async fn votes(&self, head: &Header) -> Votes {
        let Some(chain) = &self.chain else { return Votes::default() };
        let tip = chain.tip();
        let others = self.deps.client.others();
        let asked = others.iter().take(OTHERS_MAX).map(|other| async move {
            let numbers = [tip.number, head.block.number];
            let headers = other.headers_by_number(&numbers).await.ok()?;
            let [ours, theirs] = <[_; 2]>::try_from(headers).ok()?;
            let theirs = theirs?;
            if theirs.block == head.block {
                return Some((other.url(), true));
            }
            ours.filter(|ours| ours.block == tip).map(|_| (other.url(), false))
        });
        let mut votes = Votes::default();
        for (url, with) in join_all(asked).await.into_iter().flatten() {
            if with {
                votes.with += 1;
            } else {
                votes.against.push(url);
            }
        }
        votes
    }

    /// Whether any other URL still holds a block of ours: then a disagreement that is too deep is this node's.
    pub(super) async fn somebody_agrees(&self) -> bool {
        let Some(chain) = &self.chain else { return false };
        let tip = chain.tip();
        let others = self.deps.client.others();
        let asked = others.iter().take(OTHERS_MAX).map(|other| async move {
            let headers = other.headers_by_number(&[tip.number]).await;
            headers.ok().into_iter().flatten().flatten().any(|header| header.block == tip)
        });
        join_all(asked).await.contains(&true)
    }

    /// Settles a doubt about a block's logs, `logs` being what the node in use says twice. Another URL that tells of more,
    /// or receipts that do, prove that the node left some out: it is accused, and the block is read again elsewhere.
    /// Blocks are doubted side by side: once one doubt has led to another URL, `url`, which gave these logs, is not the one
    /// in use any more, and nobody is accused for it again.
    pub(super) async fn settle_doubt(
        &self,
        url: &str,
        header: &Header,
        filters: &[LogFilter],
        logs: &[RawLog],
    ) -> Result<(), RoomError> {
        // Some nodes say "no logs" of a block that is not in their chain: it may have left it between two questions.
        if logs.is_empty() && self.deps.client.header_by_hash(header.block.hash).await?.is_none() {
            let (url, block) = (self.deps.client.url(), header.block.to_string());
            return Err(ChainError::UnknownBlock { url, block }.into());
        }
        for other in self.deps.client.others().iter().take(OTHERS_MAX) {
            let query = LogQuery::Block(header.block);
            let Ok(more) = logs_from(other.as_ref(), query, filters).await else { continue };
            let invented = self.proved_otherwise(header, filters, &more).await;
            if invented {
                other.accuse(&format!("it told of logs that block {} does not have", header.block));
                continue;
            }
            if lacks(logs, &more) {
                let detail = format!("it left out logs of block {}, which {} has", header.block, other.url());
                if self.deps.client.url() == url {
                    self.deps.client.accuse(&detail);
                }
                return Err(ChainError::Incoherent { url: url.to_owned(), detail }.into());
            }
            return Ok(());
        }
        // Nobody else can tell. What is known to be in the chain now, and had no logs before that was known, is asked for
        // once more; a log that was announced and is missing is a fault anyway.
        if logs.is_empty() && !self.witnesses.miss(header.block, logs) {
            let more = self.logs(LogQuery::Block(header.block), filters).await?;
            if !more.is_empty() {
                let detail =
                    format!("it said that block {} has no logs, and then told of some", header.block);
                return Err(ChainError::Incoherent { url: url.to_owned(), detail }.into());
            }
        }
        Ok(())
    }

    // Whether receipts that hash to the block's root have other logs than were told.
    async fn proved_otherwise(&self, header: &Header, filters: &[LogFilter], told: &[RawLog]) -> bool {
        if told.is_empty() {
            return false;
        }
        match self.deps.client.receipts(header.block).await {
            Ok(Some(receipts)) if receipts.proof == Proof::Root => {
                let wanted = |log: &&RawLog| filters.iter().any(|filter| filter.matches(log));
                let proved: Vec<_> = receipts.logs.iter().filter(wanted).cloned().collect();
                lacks(&proved, told)
            }
            _ => false,
        }
    }
}

/// Whether `logs` lack one of `more`.
fn lacks(logs: &[RawLog], more: &[RawLog]) -> bool {
    more.iter().any(|log| logs.iter().all(|known| known.log_index != log.log_index))
}
