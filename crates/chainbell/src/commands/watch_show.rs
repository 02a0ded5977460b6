//! What `watch show` says: the keys that hold for one watch, as the configuration writes them.

use std::time::Duration;

use domain::{Spam, Strategy, Watch};
use serde_json::{Map, Value as Json, json};

/// The watch by the keys of `[[watch]]`. What has no meaning for it is left out.
pub(super) fn shown(watch: &Watch) -> Json {
    let mut shown = Map::new();
    let mut put = |key: &str, value: Json| shown.insert(key.to_owned(), value);
    put("id", json!(watch.id));
    put("recipient", json!(watch.recipient));
    put("contract", json!(watch.contract));
    put("event", json!(watch.event));
    if let Some(filter) = &watch.filter {
        put("where", json!(filter));
    }
    let telling = &watch.telling;
    match watch.strategy {
        Strategy::Immediate => {
            put("strategy", json!("immediate"));
        }
        Strategy::Digest(rule) => {
            put("strategy", json!("digest"));
            if let Some(schedule) = &telling.schedule {
                put("schedule", json!(schedule));
            } else {
                put("window", json!(written(rule.window)));
                put("max_wait", json!(written(rule.max_wait)));
                put("max_count", json!(rule.max_count));
                put("slide", json!(rule.slide));
                put("leading", json!(telling.leading));
            }
            if !telling.group_by.is_empty() {
                put("group_by", json!(telling.group_by));
            }
        }
    }
    put("critical", json!(telling.critical));
    if telling.spam != Spam::default() {
        put("spam", json!(telling.spam));
    }
    put("deliver_at", json!(watch.deliver_at));
    put("paused", json!(watch.paused));
    put("from", json!(if watch.from_file { "file" } else { "store" }));
    Json::Object(shown)
}

/// In the one unit that divides it: `60s`, `10m`, `36h`, `500ms`.
fn written(duration: Duration) -> String {
    let millis = duration.as_millis();
    for (unit, length) in [("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
        if millis >= length && millis.is_multiple_of(length) && millis != 60_000 {
            return format!("{}{unit}", millis / length);
        }
    }
    if millis == 60_000 { "60s".to_owned() } else { format!("{millis}ms") }
}

#[cfg(test)]
mod tests {
    use domain::{Strategy, Telling, Watch, WindowRule};

    use super::*;

    fn watch(strategy: Strategy, telling: Telling) -> anyhow::Result<Watch> {
        Ok(Watch {
            id: "w".parse()?,
            recipient: "r".parse()?,
            contract: "c".parse()?,
            event: "Transfer".to_owned(),
            filter: None,
            strategy,
            telling,
            deliver_at: domain::DeliverAt::Depth(12),
            paused: false,
            from_file: true,
        })
    }

    #[test]
    fn only_what_holds_is_shown_and_durations_as_people_write_them() -> anyhow::Result<()> {
        let rule = WindowRule {
            window: Duration::from_secs(60),
            max_wait: Duration::from_secs(600),
            max_count: 10_000,
            slide: false,
        };
        let immediate = shown(&watch(Strategy::Immediate, Telling::default())?);
        assert_eq!(
            immediate.to_string(),
            r#"{"id":"w","recipient":"r","contract":"c","event":"Transfer","strategy":"immediate","critical":false,"deliver_at":"12","paused":false,"from":"file"}"#
        );
        let digest = shown(&watch(Strategy::Digest(rule), Telling::default())?);
        assert_eq!((&digest["window"], &digest["max_wait"]), (&json!("60s"), &json!("10m")));
        assert_eq!((&digest["max_count"], &digest["leading"]), (&json!(10_000), &json!(false)));
        let telling = Telling { schedule: Some("0 9 * * MON-FRI".parse()?), ..Telling::default() };
        let daily = shown(&watch(Strategy::Digest(rule), telling)?);
        assert_eq!(daily["schedule"], json!("0 9 * * MON-FRI"));
        for key in ["window", "max_wait", "max_count", "slide", "leading", "where", "group_by"] {
            assert!(daily.get(key).is_none(), "{key}: {daily}");
        }
        for (millis, text) in
            [(500, "500ms"), (90_000, "90s"), (3_600_000, "1h"), (5_400_000, "90m"), (0, "0ms")]
        {
            assert_eq!(written(Duration::from_millis(millis)), text);
        }
        Ok(())
    }
}
