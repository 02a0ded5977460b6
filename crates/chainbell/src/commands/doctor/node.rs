//! The nodes: what each can do, and what chainbell does where it cannot.

use std::{sync::Arc, time::Duration};

use chain::{Ability, History, Limit, Probe, Receipts, probe};
use domain::Clock;

use super::Findings;
use crate::{
    config::{Chain, Config},
    failure::Failure,
};

const PROBE_TIMEOUT: Duration = Duration::from_secs(15);
const STALE: Duration = Duration::from_secs(600);
const SKEW: Duration = Duration::from_secs(60);

/// Examines every URL of every chain.
pub(super) async fn examine(
    config: &Config,
    clock: &Arc<dyn Clock>,
    findings: &mut Findings,
) -> Result<(), Failure> {
    for chain in &config.chains {
        for url in &chain.rpc {
            match probe(url, PROBE_TIMEOUT, Arc::clone(clock)).await {
                Ok(probed) => node(chain, &probed, findings)?,
                Err(error) => findings.wrong(&error.to_string())?,
            }
        }
    }
    Ok(())
}

fn node(chain: &Chain, probed: &Probe, findings: &mut Findings) -> Result<(), Failure> {
    let (url, name) = (&probed.url, &chain.name);
    if probed.chain_id != chain.id {
        let (served, wanted) = (probed.chain_id, chain.id);
        let detail = format!(
            "{url} serves chain {served}, but '{name}' is configured as {wanted}: mend chain_id or rpc"
        );
        return findings.wrong(&detail);
    }
    let client = probed.client_version.as_deref().unwrap_or("an unnamed client");
    findings.good(&format!("{url}: chain {} by {client}, head {}", probed.chain_id, probed.latest.block))?;
    age(probed, findings)?;
    following(chain, probed, findings)?;
    past(chain, probed, findings)?;
    trust(probed, findings)
}

/// The node's clock beside ours.
fn age(probed: &Probe, findings: &Findings) -> Result<(), Failure> {
    let url = &probed.url;
    if probed.latest_ahead > SKEW {
        let seconds = probed.latest_ahead.as_secs();
        return findings.note(&format!(
            "{url}: its newest block is {seconds} s in the future; check the clock here and there: windows and ages go by it"
        ));
    }
    if probed.latest_age > STALE {
        let minutes = probed.latest_age.as_secs() / 60;
        return findings.note(&format!(
            "{url}: its newest block is {minutes} minutes old; it may still be syncing, and while it is behind another URL, that one is asked"
        ));
    }
    findings.good(&format!("{url}: its newest block is {} s old", probed.latest_age.as_secs()))
}

/// What following the head depends on.
fn following(chain: &Chain, probed: &Probe, findings: &mut Findings) -> Result<(), Failure> {
    let url = &probed.url;
    match &probed.logs_by_hash {
        Ability::Yes => findings.good(&format!("{url}: logs by block hash"))?,
        Ability::No(why) => {
            findings.wrong(&format!(
                "{url}: no logs by block hash ({why}); chainbell needs them: use another provider"
            ))?;
        }
    }
    match &probed.subscriptions {
        Ability::Yes => {
            findings.good(&format!("{url}: subscriptions; a new block costs one call where logs match"))?;
        }
        Ability::No(why) => {
            let poll = chain.keys.poll.0.as_millis();
            findings.note(&format!(
                "{url}: no subscriptions ({why}); chainbell asks for the head every {poll} ms"
            ))?;
        }
    }
    match &probed.batches {
        Ability::Yes => findings.good(&format!("{url}: several questions at once"))?,
        Ability::No(why) => {
            findings.note(&format!(
                "{url}: no batches ({why}); chainbell asks one by one, which takes more calls"
            ))?;
        }
    }
    for (tag, ability) in [("safe", &probed.safe), ("finalized", &probed.finalized)] {
        match ability {
            Ability::Yes => findings.good(&format!("{url}: the tag {tag}"))?,
            Ability::No(why) => {
                let mend = "set finality = { depth = 64 } for a chain without it";
                findings.note(&format!("{url}: no tag {tag} ({why}); {mend}"))?;
            }
        }
    }
    Ok(())
}

/// What backfill depends on.
fn past(chain: &Chain, probed: &Probe, findings: &mut Findings) -> Result<(), Failure> {
    let url = &probed.url;
    match &probed.history {
        History::Whole => findings.good(&format!("{url}: logs of old blocks"))?,
        History::Since { has, lacks, why } => findings.note(&format!(
            "{url}: pruned: it has the logs of block {has}, and not those of block {lacks} ({why}); a start_block below \
             needs an archive node: put one first in 'rpc'"
        ))?,
    }
    let configured = chain.keys.range_max;
    match &probed.range_limit {
        Limit::AtLeast(blocks) => {
            findings.good(&format!(
                "{url}: ranges of {blocks} blocks and perhaps more; backfill asks for {configured} at most (range_max)"
            ))?;
        }
        Limit::At { most, why } => {
            let asks = configured.min(*most);
            findings.note(&format!(
                "{url}: range limit {most} blocks ({why}); backfill will ask for at most {asks} at once"
            ))?;
        }
        Limit::Nothing(why) => {
            findings.wrong(&format!(
                "{url}: no logs by range ({why}); backfill needs them: use another provider"
            ))?;
        }
    }
    match &probed.result_limit {
        Limit::AtLeast(logs) => findings.good(&format!(
            "{url}: {logs} transfers of the newest 100 blocks in one answer; backfill halves a range that is refused"
        )),
        Limit::At { why, .. } | Limit::Nothing(why) => findings.note(&format!(
            "{url}: the transfers of 100 blocks are too much for one answer ({why}); backfill halves its ranges until they fit"
        )),
    }
}

/// What an audit depends on.
fn trust(probed: &Probe, findings: &Findings) -> Result<(), Failure> {
    let url = &probed.url;
    match &probed.receipts {
        Receipts::Prove => findings.good(&format!(
            "{url}: receipts by block, which hash to the block's root; an audit proves that no log is missing"
        )),
        Receipts::Word(why) => findings.note(&format!(
            "{url}: receipts by block that prove nothing ({why}); an audit compares them, and asks another URL too"
        )),
        Receipts::No(why) => findings.note(&format!(
            "{url}: no receipts by block ({why}); an audit asks another URL for a second opinion"
        )),
    }
}
