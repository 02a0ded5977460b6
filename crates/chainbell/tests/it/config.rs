//! The configuration and its documentation.

use std::path::Path;

use chainbell::config::{Config, Raw};
use domain::{DeliverAt, Strategy};

const DOCUMENTED: &str = include_str!("../../../../config/chainbell.toml");

fn parse(text: &str) -> anyhow::Result<Config> {
    Ok(Config::parse("chainbell.toml", text, Path::new("."))?)
}

#[test]
fn the_documented_defaults_are_the_defaults() -> anyhow::Result<()> {
    let documented = parse(DOCUMENTED)?;
    assert_eq!(format!("{:?}", documented.raw), format!("{:?}", Raw::default()));
    Ok(())
}

// The examples stand behind one '#', the prose behind '# ' too, but only examples look like TOML.
fn examples() -> String {
    let is_toml = |line: &str| {
        line.starts_with('[') || line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '))
    };
    DOCUMENTED
        .lines()
        .filter_map(|line| line.strip_prefix("# "))
        .filter(|line| is_toml(line) && !line.starts_with("templates"))
        .map(|line| line.replace("whsec_…", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn the_documented_examples_are_a_sound_configuration() -> anyhow::Result<()> {
    let digest = examples().replace("strategy = \"immediate\"", "strategy = \"digest\"");
    let config = parse(&digest)?;
    assert_eq!((config.chains.len(), config.watches.len(), config.targets.len()), (1, 1, 1));
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
fn durations_are_read_as_people_write_them() {
    for (text, millis) in [("500ms", 500), ("60s", 60_000), ("10m", 600_000), ("1h 30m", 5_400_000)] {
        assert_eq!(
            text.parse::<chainbell::config::Span>().map(|span| span.0.as_millis()),
            Ok(millis),
            "{text}"
        );
    }
    for text in ["60", "", "-5s", "soon"] {
        let error = text.parse::<chainbell::config::Span>().expect_err(text);
        assert!(error.contains("is no duration: write"), "{error}");
    }
}
