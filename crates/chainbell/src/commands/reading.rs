//! The part of `chainbell status` about reading: what stands still beside the live chain, which blocks nothing proves, and
//! how much each URL takes at once.

use domain::ChainId;
use serde_json::{Value as Json, json};
use store::{Part, Store};

use crate::{
    commands::audit::how,
    failure::Failure,
    output::{beside, harmless, print},
};

/// Adds it to the status of a chain.
pub(super) async fn add(store: &Store, chain: ChainId, status: &mut Json) -> Result<(), Failure> {
    let stands = store.standstills(chain).await?;
    let stands = stands.into_iter().map(|stands| {
        let part = match stands.part {
            Part::Past => "past",
            Part::Audit => "audit",
        };
        json!({ "part": part, "block": stands.block, "since": stands.since.to_string(), "reason": stands.reason })
    });
    status["standstills"] = stands.collect();
    let unproved = store.unproved(chain).await?;
    status["unproved"] = match unproved.first() {
        Some(newest) => json!({
            "blocks": unproved.len(), "newest": newest.block, "reason": newest.reason,
            "checked": newest.method.map(how),
        }),
        None => Json::Null,
    };
    let limits = store.limits(chain).await?.into_iter();
    let limits = limits.filter(|limits| limits.range.is_some() || limits.batch.is_some()).map(|limits| {
        json!({
            "url": limits.url, "range_blocks": limits.range.map(|range| range.granted),
            "batch_questions": limits.batch.map(|batch| batch.granted),
        })
    });
    status["limits"] = limits.collect();
    Ok(())
}

/// Shows it to people.
pub(super) fn show(chain: &Json) -> Result<(), Failure> {
    let name = chain["name"].as_str().unwrap_or_default();
    let text = |value: &Json| harmless(value.as_str().unwrap_or_default());
    let all = |key: &str| chain[key].as_array().cloned().unwrap_or_default();
    // A blank line before the first.
    let mut head = "\n";
    let mut say =
        |key: &str, line: &str| print(&beside(&format!("{}{key}", std::mem::take(&mut head)), line));
    for stands in all("standstills") {
        let what = if stands["part"] == "past" { "the past" } else { "the audit" };
        let (block, since) = (&stands["block"], text(&stands["since"]));
        let line = format!("{what} of {name} at block {block} since {since}: {}", text(&stands["reason"]));
        say("standstill", &line)?;
    }
    let unproved = &chain["unproved"];
    if !unproved.is_null() {
        let checked = unproved["checked"].as_str().unwrap_or("not checked");
        let (blocks, newest) = (&unproved["blocks"], &unproved["newest"]);
        let reason = text(&unproved["reason"]);
        let line = format!("{blocks} blocks of {name}, the newest is {newest}, {checked}: {reason}");
        say("unproved", &line)?;
    }
    for limits in all("limits") {
        let url = text(&limits["url"]);
        for (key, what) in
            [("range_blocks", "blocks in a range"), ("batch_questions", "questions in a message")]
        {
            if let Some(most) = limits[key].as_u64() {
                say("limit", &format!("{url} takes {most} {what}"))?;
            }
        }
    }
    Ok(())
}
