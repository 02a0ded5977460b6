//! Bad input gets one clear sentence that names the thing and the mend, and the right exit status.

use testkit::{anvil::TestAnvil, process::output};

struct Case {
    name: &'static str,
    config: String,
    arguments: &'static [&'static str],
    status: i32,
    says: &'static [&'static str],
}

const CHAIN: &str = "[[chain]]\nname = \"local\"\nchain_id = 31337\nrpc = [\"http://127.0.0.1:9\"]\n";
const RECIPIENT: &str =
    "[[recipient]]\nid = \"ops\"\n[[recipient.target]]\nname = \"c\"\nurl = \"stdout:\"\n";

fn contract(rest: &str) -> String {
    format!("{CHAIN}\n[[contract]]\nname = \"usdc\"\nchain = \"local\"\n{rest}\n{RECIPIENT}")
}

fn watch(rest: &str) -> String {
    let erc20 = contract("abi = \"abi/erc20.json\"");
    format!(
        "{erc20}\n[[watch]]\nid = \"w\"\nrecipient = \"ops\"\ncontract = \"usdc\"\nevent = \"Transfer\"\n{rest}\n"
    )
}

fn cases() -> Vec<Case> {
    let check: &[&str] = &["config", "check"];
    let case = |name, config, says| Case { name, config, arguments: check, status: 2, says };
    vec![
        case("a misspelt section", "[stroe]\nurl = \"x\"\n".into(), &["stroe", "did you mean 'store'"]),
        case("a misspelt key", "[store]\nulr = \"x\"\n".into(), &["store.ulr", "did you mean 'url'"]),
        case("no TOML", "[store\n".into(), &["chainbell.toml"]),
        case(
            "a missing ABI file",
            contract("abi = \"abi/nothing.json\""),
            &["'usdc'", "abi", "nothing.json"],
        ),
        case("an ABI that is none", contract("abi = \"chainbell.toml\""), &["'usdc'", "abi"]),
        case(
            "an event that the ABI lacks",
            contract("abi = \"abi/erc20.json\"\nevents = [\"Transfers\"]"),
            &["'usdc'", "events", "Transfers", "Transfer"],
        ),
        case(
            "an unknown chain",
            contract("abi = \"abi/erc20.json\"").replace("chain = \"local\"", "chain = \"lokal\""),
            &["lokal", "local"],
        ),
        case(
            "no address",
            contract("abi = \"abi/erc20.json\"\naddress = \"0x12\""),
            &["address", "0x12", "40 hex digits"],
        ),
        case("an unknown parameter", watch("where = 'amount > 1'"), &["'w'", "amount", "value"]),
        case("a filter of the wrong type", watch("where = 'value > \"x\"'"), &["'w'", "value"]),
        case("an immediate watch with a window", watch("window = \"1s\""), &["'w'", "window", "digest"]),
        case(
            "a strategy that is none",
            watch("strategy = \"burst\""),
            &["strategy", "burst", "immediate or digest"],
        ),
        case(
            "a time zone that is none",
            CHAIN.to_owned() + &RECIPIENT.replace("id = \"ops\"", "id = \"ops\"\ntimezone = \"Mars/Base\""),
            &["timezone", "Mars/Base"],
        ),
        case(
            "a store that is none",
            "[store]\nurl = \"mysql://u:secret@h/d\"\n".to_owned() + CHAIN,
            &["store.url", "…@h"],
        )
        .running(&["migrate"], 2),
        case("an unreachable node", CHAIN.into(), &["127.0.0.1:9"]).running(&["run"], 1),
        case(
            "an unreachable broker",
            format!("[broker]\nurl = \"nats://127.0.0.1:9\"\n{CHAIN}"),
            &["127.0.0.1:9", "broker.url"],
        )
        .running(&["run"], 1),
        case(
            "an unreachable Redis",
            format!("[debounce]\nurl = \"redis://:secret@127.0.0.1:9/0\"\n{CHAIN}"),
            &["127.0.0.1:9", "debounce.url"],
        )
        .running(&["run"], 1),
        case("no chain", "[store]\nurl = \"sqlite://x.db\"\n".into(), &["chain"]).running(&["run"], 2),
        case("a role that is none", CHAIN.into(), &["ingst", "ingest"])
            .running(&["run", "--roles", "ingst"], 2),
    ]
}

impl Case {
    fn running(mut self, arguments: &'static [&'static str], status: i32) -> Self {
        self.arguments = arguments;
        self.status = status;
        self
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_is_named_in_one_sentence_with_its_mend() -> anyhow::Result<()> {
    for case in cases() {
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("chainbell.toml");
        let text =
            case.config.replace("sqlite://x.db", &format!("sqlite://{}/x.db", folder.path().display()));
        let text = if text.contains("[store") {
            text
        } else {
            format!("[store]\nurl = \"sqlite://{}/x.db\"\n{text}", folder.path().display())
        };
        std::fs::write(&config, text)?;
        let done = output(Some(&config), case.arguments).await?;
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(case.status), "{}: {said}", case.name);
        for part in case.says {
            assert!(said.contains(part), "{}: '{part}' is not in: {said}", case.name);
        }
        assert!(!said.contains("secret"), "{}: a secret in: {said}", case.name);
        assert!(!said.contains("panicked"), "{}: {said}", case.name);
        assert!(done.stdout.is_empty(), "{}: nothing goes to standard output", case.name);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_another_chain_is_refused_by_name() -> anyhow::Result<()> {
    let anvil = TestAnvil::start().await?;
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("chainbell.toml");
    let text = CHAIN.replace("31337", "1").replace("http://127.0.0.1:9", &anvil.ws_url());
    std::fs::write(&config, format!("[store]\nurl = \"sqlite://{}/x.db\"\n{text}", folder.path().display()))?;
    let done = output(Some(&config), &["run"]).await?;
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(2), "{said}");
    assert!(said.contains("31337") && said.contains("'local'"), "{said}");
    Ok(())
}
