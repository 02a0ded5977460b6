//! What reading the past depends on: how far back each node has logs, how much it gives at once, and what stands still. What
//! is measured of limits here is kept, so that it is what the rooms keep to.

use chain::{History, Limit, Probe};
use store::{Part, Store};

use super::Findings;
use crate::{
    commands::audit::how,
    config::{Chain, Config},
    failure::Failure,
};

/// Says how much a URL gives at once.
pub(super) fn limits(chain: &Chain, probed: &Probe, findings: &mut Findings) -> Result<(), Failure> {
    let url = &probed.url;
    let configured = chain.keys.range_max;
    match &probed.range_limit {
        Limit::AtLeast(blocks) => {
            findings.good(&format!(
                "{url}: ranges of {blocks} blocks and perhaps more; chainbell asks for {configured} at most (range_max)"
            ))?;
        }
        Limit::At { most, refused, why } => {
            let asks = configured.min(*most);
            findings.note(&format!(
                "{url}: ranges of {most} blocks, and not of {refused} ({why}); chainbell asks for {asks} at most, live, for \
                 the past, in audits and replays, and now and then tries whether more is taken by then"
            ))?;
        }
        Limit::Nothing(why) => {
            findings.wrong(&format!(
                "{url}: no logs by range ({why}); the past needs them: use another provider"
            ))?;
        }
    }
    match &probed.result_limit {
        Limit::AtLeast(logs) => findings.good(&format!(
            "{url}: {logs} transfers of the newest 100 blocks in one answer; a range that is refused is halved"
        )),
        Limit::At { why, .. } | Limit::Nothing(why) => findings.note(&format!(
            "{url}: the transfers of 100 blocks are too much for one answer ({why}); a range is halved until it fits"
        )),
    }
}

/// Says how many questions a URL takes in one message.
pub(super) fn batches(probed: &Probe, findings: &Findings) -> Result<(), Failure> {
    let url = &probed.url;
    match &probed.batches {
        Limit::AtLeast(_) => findings.good(&format!("{url}: several questions at once")),
        Limit::At { most: 1, why, .. } => findings.note(&format!(
            "{url}: no batches ({why}); chainbell asks one by one, which takes more calls"
        )),
        Limit::At { most, refused, why } => findings.note(&format!(
            "{url}: batches of {most} questions, and not of {refused} ({why}); chainbell puts {most} together at most"
        )),
        Limit::Nothing(why) => findings.note(&format!(
            "{url}: several questions at once are not answered ({why}); chainbell asks one by one where only that is answered"
        )),
    }
}

/// Says since which block each URL has logs, and which contract begins before all of them.
pub(super) fn history(
    config: &Config,
    chain: &Chain,
    probes: &[Probe],
    findings: &mut Findings,
) -> Result<(), Failure> {
    let whole = probes.iter().find(|probed| probed.history == History::Whole);
    for probed in probes {
        let url = &probed.url;
        match (&probed.history, whole) {
            (History::Whole, _) => findings.good(&format!("{url}: logs of old blocks"))?,
            (History::Since { has, lacks, why }, Some(other)) => findings.note(&format!(
                "{url}: logs since block {has}, and none of block {lacks} ({why}); older blocks are asked of {}",
                other.url
            ))?,
            (History::Since { has, lacks, why }, None) => findings.note(&format!(
                "{url}: logs since block {has}, and none of block {lacks} ({why}); a start_block below needs a node that \
                 keeps all history: add one to 'rpc'"
            ))?,
        }
    }
    if whole.is_some() {
        return Ok(());
    }
    let since = probes.iter().filter_map(|probed| match probed.history {
        History::Since { has, .. } => Some(has),
        History::Whole => None,
    });
    let Some(oldest) = since.min() else { return Ok(()) };
    for contract in config.catalog.of_chain(chain.id) {
        if let domain::StartBlock::Number(start) = contract.start
            && start < oldest
        {
            findings.wrong(&format!(
                "contract '{}' begins at block {start}, and no URL of '{}' has logs before block {oldest}: add a node that \
                 keeps all history to 'rpc', or set start_block to {oldest}",
                contract.name, chain.name
            ))?;
        }
    }
    Ok(())
}

/// Says what stands still of a chain, and which blocks nothing proves.
pub(super) async fn standstills(chain: &Chain, store: &Store, findings: &Findings) -> Result<(), Failure> {
    let name = &chain.name;
    for stands in store.standstills(chain.id).await? {
        let what = match stands.part {
            Part::Past => "the past cannot be read further than",
            Part::Audit => "the audit cannot go on at",
        };
        findings.note(&format!(
            "'{name}': {what} block {} since {}: {}",
            stands.block, stands.since, stands.reason
        ))?;
    }
    let unproved = store.unproved(chain.id).await?;
    if let Some(newest) = unproved.first() {
        let checked = newest.method.map_or("it was not checked", how);
        findings.note(&format!(
            "'{name}': {} final blocks are not proved by their receipts, the newest is {} ({}; {checked})",
            unproved.len(),
            newest.block,
            newest.reason
        ))?;
    }
    Ok(())
}
