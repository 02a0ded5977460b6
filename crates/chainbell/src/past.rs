//! Shows, while `chainbell run` reads the past of contracts, how far it is: a bar on a terminal, a line of the log now and
//! then elsewhere. Owns no work; it asks the store.

use std::{collections::HashMap, sync::Arc, time::Duration};

use domain::{ChainId, ChainName, Clock};
use jiff::Timestamp;
use store::{ContractCursor, Store};

use crate::{progress::Progress, supervise::Supervisor};

const EVERY: Duration = Duration::from_secs(1);

/// Blocks of the past that remain and that were there when it was first looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Left {
    left: u64,
    all: u64,
}

impl Left {
    // Contracts are read together, so the blocks between the lowest cursor and the highest frontier remain.
    fn of(cursors: &[ContractCursor], before: Option<Self>) -> Option<Self> {
        let behind: Vec<_> = cursors.iter().filter(|cursor| cursor.is_behind()).collect();
        let from = behind.iter().map(|cursor| cursor.next_block).min()?;
        let to = behind.iter().map(|cursor| cursor.live_from).max()?;
        let left = to.saturating_sub(from);
        Some(Self { left, all: before.map_or(left, |before| before.all.max(left)) })
    }
}

/// Starts showing.
pub fn start(
    supervisor: &mut Supervisor,
    store: Store,
    chains: Vec<(ChainId, ChainName)>,
    clock: Arc<dyn Clock>,
) {
    supervisor.task("past", |stop| async move {
        let mut shown: HashMap<ChainId, (Left, Progress, Timestamp)> = HashMap::new();
        while !stop.is_cancelled() {
            for (chain, name) in &chains {
                let Ok(cursors) = store.contract_cursors(*chain).await else { continue };
                let before = shown.get(chain).map(|(left, ..)| *left);
                match Left::of(&cursors, before) {
                    Some(now) => {
                        let (left, progress, _) = shown
                            .entry(*chain)
                            .or_insert_with(|| (now, Progress::logged(&format!("the past of {name}"), now.all), clock.now()));
                        *left = now;
                        progress.at(now.all - now.left, "");
                    }
                    None => {
                        if let Some((left, progress, since)) = shown.remove(chain) {
                            progress.done();
                            let took = clock.now().duration_since(since).as_secs();
                            tracing::info!(chain = %name, blocks = left.all, took_s = took, "the past is read");
                        }
                    }
                }
            }
            tokio::select! { () = stop.cancelled() => {} () = clock.sleep(EVERY) => {} }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(name: &str, next_block: u64, live_from: u64) -> ContractCursor {
        let fingerprint = String::new();
        ContractCursor { name: name.parse().unwrap(), start_block: 0, next_block, live_from, fingerprint }
    }

    #[test]
    fn what_is_left_is_what_any_contract_lacks() {
        let cursors = [cursor("a", 100, 1_000), cursor("b", 400, 1_000), cursor("c", 1_000, 1_000)];
        let first = Left::of(&cursors, None).unwrap();
        assert_eq!(first, Left { left: 900, all: 900 });
        let later = Left::of(&[cursor("a", 900, 1_000)], Some(first)).unwrap();
        assert_eq!(later, Left { left: 100, all: 900 });
        assert_eq!(Left::of(&[cursor("a", 1_000, 1_000)], Some(later)), None);
    }
}
