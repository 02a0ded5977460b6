//! The nodes: what each can do, and what chainbell does where it cannot.

use std::{sync::Arc, time::Duration};

use chain::{Ability, Probe, Receipts, probe};
use domain::Clock;
use store::Store;

use super::{Findings, past};
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
    store: &Store,
    clock: &Arc<dyn Clock>,
    findings: &mut Findings,
) -> Result<(), Failure> {
    for chain in &config.chains {
        let mut probes = Vec::with_capacity(chain.rpc.len());
        for url in &chain.rpc {
            match probe(url, PROBE_TIMEOUT, Arc::clone(clock)).await {
                Ok(probed) => {
                    node(chain, &probed, findings)?;
                    probes.push(probed);
                }
                Err(error) => findings.wrong(&error.to_string())?,
            }
        }
        probes.retain(|probed| probed.chain_id == chain.id);
        past::history(config, chain, &probes, findings)?;
        let limits: Vec<_> = probes.into_iter().map(|probed| probed.limits).collect();
        store.note_limits(chain.id, &limits, clock.now()).await?;
        past::standstills(chain, store, findings).await?;
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
    past::limits(chain, probed, findings)?;
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
    past::batches(probed, findings)?;
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
