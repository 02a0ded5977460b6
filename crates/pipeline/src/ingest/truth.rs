//! The logs of final blocks, each by the surest way that it allows: by receipts that prove it, of whatever URL, else by
//! another URL's logs, else by the same URL's once more. Owns the order of these ways; must not know what is compared.

use domain::{BlockReceipts, ChainClient, ChainError, Header, LogQuery, Proof, RawLog};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use store::{AuditMethod, Unproved};

use super::{Ingest, source::logs_from};
use crate::RoomError;

// How many other URLs are asked for the receipts of a block.
const OTHERS_MAX: usize = 3;

/// The logs of some blocks, as an audit trusts them.
pub(super) struct Truth {
    pub(super) logs: Vec<RawLog>,
    /// How they were made sure of, the weakest of them.
    pub(super) method: AuditMethod,
    pub(super) provider: String,
    /// The blocks that no receipts prove, though there are receipts of others.
    pub(super) unproved: Vec<Unproved>,
}

/// What receipts that cannot be had mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// They may be had later, unless what is there contradicts itself.
    Strict,
    /// They were waited for long enough.
    AnyWay,
}

impl Ingest {
    pub(super) async fn truth(&self, headers: &[Header], patience: Patience) -> Result<Truth, RoomError> {
        let asked = headers.iter().map(|header| self.receipts_of(header, patience));
        let asked: Vec<_> = asked.collect();
        let found: Result<Vec<_>, _> =
            stream::iter(asked).buffered(self.config.parallel.max(1)).try_collect().await;
        let found = match found {
            Err(ChainError::Unsupported { .. }) => return self.by_logs(headers).await,
            found => found?,
        };
        let (mut logs, mut proved, mut unproved, mut without) = (Vec::new(), true, Vec::new(), Vec::new());
        for (header, found) in headers.iter().zip(found) {
            match found {
                Ok(receipts) => {
                    proved &= receipts.proof == Proof::Root;
                    logs.extend(receipts.logs);
                }
                Err(reason) => {
                    without.push(*header);
                    unproved.push(Unproved { block: header.block.number, reason, method: None });
                }
            }
        }
        logs.retain(|log| self.filters.iter().any(|filter| filter.matches(log)));
        let mut method = if proved { AuditMethod::ReceiptsRoot } else { AuditMethod::ReceiptsWord };
        if !without.is_empty() {
            let more = self.by_logs(&without).await?;
            for block in &mut unproved {
                block.method = Some(more.method);
            }
            method = method.max(more.method);
            logs.extend(more.logs);
            logs.sort_by_key(|log| (log.block.number, log.log_index));
        }
        Ok(Truth { logs, method, provider: self.deps.client.url(), unproved })
    }

    // The receipts of a block; else why they prove nothing of it.
    async fn receipts_of(
        &self,
        header: &Header,
        patience: Patience,
    ) -> Result<Result<BlockReceipts, String>, ChainError> {
        let client = &self.deps.client;
        let unknown = || ChainError::UnknownBlock { url: client.url(), block: header.block.to_string() };
        let error = match client.receipts(header.block).await {
            Ok(Some(receipts)) => return Ok(Ok(receipts)),
            Ok(None) => unknown(),
            Err(error) => error,
        };
        let contradicts = matches!(error, ChainError::Unproved { .. } | ChainError::Incoherent { .. });
        if matches!(error, ChainError::Unsupported { .. }) || !(contradicts || patience == Patience::AnyWay) {
            return Err(error);
        }
        for other in client.others().iter().take(OTHERS_MAX) {
            match other.receipts(header.block).await {
                Ok(Some(receipts)) if receipts.proof == Proof::Root => return Ok(Ok(receipts)),
                _ => {}
            }
        }
        Ok(Err(error.to_string()))
    }

    async fn by_logs(&self, headers: &[Header]) -> Result<Truth, RoomError> {
        let client = &self.deps.client;
        let truth = |logs, method, provider| Truth { logs, method, provider, unproved: Vec::new() };
        for other in client.others() {
            if let Ok(logs) = self.by_hash(other.as_ref(), headers).await {
                return Ok(truth(logs, AuditMethod::OtherProvider, other.url()));
            }
        }
        let logs = self.by_hash(client.as_ref(), headers).await?;
        Ok(truth(logs, AuditMethod::SameProvider, client.url()))
    }

    async fn by_hash(&self, client: &dyn ChainClient, headers: &[Header]) -> Result<Vec<RawLog>, ChainError> {
        let asked = headers.iter().map(|header| async move {
            logs_from(client, LogQuery::Block(header.block), &self.filters).await
        });
        let asked: Vec<_> = asked.collect();
        let logs: Vec<Vec<RawLog>> =
            stream::iter(asked).buffered(self.config.parallel.max(1)).try_collect().await?;
        Ok(logs.concat())
    }
}
