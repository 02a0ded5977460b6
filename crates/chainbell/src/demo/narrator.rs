//! Tells on the terminal what the pipeline does, as the store shows it. Notifications speak for themselves: they come
//! through the channel `stdout:`.

use std::{
    collections::BTreeMap,
    io::{IsTerminal as _, stdout},
    sync::Arc,
    time::Duration,
};

use alloy_primitives::B256;
use domain::{BlockRef, ChainId, Clock, Finality};
use store::{EventQuery, Store, StoredEvent};
use tokio_util::sync::CancellationToken;

use crate::{failure::Failure, wiring::Parts};

const LOOK_EVERY: Duration = Duration::from_millis(100);
const BLOCKS_REMEMBERED: u32 = 64;
const EVENTS_SHOWN_MAX: usize = 6;

/// The narrator.
#[derive(Debug, Clone)]
pub(super) struct Narrator {
    store: Store,
    clock: Arc<dyn Clock>,
    chain: ChainId,
    colour: bool,
}

impl Narrator {
    pub(super) fn new(parts: &Parts) -> Self {
        let chain = parts.config.chains.first().map_or(ChainId(0), |chain| chain.id);
        let colour =
            stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { store: parts.store.clone(), clock: Arc::clone(&parts.clock), chain, colour }
    }

    /// A heading of the story.
    pub(super) fn chapter(&self, text: &str) {
        println!("\n{}", self.paint("1;36", &format!("== {text}")));
    }

    /// A sentence of the story.
    pub(super) fn say(&self, text: &str) {
        println!("{}", self.paint("36", &format!("   {text}")));
    }

    /// A sentence that came true.
    pub(super) fn proven(&self, text: &str) {
        println!("{}", self.paint("32", &format!("   ok: {text}")));
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// Follows the store until `stop`.
    pub(super) async fn listen(self, stop: CancellationToken) {
        let mut known: BTreeMap<u64, B256> = BTreeMap::new();
        while !stop.is_cancelled() {
            if let Err(failure) = self.look(&mut known).await {
                tracing::debug!("the narrator saw nothing: {failure}");
            }
            tokio::select! { () = stop.cancelled() => {} () = self.clock.sleep(LOOK_EVERY) => {} }
        }
    }

    async fn look(&self, known: &mut BTreeMap<u64, B256>) -> Result<(), Failure> {
        let blocks = self.store.recent_blocks(self.chain, BLOCKS_REMEMBERED).await?;
        let gone: Vec<_> = known
            .iter()
            .filter(|(number, hash)| {
                blocks.iter().any(|block| block.number == **number && block.hash != **hash)
            })
            .map(|(number, _)| *number)
            .collect();
        if let (Some(first), Some(last)) = (gone.first(), gone.last()) {
            let text = format!("reorg   blocks {first} to {last} left the chain ({} deep)", gone.len());
            println!("{}", self.paint("1;31", &text));
            known.retain(|number, _| number < first);
        }
        for block in blocks {
            if known.insert(block.number, block.hash) != Some(block.hash) {
                self.show(block).await?;
            }
        }
        while known.len() > BLOCKS_REMEMBERED as usize {
            known.pop_first();
        }
        Ok(())
    }

    async fn show(&self, block: BlockRef) -> Result<(), Failure> {
        let query = EventQuery {
            chain: self.chain,
            from: block.number,
            to: block.number,
            contract: None,
            after: None,
            limit: 1_000,
        };
        let events = self.store.events(&query).await?;
        println!("{}", self.paint("2", &format!("block   {block}, {} events", events.len())));
        for stored in events.iter().take(EVENTS_SHOWN_MAX) {
            println!("event   {}", describe(stored));
        }
        if events.len() > EVENTS_SHOWN_MAX {
            println!("event   … and {} more", events.len() - EVENTS_SHOWN_MAX);
        }
        Ok(())
    }
}

fn describe(stored: &StoredEvent) -> String {
    let json = stored.event.to_json(Finality::Seen);
    let params = json.get("params").map(ToString::to_string).unwrap_or_default();
    let shown: String = params.chars().take(150).collect();
    let cut = if shown.len() < params.len() { "…" } else { "" };
    format!("{} {} {shown}{cut}", stored.event.contract, stored.event.name().unwrap_or("undecoded"))
}
