//! `chainbell explain`: why somebody was, or was not, told of a transaction. Owns the words; what happened is
//! `pipeline::explain`'s to find out.

use alloy_primitives::B256;
use domain::{RecipientId, Suspicion};
use pipeline::explain::{
    ExplainedAside, ExplainedDelivery, ExplainedEvent, ExplainedHit, ExplainedNotification, ExplainedWatch,
    Explanation, Place, UnreadableEvent, Verdict, explain,
};

use crate::{
    config::Config,
    failure::Failure,
    output::{harmless, print},
};

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: chainbell explain 0x88df016429689c079f3b2f6ad39fa052532c56795b733da78a91ebe6a713944b --recipient ops"
)]
pub struct Args {
    /// The transaction
    tx_hash: B256,
    /// Only what concerns this recipient
    #[arg(long, value_name = "R")]
    recipient: Option<RecipientId>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints the explanation.
///
/// # Errors
/// See [`Failure`].
pub async fn run(config: &Config, args: &Args) -> Result<(), Failure> {
    let store = crate::sync::open(config).await?;
    if let Some(id) = &args.recipient
        && store.recipients_by_id(std::slice::from_ref(id)).await?.is_empty()
    {
        let known = store.recipients().await?;
        let known: Vec<_> = known.iter().map(|recipient| recipient.id.as_str()).collect();
        let mend = domain::suggest::mend(id.as_str(), &known, "the recipients are");
        return Err(Failure::usage(format!("--recipient: there is no recipient '{id}'; {mend}")));
    }
    let explanation = explain(&store, &config.catalog, args.tx_hash, args.recipient.as_ref()).await?;
    if args.json {
        let json = serde_json::to_string(&explanation).map_err(|error| Failure::world(error.to_string()))?;
        return print(&json);
    }
    print(&in_words(&explanation))
}

/// Lines, each under what it belongs to.
#[derive(Debug, Default)]
struct Lines(Vec<String>);

impl Lines {
    fn add(&mut self, depth: usize, line: impl AsRef<str>) {
        self.0.push(format!("{}{}", "  ".repeat(depth), harmless(line.as_ref())));
    }
}

fn in_words(explanation: &Explanation) -> String {
    let mut lines = Lines::default();
    lines.add(0, format!("transaction {}", explanation.tx_hash));
    if explanation.events.is_empty() && explanation.unreadable.is_empty() {
        lines.add(
            1,
            "nothing of it is stored: none of its logs is of a contract and event in the configuration, or its block is \
             yet to be read (chainbell status tells how far), or the contract's start_block is above it",
        );
    }
    for event in &explanation.events {
        of_event(&mut lines, event);
    }
    for event in &explanation.unreadable {
        of_unreadable(&mut lines, event);
    }
    if !explanation.left_out.is_empty() {
        lines.add(0, "");
        lines.add(0, "watches that are left out and matched nothing since");
        for aside in &explanation.left_out {
            of_aside(&mut lines, aside);
        }
    }
    lines.0.join("\n")
}

fn of_event(lines: &mut Lines, event: &ExplainedEvent) {
    let name = event.event.as_deref().unwrap_or("an undecoded log");
    lines.add(0, "");
    lines.add(0, format!("{name} of '{}' at {}: {}", event.contract, event.address, event.params));
    if let Some(reason) = &event.reason {
        lines.add(1, format!("it could not be decoded ({reason}), so that no watch can match it"));
    }
    for place in &event.places {
        lines.add(1, of_place(place));
    }
    let is_gone = event.places.iter().all(|place| place.finality == "orphaned");
    if is_gone && !event.places.is_empty() {
        lines.add(1, "it is in no block of the chain now");
    }
    if event.unmatched {
        lines.add(1, "matching has yet to look at its last change");
    }
    for aside in &event.set_aside {
        of_aside(lines, aside);
    }
    if event.watches.is_empty() && event.reason.is_none() {
        lines.add(1, "no watch looks at such events of this contract");
    }
    // What happened comes before what did not.
    let (hits, others): (Vec<_>, Vec<_>) = event.watches.iter().partition(|watch| watch.hit.is_some());
    for watch in hits.into_iter().chain(others) {
        of_watch(lines, watch);
    }
    if event.others > 0 {
        lines.add(1, format!("and {} more watches, whose filters say no", event.others));
    }
}

fn of_unreadable(lines: &mut Lines, event: &UnreadableEvent) {
    let UnreadableEvent { chain_id, block_number, block_hash, log_index, reason, set_aside } = event;
    lines.add(0, "");
    lines.add(0, format!("log {log_index} of block {block_number} ({block_hash}) of chain {chain_id}"));
    lines.add(1, format!("it is stored and cannot be read: {reason}"));
    for aside in set_aside {
        of_aside(lines, aside);
    }
}

fn of_aside(lines: &mut Lines, aside: &ExplainedAside) {
    let ExplainedAside { room, item, reason, tries, since, next_try } = aside;
    lines.add(1, format!("{room} set {item} aside at {since}: {reason}"));
    let times = if *tries == 1 { "once".to_owned() } else { format!("{tries} times") };
    lines.add(
        2,
        format!("tried {times}, the next try is at {next_try} (chainbell set-aside retry tries at once)"),
    );
}

fn of_place(place: &Place) -> String {
    let Place { block_number, block_hash, log_index, finality, turn } = place;
    let state = match finality.as_str() {
        "orphaned" => "which left the chain",
        "finalized" => "which is final",
        "safe" => "which is safe",
        _ => "which is in the chain, and not safe yet",
    };
    let again = if *turn > 1 { format!(", having come back {} times", turn - 1) } else { String::new() };
    format!("log {log_index} of block {block_number} ({block_hash}), {state}{again}")
}

fn of_watch(lines: &mut Lines, watch: &ExplainedWatch) {
    let ExplainedWatch { watch: id, recipient, verdict, clauses, hit } = watch;
    let verdict = match verdict {
        Verdict::Hit => "it matched",
        Verdict::FilteredOut => "its filter says no",
        Verdict::Paused => "it would match, and is paused",
        Verdict::NotYet => "it matches, and matching has yet to look",
        Verdict::Past => {
            "it matches, but the event was read as part of the past, of which nobody is told (replay --notify tells)"
        }
        Verdict::Earlier => "it matches, but the event was there before the watch was, or was edited since",
        Verdict::Missing => "it matches, and there is no hit: run `chainbell audit --hits`",
    };
    lines.add(1, format!("watch '{id}' for {recipient}: {verdict}"));
    for clause in clauses.iter().filter(|clause| !clause.holds) {
        let values: Vec<_> = clause.values.iter().map(|(name, value)| format!("{name} is {value}")).collect();
        lines.add(2, format!("`{}` does not hold: {}", clause.clause, values.join(", ")));
    }
    if let Some(hit) = hit {
        of_hit(lines, hit);
    }
}

fn of_hit(lines: &mut Lines, hit: &ExplainedHit) {
    let reason = hit.reason.as_deref().unwrap_or("for no reason that is known");
    let held = match hit.held_back.as_deref() {
        Some("quiet_hours") => "; it was held back by quiet hours",
        Some("budget") => "; it was held back because the recipient's at_most was spent",
        _ => "",
    };
    let state = match hit.state.as_str() {
        "waiting" => waiting(&hit.deliver_at),
        "pending" => format!("it waits for its window to close, at {} at the latest{held}", hit.due_at),
        "notified" => format!("it was told{held}"),
        "orphaned" => "its event left the chain before it was told, so that nobody was".to_owned(),
        "suppressed" => format!("it was not told: {reason}"),
        _ => format!("it was given up: {reason}"),
    };
    lines.add(2, format!("found {}: {state}", hit.found_at));
    if let Some(suspicion) = hit.suspicion.as_deref().and_then(Suspicion::parse) {
        lines.add(2, format!("it looks like spam: {}", suspicion.in_words()));
    }
    match (hit.gone_since, hit.believed) {
        (Some(height), true) => lines.add(
            2,
            format!(
                "its event is in no block since height {height}: unless it comes back soon, that is corrected"
            ),
        ),
        (Some(_), false) => lines.add(2, "its event is in no block, and the recipient was told so"),
        (None, false) => lines.add(2, "its event came back, which the recipient is about to be told"),
        (None, true) => {}
    }
    for notification in &hit.notifications {
        of_notification(lines, notification);
    }
}

fn waiting(deliver_at: &str) -> String {
    match deliver_at.parse::<u64>() {
        Ok(1) => "it waits for a block on top of its own".to_owned(),
        Ok(blocks) => format!("it waits for {blocks} blocks on top of its own"),
        Err(_) => format!("it waits until its block is {deliver_at}"),
    }
}

fn of_notification(lines: &mut Lines, notification: &ExplainedNotification) {
    let ExplainedNotification { id, revision, state, title, count, created_at, deliveries } = notification;
    let what = match (revision, count) {
        (1, _) => "notification",
        (_, 0) => "retraction",
        _ => "correction",
    };
    let since = match (revision, state.as_str()) {
        (1, "corrected") => ", corrected since",
        (1, "retracted") => ", taken back since",
        _ => "",
    };
    let events = if *count == 1 { "event" } else { "events" };
    lines.add(2, format!("{what} {id} of {count} {events}, made {created_at}{since}: {title}"));
    if deliveries.is_empty() {
        lines.add(3, "it went nowhere: the recipient had no target");
    }
    for delivery in deliveries {
        of_delivery(lines, delivery);
    }
}

fn of_delivery(lines: &mut Lines, delivery: &ExplainedDelivery) {
    let reason = delivery.reason.as_deref().unwrap_or("for no reason that is known");
    let state = match (delivery.state.as_str(), &delivery.next_attempt_at) {
        ("delivered", _) => "delivered".to_owned(),
        ("queued", _) => "about to be sent".to_owned(),
        ("scheduled", Some(at)) => {
            let why = delivery.reason.as_deref().map_or_else(String::new, |why| format!(": {why}"));
            format!("to be tried again at {at}{why}")
        }
        ("dead", _) => format!("given up: {reason} (chainbell dead-letters shows and retries it)"),
        ("suppressed", _) => format!("not sent: {reason}"),
        (other, _) => other.to_owned(),
    };
    lines.add(3, format!("to '{}' by {}: {state}", delivery.target, delivery.channel));
    for attempt in &delivery.attempts {
        lines.add(4, format!("{} {}: {}", attempt.at, attempt.outcome, attempt.detail));
    }
}
