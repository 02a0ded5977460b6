//! The commands, as an operator uses them: what they print, where to, and with which exit status.

use std::{path::Path, process::Stdio};

use alloy_primitives::U256;
use anyhow::Context as _;
use devnet::{Leg, Order};
use serde_json::{Value as Json, json};
use testkit::{
    anvil::TestAnvil,
    deployment::Deployment,
    process::{command, output},
};
use tokio::io::AsyncWriteExt as _;

use crate::{
    on_both,
    world::{Stage, World, digest_watch, immediate_watch},
};

on_both!(
    events_notifications_and_status_are_printed_in_their_formats,
    a_dead_letter_is_listed_shown_and_retried
);

/// What a command said and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) async fn say(config: Option<&Path>, arguments: &[&str]) -> anyhow::Result<Said> {
    let done = output(config, arguments).await?;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes);
    Ok(Said { status: done.status.code(), out: text(done.stdout)?, err: text(done.stderr)? })
}

impl Said {
    /// It ended well.
    pub(crate) fn well(self) -> anyhow::Result<Self> {
        anyhow::ensure!(self.status == Some(0), "{self:?}");
        Ok(self)
    }

    /// Standard output, as JSON lines.
    pub(crate) fn lines(&self) -> anyhow::Result<Vec<Json>> {
        Ok(self.out.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
    }

    /// It ended so, and its one sentence has these parts.
    pub(crate) fn refused(&self, status: i32, parts: &[&str]) {
        assert_eq!(self.status, Some(status), "{self:?}");
        for part in parts {
            assert!(self.err.contains(part), "'{part}' is not in {self:?}");
        }
        assert!(self.out.is_empty(), "{self:?}");
    }
}

fn keys(json: &Json) -> Vec<&str> {
    json.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect()
}

const COLUMNS: [&str; 14] = [
    "chain_id",
    "block_number",
    "block_hash",
    "block_timestamp",
    "tx_hash",
    "tx_index",
    "log_index",
    "address",
    "contract",
    "event",
    "signature",
    "params",
    "event_id",
    "finality",
];

async fn events_notifications_and_status_are_printed_in_their_formats(
    deployment: Deployment,
) -> anyhow::Result<()> {
    let stage = Stage::set().await?;
    let to = stage.anvil.account(3);
    let world = World::new(deployment, &stage, &digest_watch("in", to, "500ms")).await?;
    let config = Some(world.config.as_path());
    say(config, &["migrate"]).await?.well()?;
    say(config, &["replay", "--chain", "local", "--from-block", "0"])
        .await?
        .refused(2, &["'local'", "chainbell run"]);
    world.run_through(stage.head().await?).await?;
    stage.transfers(to, 3).await?;
    world.run_through(stage.head().await?).await?;

    let jsonl = say(config, &["events", "--chain", "local", "--format", "jsonl"]).await?.well()?.lines()?;
    assert_eq!(jsonl.len(), 4);
    assert_eq!(keys(&jsonl[3]), COLUMNS);
    assert_eq!(keys(&jsonl[3]["params"]), ["from", "to", "value"]);
    assert_eq!(
        (&jsonl[3]["params"]["value"], &jsonl[3]["params"]["to"]),
        (&json!("3"), &json!(to.to_checksum(None)))
    );
    let csv = say(config, &["events", "--chain", "local", "--format", "csv"]).await?.well()?.out;
    assert_eq!(csv.lines().next(), Some(COLUMNS.join(",").as_str()));
    assert_eq!(csv.lines().count(), 5);
    let table = say(config, &["events", "--chain", "local", "--event", "Transfer", "--contract", "bell"])
        .await?
        .well()?;
    assert_eq!(table.out.lines().count(), 5, "{}", table.out);
    let last = jsonl[3]["block_number"].to_string();
    let one = say(config, &["events", "--chain", "local", "--from-block", &last, "--format", "jsonl"])
        .await?
        .well()?;
    assert!(one.lines()?.iter().all(|event| event["block_number"] == jsonl[3]["block_number"]), "{one:?}");
    say(config, &["events", "--chain", "lokal"]).await?.refused(2, &["lokal", "local"]);
    say(config, &["events", "--chain", "local", "--contract", "bel"])
        .await?
        .refused(2, &["--contract", "bell"]);

    let told = say(config, &["notifications", "list", "--format", "jsonl"]).await?.well()?.lines()?;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((&told[0]["count"], &told[0]["recipient"]), (&json!(3), &json!("ops")));
    assert_eq!(told[0]["deliveries"], json!({ "delivered": 1, "open": 0, "dead": 0 }));
    let nobody =
        say(config, &["notifications", "list", "--recipient", "other", "--format", "jsonl"]).await?.well()?;
    assert_eq!(nobody.out, "");

    let status = say(config, &["status", "--json"]).await?.well()?.lines()?.remove(0);
    let chain = &status["chains"][0];
    assert_eq!(
        (&chain["name"], &chain["tip"], &chain["lag"]),
        (&json!("local"), &json!(stage.head().await?), &json!(0))
    );
    assert!(
        chain["contracts"].as_array().context("contracts")?.iter().all(|one| one["past_is_read"] == true),
        "{chain}"
    );
    assert_eq!((&status["outbox"], &status["deliveries"]["dead"]), (&json!(0), &json!(0)));
    let people = say(config, &["status"]).await?.well()?.out;
    assert!(people.contains("local") && people.contains("deliveries"), "{people}");

    let hash = jsonl[3]["tx_hash"].as_str().context("a hash")?;
    let decoded = say(config, &["decode", hash]).await?.well()?.lines()?;
    let seen = |event: &Json| (event["event_id"].clone(), event["params"].clone());
    assert_eq!(decoded.iter().map(seen).collect::<Vec<_>>(), [seen(&jsonl[3])]);
    let nothing = format!("0x{}", "12".repeat(32));
    say(config, &["decode", &nothing]).await?.refused(1, &[&nothing, "local"]);
    let checked = say(config, &["config", "check"]).await?.well()?;
    assert!(
        checked.err.contains("1 chains, 2 contracts, 1 recipients with 1 targets, 1 watches"),
        "{checked:?}"
    );
    Ok(())
}

async fn a_dead_letter_is_listed_shown_and_retried(deployment: Deployment) -> anyhow::Result<()> {
    let stage = Stage::set().await?;
    let world =
        World::new(deployment, &stage, &immediate_watch("alert", "bell", "Transfer", "value == 1")).await?;
    let config = Some(world.config.as_path());
    world.run_through(stage.head().await?).await?;
    world.receiver.fail_next(410, None);
    stage.transfers(stage.anvil.account(3), 1).await?;
    world.run_through(stage.head().await?).await?;
    assert!(world.receiver.inbox().is_empty());

    let store = world.store().await?;
    let letter = store.dead_letters(10).await?.remove(0);
    let id = letter.delivery.id.to_string();
    let listed = say(config, &["dead-letters", "list"]).await?.well()?;
    assert!(listed.out.contains(&id) && listed.out.contains("410"), "{listed:?}");
    let shown = say(config, &["dead-letters", "show", &id]).await?.well()?;
    assert!(shown.out.contains("'hook' of 'ops'") && shown.out.contains("permanent"), "{shown:?}");
    let other = "6f1c0000-0000-4000-8000-000000000000";
    say(config, &["dead-letters", "show", other]).await?.refused(2, &[other, "dead-letters list"]);
    say(config, &["dead-letters", "retry"]).await?.refused(2, &["--all"]);
    say(config, &["dead-letters", "retry", &id]).await?.well()?;
    world.run_through(stage.head().await?).await?;
    assert_eq!(world.receiver.inbox().keys().collect::<Vec<_>>(), [&id], "under the id of the first attempt");
    say(config, &["dead-letters", "drop", &id]).await?.refused(2, &[&id]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn recipients_and_targets_are_edited_and_the_file_owns_its_own() -> anyhow::Result<()> {
    let stage = Stage::set().await?;
    let world = World::new(Deployment::embedded()?, &stage, "").await?;
    let config = Some(world.config.as_path());
    // The file's recipients come into the store with the first run.
    world.run_through(stage.head().await?).await?;
    say(config, &["recipient", "add", "dev", "--locale", "xx"]).await?.refused(2, &["locale", "xx"]);
    say(config, &["recipient", "add", "dev", "--timezone", "Mars/Base"])
        .await?
        .refused(2, &["timezone", "Mars/Base"]);
    say(config, &["recipient", "add", "dev", "--locale", "ru", "--timezone", "Europe/Moscow"])
        .await?
        .well()?;
    let listed = say(config, &["recipient", "list"]).await?.well()?.out;
    assert!(listed.contains("dev") && listed.contains("Europe/Moscow") && listed.contains("ops"), "{listed}");

    let url = format!("{}?key=hidden", world.receiver.url());
    say(config, &["target", "add", "nobody", "t", &url]).await?.refused(2, &["nobody", "recipient list"]);
    say(config, &["target", "add", "dev", "t", "carrier-pigeon:x"]).await?.refused(2, &["carrier-pigeon"]);
    say(config, &["target", "add", "dev", "t", &url, "--secret", "short"]).await?.refused(2, &["secret"]);
    say(config, &["target", "add", "dev", "t", &url, "--secret", testkit::receiver::SECRET]).await?.well()?;
    say(config, &["target", "test", "dev", "t"]).await?.well()?;
    let received = world.receiver.received();
    assert!(received[0].verified && received[0].body["data"]["kind"] == "test", "{received:?}");
    world.receiver.fail_next(500, None);
    say(config, &["target", "test", "dev", "t"]).await?.refused(1, &["'t'", "500"]);
    say(config, &["target", "test", "dev", "u"]).await?.refused(2, &["'u'", "target list"]);
    let listed = say(config, &["target", "list"]).await?.well()?.out;
    assert!(
        listed.contains("dev") && !listed.contains("hidden") && !listed.contains("whsec"),
        "no secrets: {listed}"
    );
    let shown = say(config, &["recipient", "show", "dev"]).await?.well()?.out;
    assert!(shown.contains("1 secrets") && !shown.contains("hidden"), "{shown}");

    say(config, &["target", "remove", "ops", "hook"]).await?.refused(2, &["'hook'", "configuration file"]);
    say(config, &["recipient", "remove", "ops"]).await?.refused(2, &["'ops'", "configuration file"]);
    say(config, &["target", "remove", "dev", "t"]).await?.well()?;
    say(config, &["recipient", "remove", "dev"]).await?.well()?;
    say(config, &["recipient", "show", "dev"]).await?.refused(2, &["dev"]);
    Ok(())
}

async fn decode(abi: &str, arguments: &[&str], logs: &str) -> anyhow::Result<Said> {
    let all: Vec<_> = ["abi", "decode", abi].into_iter().chain(arguments.iter().copied()).collect();
    let elsewhere = tempfile::tempdir()?;
    let mut command = command(None, &all)?;
    command.current_dir(elsewhere.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let mut input = child.stdin.take().context("it reads")?;
    input.write_all(logs.as_bytes()).await?;
    drop(input);
    let done = child.wait_with_output().await?;
    Ok(Said {
        status: done.status.code(),
        out: String::from_utf8(done.stdout)?,
        err: String::from_utf8(done.stderr)?,
    })
}

fn in_repository(path: &str) -> anyhow::Result<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("tests lie in the repository")?;
    Ok(root.join(path).display().to_string())
}

const TRANSFER: &str = r#"{"address":"0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48","topics":["0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef","0x00000000000000000000000028c6c06298d514db089934071355e5743bf21d60","0x000000000000000000000000f39fd6e51aad88f6f4ce6ab8827279cfffb92266"],"data":"0x00000000000000000000000000000000000000000000000000000000000f4240","blockNumber":"0x11bbbc0","blockHash":"0x1111111111111111111111111111111111111111111111111111111111111111","blockTimestamp":"0x6553f100","transactionHash":"0x2222222222222222222222222222222222222222222222222222222222222222","transactionIndex":"0x3","logIndex":"0x7","removed":false}"#;

const DECODED: &str = r#"{"chain_id":1,"block_number":18594752,"block_hash":"0x1111111111111111111111111111111111111111111111111111111111111111","block_timestamp":1700000000,"tx_hash":"0x2222222222222222222222222222222222222222222222222222222222222222","tx_index":3,"log_index":7,"address":"0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48","contract":null,"event":"Transfer","signature":"Transfer(address,address,uint256)","params":{"from":"0x28C6c06298d514Db089934071355E5743bf21d60","to":"0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266","value":"1000000"},"event_id":"EVENT_ID","finality":null}"#;

#[tokio::test(flavor = "multi_thread")]
async fn abis_are_inspected_and_logs_decoded_without_any_configuration() -> anyhow::Result<()> {
    let erc20 = in_repository("abi/erc20.json")?;
    let inspected = say(None, &["abi", "inspect", &erc20]).await?.well()?.out;
    assert!(
        inspected.contains("0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"),
        "{inspected}"
    );

    let done = decode(&erc20, &["--chain-id", "1"], &format!("{TRANSFER}\n\n")).await?.well()?;
    let id = domain::EventId::derive(domain::ChainId(1), alloy_primitives::B256::repeat_byte(0x11), 7);
    assert_eq!(done.out.trim_end(), DECODED.replace("EVENT_ID", &id.to_string()));
    let undecoded =
        TRANSFER.replace("0x00000000000000000000000000000000000000000000000000000000000f4240", "0x");
    let done = decode(&erc20, &[], &undecoded).await?.well()?.lines()?.remove(0);
    assert_eq!((&done["event"], &done["params"], &done["chain_id"]), (&Json::Null, &Json::Null, &Json::Null));
    assert!(done["reason"].is_string(), "{done}");
    decode(&erc20, &[], "{\n").await?.refused(2, &["line 1", "JSON"]);
    decode(&erc20, &[], "{\"address\":\"0x12\"}\n").await?.refused(2, &["line 1", "address"]);
    say(None, &["abi", "inspect", "nowhere.json"]).await?.refused(2, &["nowhere.json"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tuples_become_objects_in_the_order_of_the_abi() -> anyhow::Result<()> {
    let anvil = TestAnvil::start().await?;
    let exchange = anvil.exchange().await?;
    let maker = anvil.account(1);
    let leg = |delta| Leg { venue: maker, delta, route: vec![1, 2].into() };
    let legs = vec![leg(-5), leg(i128::MAX)];
    let order = Order { token: maker, amount: U256::MAX, deadline: 9, legs };
    anvil.send(exchange.place_order(maker, &order)).await?;
    let log = anvil.logs(exchange.address, 0, anvil.head().await?.number).await?.remove(0);
    let abi = in_repository("tests/contracts/artifacts/Exchange.json")?;
    let done = decode(&abi, &[], &log.to_string()).await?.well()?;
    let maker = maker.to_checksum(None);
    let leg = |delta: i128| format!(r#"{{"venue":"{maker}","delta":"{delta}","route":"0x0102"}}"#);
    let params = format!(
        r#""params":{{"id":"1","maker":"{maker}","order":{{"token":"{maker}","amount":"{}","deadline":"9","legs":[{},{}]}}}}"#,
        U256::MAX,
        leg(-5),
        leg(i128::MAX)
    );
    assert!(done.out.contains(&params), "{}\n{params}", done.out);
    Ok(())
}

/// Every command there is.
const COMMANDS: [&str; 49] = [
    "",
    "run",
    "demo",
    "chaos",
    "replay",
    "recover",
    "audit",
    "events",
    "explain",
    "ledger",
    "notifications",
    "notifications list",
    "watch",
    "watch add",
    "watch list",
    "watch show",
    "watch remove",
    "watch pause",
    "watch dry-run",
    "recipient",
    "recipient add",
    "recipient list",
    "recipient show",
    "recipient remove",
    "target",
    "target add",
    "target list",
    "target test",
    "target remove",
    "token",
    "token refresh",
    "dead-letters",
    "dead-letters list",
    "dead-letters show",
    "dead-letters retry",
    "dead-letters drop",
    "set-aside",
    "set-aside list",
    "set-aside retry",
    "status",
    "doctor",
    "abi",
    "abi inspect",
    "abi decode",
    "decode",
    "config",
    "config check",
    "migrate",
    "help",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_command_answers_help_with_an_example() -> anyhow::Result<()> {
    for name in COMMANDS.iter().filter(|name| **name != "help") {
        let arguments: Vec<_> = name.split_whitespace().chain(["--help"]).collect();
        let help = say(None, &arguments).await?.well()?;
        assert!(
            help.out.contains("Example") && help.out.contains(&format!("chainbell {name}")),
            "{name}: {}",
            help.out
        );
        // What it lists is in the list above.
        let listed = help.out.split("Commands:").nth(1).unwrap_or_default();
        let listed = listed.lines().skip(1).take_while(|line| !line.trim().is_empty());
        for child in listed.filter_map(|line| line.split_whitespace().next()).filter(|child| *child != "help")
        {
            let path = format!("{name} {child}");
            assert!(COMMANDS.contains(&path.trim()), "'{path}' is a command that this test does not know");
        }
    }
    Ok(())
}
