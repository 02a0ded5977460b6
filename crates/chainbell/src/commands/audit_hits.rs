//! `chainbell audit --hits`: whether every event that satisfies a watch has its one hit, and every hit the state that it
//! should have.

use std::{sync::Arc, time::Duration};

use domain::Clock;
use pipeline::hit_audit::{Difference, HitAudit, HitAuditConfig, HitReport, Kind};
use serde_json::{Value as Json, json};
use store::{Store, StoreClock};

use super::audit::Args;
use crate::{config::Config, failure::Failure, output::print};

/// How many differences are printed.
const SHOWN_MAX: usize = 20;

/// Longer than matching takes to follow an edit, by far.
const STEADY: Duration = Duration::from_millis(1_300);

/// Audits hits.
///
/// # Errors
/// When something differs, and as [`Failure`] says.
pub async fn run(config: &Arc<Config>, args: &Args) -> Result<(), Failure> {
    let chains: Vec<_> = match &args.chain {
        Some(name) => vec![config.chain(name)?.id],
        None => config.chains.iter().map(|chain| chain.id).collect(),
    };
    let store = crate::stores::open(config).await?;
    let clock: Arc<dyn Clock> = Arc::new(StoreClock::measure(&store).await?);
    let mut audit = of(config, &store, &clock);
    hold(&mut audit, clock.as_ref()).await?;
    let report = audit.run(&chains, args.from_block.unwrap_or_default()).await.map_err(world)?;
    let states = store.hits_by_state(None).await?;
    if args.json {
        print(&as_json(&report, &json!(states), audit.uncertain()).to_string())?;
    } else {
        let states: Vec<_> = states.iter().map(|(state, count)| format!("{count} {state}")).collect();
        print(&format!("hits: {}", if states.is_empty() { "none".to_owned() } else { states.join(", ") }))?;
        for difference in report.differences.iter().take(SHOWN_MAX) {
            print(&line(difference))?;
        }
        let HitReport { events, owed, notifications, .. } = &report;
        eprintln!("{events} events looked at, {owed} hits owed, {notifications} notifications");
        if audit.uncertain() > 0 {
            eprintln!("{} watches are too new to say what they are owed: ask again", audit.uncertain());
        }
    }
    match report.counts.values().sum() {
        0_u64 => Ok(()),
        1 => Err(Failure::world("one difference in the audit of hits")),
        several => Err(Failure::world(format!("{several} differences in the audit of hits"))),
    }
}

fn world(error: pipeline::RoomError) -> Failure {
    Failure::world(error.to_string())
}

/// The audit of what a configuration's watches are owed.
pub fn of(config: &Config, store: &Store, clock: &Arc<dyn Clock>) -> HitAudit {
    HitAudit::new(store.clone(), Arc::clone(clock), &config.catalog, limits(config))
}

/// The limits of an audit of a configuration's chains.
pub fn limits(config: &Config) -> HitAuditConfig {
    let chains = config.chains.iter();
    let chains = chains.map(|chain| (chain.id, chain.keys.settle_blocks, chain.keys.notify_backfill));
    HitAuditConfig::new(chains.collect())
}

/// Notes from when on the watches hold, where that is not known yet.
///
/// # Errors
/// See [`Failure`].
pub async fn hold(audit: &mut HitAudit, clock: &dyn Clock) -> Result<(), Failure> {
    audit.follow().await.map_err(world)?;
    if audit.uncertain() > 0 {
        clock.sleep(STEADY).await;
        audit.follow().await.map_err(world)?;
    }
    Ok(())
}

/// A difference in a line.
pub fn line(difference: &Difference) -> String {
    let part = |name: &str, id: Option<String>| id.map(|id| format!("  {name} {id}")).unwrap_or_default();
    let Difference { kind, event, watch, hit, notification, delivery, target } = difference;
    [
        format!("{kind}: {}", kind.sentence()),
        part("event", event.map(|id| id.to_string())),
        part("watch", watch.as_ref().map(ToString::to_string)),
        part("hit", hit.map(|id| id.to_string())),
        part("notification", notification.map(|id| id.to_string())),
        part("delivery", delivery.map(|id| id.to_string())),
        part("target", target.as_ref().map(ToString::to_string)),
    ]
    .concat()
}

fn as_json(report: &HitReport, states: &Json, uncertain: usize) -> Json {
    let count = |kind: Kind| report.counts.get(&kind).copied().unwrap_or_default();
    let counts: serde_json::Map<_, _> =
        Kind::ALL.into_iter().map(|kind| (kind.as_str().to_owned(), json!(count(kind)))).collect();
    let differences = report.differences.iter().map(|difference| {
        let Difference { kind, event, watch, hit, notification, delivery, target } = difference;
        json!({
            "kind": kind.as_str(), "event": event, "watch": watch, "hit": hit, "notification": notification,
            "delivery": delivery, "target": target,
        })
    });
    json!({
        "states": states, "events": report.events, "owed": report.owed, "notifications": report.notifications,
        "uncertain_watches": uncertain, "counts": counts, "differences": differences.collect::<Vec<_>>(),
    })
}
