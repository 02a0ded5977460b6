//! The audit: final blocks read again by a stronger way than the first time, and compared with what is stored. Owns what
//! counts as a difference; what it mends goes through the store as any event does.

use std::collections::{HashMap, HashSet};

use alloy_primitives::{B256, keccak256};
use domain::{Catalog, ChainId, Content, Contract, Event, EventSchema, Origin, RawLog};
use store::{AuditMethod, AuditRow, Child, ContractCursor, EventKey, Repair, StoredEvent, Unproved};

use super::{
    Ingest,
    truth::{Patience, Truth},
};
use crate::RoomError;

/// How many blocks one piece of an audit spans at most.
pub const AUDIT_BLOCKS_MAX: u64 = 64;

// How many stored events are read at once.
const PAGE: u32 = 10_000;

/// What one piece of an audit found.
#[derive(Debug, Clone)]
pub struct Audited {
    /// First block.
    pub from: u64,
    /// Last block.
    pub to: u64,
    /// How the blocks were made sure of, the weakest of them.
    pub method: AuditMethod,
    /// Who told, as a redacted URL.
    pub provider: String,
    /// The blocks that no receipts prove, though the node gives receipts.
    pub unproved: Vec<Unproved>,
    /// How many events were compared.
    pub compared: u64,
    /// Events that the store lacks.
    pub missing: Vec<Event>,
    /// Events that the store has and the chain does not.
    pub extra: Vec<StoredEvent>,
    /// Events that the store has otherwise than the chain.
    pub different: Vec<Event>,
    /// How many of these were mended.
    pub repaired: u64,
}

impl Audited {
    /// Whether the store had nothing missing, extra or different.
    pub const fn is_clean(&self) -> bool {
        self.missing.is_empty() && self.extra.is_empty() && self.different.is_empty()
    }
}

/// The set of a chain's contracts that an audit is about, as a text that changes with them.
pub fn audited_contracts(catalog: &Catalog, chain: ChainId) -> String {
    let of = |contract: &std::sync::Arc<Contract>| {
        format!("{} {} {:?}", contract.name, catalog.fingerprint(contract), contract.start)
    };
    let mut contracts: Vec<_> = catalog.of_chain(chain).map(of).collect();
    contracts.sort_unstable();
    keccak256(contracts.join("\n")).to_string()
}

impl Ingest {
    /// The set of contracts that this ingest's audits are about.
    pub fn audited_contracts(&self) -> String {
        audited_contracts(&self.deps.catalog, self.config.chain)
    }

    /// The checkpoint as it is now, for an audit that follows another reader's chain: the last block that is final and
    /// held, and the first from which on every contract was read live.
    ///
    /// # Errors
    /// See [`RoomError`].
    pub async fn audit_bounds(&mut self) -> Result<Option<(u64, u64)>, RoomError> {
        self.look_up().await?;
        let Some(chain) = &self.chain else { return Ok(None) };
        let last = self.finalized.min(chain.tip().number);
        let met = self.cursors.iter().filter(|cursor| self.is_met(cursor));
        // What has a past was read live from different blocks on; what has none restricts nothing but the beginning.
        let (past, new): (Vec<_>, Vec<_>) = met.partition(|cursor| cursor.start_block < cursor.live_from);
        let first = past.iter().map(|cursor| cursor.live_from).max();
        let first = first.or_else(|| new.iter().map(|cursor| cursor.start_block).min());
        Ok(first.map(|first| (first, last)))
    }

    /// Reads one piece of final blocks again, from `from` on and at most up to `to`, compares, notes the result, and mends
    /// what differs if it is asked to.
    ///
    /// # Errors
    /// See [`RoomError`]; doing it again is harmless.
    pub async fn audit(&mut self, from: u64, to: u64, repair: bool) -> Result<Audited, RoomError> {
        self.audit_with(from, to, repair, Patience::Strict).await
    }

    /// Reads one final block again, by its logs where its receipts cannot be had for whatever reason.
    ///
    /// # Errors
    /// See [`RoomError`]; doing it again is harmless.
    pub async fn audit_somehow(&mut self, block: u64, repair: bool) -> Result<Audited, RoomError> {
        self.audit_with(block, block, repair, Patience::AnyWay).await
    }

    async fn audit_with(
        &mut self,
        from: u64,
        to: u64,
        repair: bool,
        patience: Patience,
    ) -> Result<Audited, RoomError> {
        self.recall_limits().await?;
        let to = to.min(from + AUDIT_BLOCKS_MAX - 1);
        let headers = self.whole_run(from, to).await?;
        let truth = self.truth(&headers, patience).await?;
        let times: HashMap<_, _> =
            headers.iter().map(|header| (header.block.number, header.timestamp)).collect();
        let time = |log: &RawLog| times.get(&log.block.number).copied();
        let (mut events, children) = self.decode(&truth.logs, Origin::Live, time);
        events.retain(|event| self.is_read(&event.contract, event.block.number));
        let stored = self.stored_between(from, to).await?;
        let mut audited = compare(events, stored, &truth, (from, to));
        audited.extra.retain(|stored| self.is_configured(&stored.event));
        if repair && !audited.is_clean() {
            domain::crash_point!("audit.compared");
            audited.repaired = self.repair(&audited, &children).await?;
            domain::crash_point!("audit.repaired");
        }
        // Nothing is said of blocks that a contract is yet to be read in.
        if self.is_whole(from, to) {
            self.deps.store.note_audit(&self.row(&audited)).await?;
            let (blocks, now) = ((from, to), self.deps.clock.now());
            self.deps.store.note_unproved(self.config.chain, blocks, &audited.unproved, now).await?;
            domain::crash_point!("audit.noted");
        }
        self.report(&audited);
        self.keep_limits().await?;
        Ok(audited)
    }

    // Whether the contract's logs of a block should be stored.
    fn is_read(&self, name: &domain::ContractName, number: u64) -> bool {
        let read = |cursor: &ContractCursor| {
            number >= cursor.start_block && (number < cursor.next_block || number >= cursor.live_from)
        };
        self.cursors.iter().any(|cursor| cursor.name == *name && self.is_met(cursor) && read(cursor))
    }

    // Whether the contract is configured, and read as it is configured: events of one that was removed from the file, or
    // that changed there and was not met since, are no differences.
    fn is_met(&self, cursor: &ContractCursor) -> bool {
        let catalog = &self.deps.catalog;
        let contract = catalog.get(&cursor.name).filter(|contract| contract.chain == self.config.chain);
        contract.is_some_and(|contract| catalog.fingerprint(contract) == cursor.fingerprint)
    }

    // Whether every contract was met, and read in all of these blocks.
    fn is_whole(&self, from: u64, to: u64) -> bool {
        let whole = |cursor: &&ContractCursor| {
            let unread = cursor.next_block.max(from)..cursor.live_from.min(to.saturating_add(1));
            self.is_met(cursor) && unread.is_empty()
        };
        let met = self.cursors.iter().filter(whole).count();
        met == self.deps.catalog.of_chain(self.config.chain).count()
    }

    // Whether the event would be read today: one whose address or kind left the configuration is no difference.
    fn is_configured(&self, event: &Event) -> bool {
        let Some(contract) = self.deps.catalog.get(&event.contract) else { return false };
        let topic0 = match &event.content {
            Content::Decoded { schema, .. } if schema.anonymous => None,
            Content::Decoded { schema, .. } => Some(schema.topic0()),
            Content::Undecoded { topics, .. } => topics.first().copied(),
        };
        let kind = |known: &std::sync::Arc<EventSchema>| {
            if known.anonymous { topic0.is_none() } else { Some(known.topic0()) == topic0 }
        };
        let address = contract.addresses.is_empty() || contract.addresses.contains(&event.address);
        address && contract.events.iter().any(kind)
    }

    async fn stored_between(&self, from: u64, to: u64) -> Result<Vec<StoredEvent>, RoomError> {
        let names: HashSet<_> = self.cursors.iter().map(|cursor| cursor.name.clone()).collect();
        let chain = self.config.chain;
        let (mut stored, mut after) = (Vec::new(), None);
        loop {
            let query = store::EventQuery { chain, from, to, contract: None, after, limit: PAGE };
            let page = self.deps.store.events(&query).await?;
            let last = page.last().map(|last| (last.event.block.number, last.event.log_index));
            let whole = page.len() < PAGE as usize;
            let audited = page.into_iter().filter(|stored| {
                names.contains(&stored.event.contract)
                    && self.is_read(&stored.event.contract, stored.event.block.number)
            });
            stored.extend(audited);
            if whole {
                return Ok(stored);
            }
            after = last;
        }
    }

    async fn repair(&self, audited: &Audited, children: &[Child]) -> Result<u64, RoomError> {
        let missing: Vec<_> = audited.missing.iter().chain(&audited.different).cloned().collect();
        let extra: Vec<_> = audited.extra.iter().map(|stored| EventKey::of(&stored.event)).collect();
        let repair = Repair {
            chain: self.config.chain,
            name: &self.config.name,
            missing: &missing,
            children,
            extra: &extra,
            publish: self.publish(),
            fence: None,
            now: self.deps.clock.now(),
        };
        self.deps.store.repair(&repair).await?;
        self.deps.relay.ring();
        Ok((audited.missing.len() + audited.extra.len() + audited.different.len()) as u64)
    }

    fn row(&self, audited: &Audited) -> AuditRow {
        AuditRow {
            chain: self.config.chain,
            from: audited.from,
            to: audited.to,
            method: audited.method,
            contracts: self.audited_contracts(),
            missing: audited.missing.len() as u64,
            extra: audited.extra.len() as u64,
            different: audited.different.len() as u64,
            repaired: audited.repaired,
            provider: audited.provider.clone(),
            audited_at: self.deps.clock.now(),
        }
    }

    fn report(&self, audited: &Audited) {
        let (chain, label) = (&self.config.name, self.config.name.to_string());
        metrics::counter!("chainbell_audited_blocks_total", "chain" => label.clone())
            .increment(audited.to - audited.from + 1);
        if let Some(first) = audited.unproved.first() {
            metrics::counter!("chainbell_audit_unproved_blocks_total", "chain" => label.clone())
                .increment(audited.unproved.len() as u64);
            let (block, why) = (first.block, &first.reason);
            tracing::info!(%chain, block, why, "no receipts prove this block: its logs were compared instead");
        }
        if audited.is_clean() {
            return;
        }
        let differences = audited.missing.len() + audited.extra.len() + audited.different.len();
        metrics::counter!("chainbell_audit_differences_total", "chain" => label)
            .increment(differences as u64);
        tracing::warn!(
            %chain, from = audited.from, to = audited.to, missing = audited.missing.len(),
            extra = audited.extra.len(), different = audited.different.len(), repaired = audited.repaired,
            "the store differs from the chain"
        );
    }
}

fn compare(events: Vec<Event>, stored: Vec<StoredEvent>, truth: &Truth, (from, to): (u64, u64)) -> Audited {
    let compared = events.len() as u64;
    let mut held: HashMap<(B256, u64), StoredEvent> = stored
        .into_iter()
        .map(|stored| ((stored.event.block.hash, stored.event.log_index), stored))
        .collect();
    let (mut missing, mut different) = (Vec::new(), Vec::new());
    for event in events {
        match held.remove(&(event.block.hash, event.log_index)) {
            None => missing.push(event),
            Some(stored) if !same(&stored.event, &event) => different.push(event),
            Some(_) => {}
        }
    }
    let mut extra: Vec<_> = held.into_values().collect();
    extra.sort_by_key(|stored| (stored.event.block.number, stored.event.log_index));
    Audited {
        from,
        to,
        method: truth.method,
        provider: truth.provider.clone(),
        unproved: truth.unproved.clone(),
        compared,
        missing,
        extra,
        different,
        repaired: 0,
    }
}

// What the chain says of an event; where and when it was read is no part of it.
fn same(one: &Event, two: &Event) -> bool {
    (one.address, one.tx_hash, one.tx_index, &one.contract, &one.content)
        == (two.address, two.tx_hash, two.tx_index, &two.contract, &two.content)
}
