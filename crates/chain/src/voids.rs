//! Owns a range of logs that begins or ends at a height without a block, where the node refuses it for that. Such a height is
//! known by the blocks on both sides of it, of which the upper one is built on the lower one, and not by the node's words.

use domain::{Header, LogQuery};

use crate::{fault::Fault, upstream::Upstream};

/// How many heights are looked at together on the way to the next block, and how often.
const WINDOW: u64 = 32;
const WINDOWS_MAX: u64 = 8;

impl Upstream {
    /// The range from its first block to its last, where the fault may be that it begins or ends elsewhere; one that ends
    /// before it begins has no block at all. `None` where that is not the reason.
    pub(crate) async fn between_voids(&self, query: LogQuery, fault: &Fault) -> Option<LogQuery> {
        let LogQuery::Range { from, to } = query else { return None };
        if !matches!(fault, Fault::Refused(_) | Fault::UnknownBlock) {
            return None;
        }
        let ends = self.headers_by_number(&[from, to]).await.ok()?;
        let [first, last] = <[_; 2]>::try_from(ends).ok()?;
        if first.is_some() && last.is_some() {
            return None;
        }
        let from = if first.is_some() { from } else { self.across(from).await?.1.block.number };
        let to = if last.is_some() { to } else { self.across(to).await?.0.block.number };
        Some(LogQuery::Range { from, to })
    }

    /// The blocks below and above a height that has none; `None` where they do not link.
    async fn across(&self, height: u64) -> Option<(Header, Header)> {
        let above = self.next_above(height).await?;
        let below = self.header_by_hash(above.parent).await.ok()??;
        (below.block.number < height).then_some((below, above))
    }

    async fn next_above(&self, height: u64) -> Option<Header> {
        let first = height.saturating_add(1);
        for window in 0..WINDOWS_MAX {
            let from = first.saturating_add(window * WINDOW);
            let numbers: Vec<_> = (from..from.saturating_add(WINDOW)).collect();
            let found = self.headers_by_number(&numbers).await.ok()?.into_iter().flatten().next();
            if found.is_some() {
                return found;
            }
        }
        None
    }
}
