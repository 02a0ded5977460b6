//! What `watch show` says: the keys that hold for one watch, as the configuration writes them.

use std::time::Duration;

use domain::{Spam, Strategy, Watch};
use serde_json::{Map, Value as Json, json};

use crate::config::{Span, WatchTable, written};

/// The watch by the keys of `[[watch]]`, and its durations as `table` has them where it comes from the file. What has no
/// meaning for it is left out.
pub(super) fn shown(watch: &Watch, table: Option<&WatchTable>) -> Json {
    let span = |given: fn(&WatchTable) -> Option<&Span>, duration: Duration| {
        table.and_then(given).map_or_else(|| written(duration), ToString::to_string)
    };
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
                put("window", json!(span(|table| table.window.as_ref(), rule.window)));
                put("max_wait", json!(span(|table| table.max_wait.as_ref(), rule.max_wait)));
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use domain::{Strategy, Telling, Watch, WindowRule};

    use super::*;
    use crate::config::Config;

    const FILE: &str = r#"
[[chain]]
name = "local"
chain_id = 31337
rpc = ["ws://127.0.0.1:8545"]
[[contract]]
name = "usdc"
chain = "local"
abi = "abi/erc20.json"
[[recipient]]
id = "ops"
[[watch]]
id = "w"
recipient = "ops"
contract = "usdc"
event = "Transfer"
strategy = "digest"
window = "90s"
max_wait = "1h"
"#;

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
        let immediate = shown(&watch(Strategy::Immediate, Telling::default())?, None);
        assert_eq!(
            immediate.to_string(),
            r#"{"id":"w","recipient":"r","contract":"c","event":"Transfer","strategy":"immediate","critical":false,"deliver_at":"12","paused":false,"from":"file"}"#
        );
        let digest = shown(&watch(Strategy::Digest(rule), Telling::default())?, None);
        assert_eq!((&digest["window"], &digest["max_wait"]), (&json!("1m"), &json!("10m")));
        assert_eq!((&digest["max_count"], &digest["leading"]), (&json!(10_000), &json!(false)));
        let telling = Telling { schedule: Some("0 9 * * MON-FRI".parse()?), ..Telling::default() };
        let daily = shown(&watch(Strategy::Digest(rule), telling)?, None);
        assert_eq!(daily["schedule"], json!("0 9 * * MON-FRI"));
        for key in ["window", "max_wait", "max_count", "slide", "leading", "where", "group_by"] {
            assert!(daily.get(key).is_none(), "{key}: {daily}");
        }
        let config = Config::parse("chainbell.toml", FILE, Path::new("."))?;
        let from_file = shown(&config.watches[0], Some(&config.raw.watch[0]));
        assert_eq!((&from_file["window"], &from_file["max_wait"]), (&json!("90s"), &json!("1h")));
        Ok(())
    }
}
