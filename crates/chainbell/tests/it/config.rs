//! The configuration and its documentation.

use std::path::Path;

use chainbell::config::{Config, Raw};
use domain::{DeliverAt, Strategy};

pub(crate) const DOCUMENTED: &str = include_str!("../../../../config/chainbell.toml");

pub(crate) fn parse(text: &str) -> anyhow::Result<Config> {
    Ok(Config::parse("chainbell.toml", text, Path::new("."))?)
}

#[test]
fn the_documented_defaults_are_the_defaults() -> anyhow::Result<()> {
    let documented = parse(DOCUMENTED)?;
    assert_eq!(format!("{:?}", documented.raw), format!("{:?}", Raw::default()));
    Ok(())
}

// The examples stand behind one '#', the prose behind '# ' too, but only examples look like TOML.
pub(crate) fn examples() -> String {
    let is_toml = |line: &str| {
        line.starts_with('[') || line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '))
    };
    // Those of the sections above are files, and name what need not be there.
    let tables = DOCUMENTED.lines().skip_while(|line| !line.starts_with("# [["));
    tables
        .filter_map(|line| line.strip_prefix("# "))
        .filter(|line| is_toml(line))
        .map(|line| line.replace("whsec_…", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn the_documented_examples_are_a_sound_configuration() -> anyhow::Result<()> {
    let digest = examples().replace("strategy = \"immediate\"", "strategy = \"digest\"");
    let config = parse(&digest)?;
    assert_eq!((config.chains.len(), config.watches.len(), config.targets.len()), (1, 2, 1));
    assert_eq!(config.watches[0].deliver_at, DeliverAt::Seen);
    let Strategy::Digest(rule) = config.watches[0].strategy else { anyhow::bail!("it is a digest") };
    assert_eq!((rule.window.as_secs(), rule.max_wait.as_secs(), rule.max_count), (60, 600, 10_000));
    let defaults =
        parse("[[chain]]\nname = \"mainnet\"\nchain_id = 1\nrpc = [\"wss://…\", \"https://…\"]\n")?;
    assert_eq!(
        format!("{:?}", config.chains),
        format!("{:?}", defaults.chains),
        "the documented values are the defaults"
    );
    Ok(())
}

#[test]
fn what_logs_in_to_servers_is_read_and_never_printed() -> anyhow::Result<()> {
    let config = parse(
        "[store]\nurl = \"postgres://bell:hunter2@db/bell\"\n\
         [broker]\nurl = \"nats://bell:hunter2@one,nats://bell:hunter2@two\"\ncredentials = \"bell.creds\"\nnkey = \"bell.nk\"\n\
         ca = \"ca.pem\"\ncertificate = \"client.pem\"\nkey = \"client.key\"\n\
         [debounce]\nurl = \"rediss://bell:hunter2@timers\"\nca = \"ca.pem\"\ncertificate = \"client.pem\"\nkey = \"client.key\"\n",
    )?;
    let broker = &config.raw.broker;
    assert_eq!(&*broker.url, "nats://bell:hunter2@one,nats://bell:hunter2@two");
    for (path, name) in [
        (&broker.credentials, "bell.creds"),
        (&broker.nkey, "bell.nk"),
        (&broker.ca, "ca.pem"),
        (&config.raw.debounce.certificate, "client.pem"),
        (&config.raw.debounce.key, "client.key"),
    ] {
        assert_eq!(path.as_deref(), Some(Path::new(name)));
    }
    let printed = format!("{config:?}");
    assert!(printed.contains("nats://…@two") && !printed.contains("hunter2"), "{printed}");
    Ok(())
}

pub(crate) const PEOPLE: &str = r#"
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
timezone = "Europe/Berlin"
"#;

fn watching(recipient: &str, watch: &str) -> anyhow::Result<Config> {
    let text = format!(
        "{PEOPLE}{recipient}\n[[watch]]\nid = \"w\"\nrecipient = \"ops\"\ncontract = \"usdc\"\nevent = \"Transfer\"\n{watch}\n"
    );
    parse(&text)
}

#[test]
fn windows_quiet_hours_and_budgets_are_read_as_they_are_written() -> anyhow::Result<()> {
    let config = watching(
        "quiet_hours = \"22:00-07:00\"\nat_most = \"12/day\"",
        "strategy = \"digest\"\nschedule = \"0 9 * * MON-FRI\"\ngroup_by = [\"address\", \"to\"]\ncritical = true",
    )?;
    let (recipient, watch) = (&config.recipients[0], &config.watches[0]);
    assert_eq!(recipient.quiet_hours.map(|hours| hours.to_string()).as_deref(), Some("22:00-07:00"));
    assert_eq!(recipient.at_most.map(|budget| budget.to_string()).as_deref(), Some("12/day"));
    assert_eq!(watch.telling.schedule.as_ref().map(domain::Schedule::as_str), Some("0 9 * * MON-FRI"));
    assert_eq!(watch.telling.group_by, ["address", "to"]);
    assert!(watch.telling.critical && !watch.telling.leading);
    let one = watching("", "strategy = \"digest\"\nleading = true\ngroup_by = \"tx_hash\"")?;
    assert_eq!(one.watches[0].telling.group_by, ["tx_hash"]);
    assert!(one.watches[0].telling.leading);
    Ok(())
}

#[test]
fn what_is_wrong_with_a_window_is_one_sentence_with_the_key_and_the_mend() {
    for (recipient, watch, key, mend) in [
        ("quiet_hours = \"22-7\"", "", "recipient 'ops': quiet_hours", "such as 22:00-07:00"),
        ("at_most = \"12/week\"", "", "recipient 'ops': at_most", "such as 12/day or 3/hour"),
        ("quiet_hour = \"22:00-07:00\"", "", "quiet_hour", "did you mean 'quiet_hours'?"),
        ("", "leading = true", "watch 'w': leading", "set strategy = \"digest\""),
        ("", "schedule = \"0 9 * * *\"", "watch 'w': schedule", "set strategy = \"digest\""),
        ("", "group_by = \"to\"", "watch 'w': group_by", "set strategy = \"digest\""),
        (
            "",
            "strategy = \"digest\"\nschedule = \"at nine\"",
            "watch 'w': schedule",
            "such as \"0 9 * * MON-FRI\"",
        ),
        (
            "",
            "strategy = \"digest\"\nschedule = \"0 9 * * *\"\nwindow = \"60s\"",
            "watch 'w': window",
            "leave it or schedule out",
        ),
        (
            "",
            "strategy = \"digest\"\nschedule = \"0 9 * * *\"\nleading = true",
            "watch 'w': leading",
            "leave it or schedule out",
        ),
        ("", "strategy = \"digest\"\ngroup_by = [\"adress\"]", "watch 'w'", "did you mean 'address'"),
        (
            "",
            "strategy = \"digest\"\ngroup_by = []",
            "watch 'w': group_by",
            "write address, tx_hash or parameters",
        ),
        ("", "spam = \"gathr\"", "watch 'w': spam", "did you mean 'gather'"),
        ("", "strategy = \"digest\"\ngroup_bye = [\"address\"]", "group_bye", "did you mean 'group_by'?"),
    ] {
        let error = watching(recipient, watch).expect_err(watch).to_string();
        assert!(error.contains(key) && error.contains(mend), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}
