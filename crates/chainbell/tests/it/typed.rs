//! What people mistype in a configuration: spans, secrets and addresses. Each mistake is one sentence with its key.

use chainbell::config::Span;

use crate::config::{DOCUMENTED, PEOPLE, examples, parse};

#[test]
fn durations_are_read_as_people_write_them() {
    const DAY: u128 = 86_400_000;
    for (text, millis) in [
        ("500ms", 500),
        ("60s", 60_000),
        ("10m", 600_000),
        ("1h 30m", 5_400_000),
        ("1d", DAY),
        ("1w", 7 * DAY),
        ("1w 2d", 9 * DAY),
        ("2 days", 2 * DAY),
    ] {
        let span = text.parse::<Span>().expect(text);
        assert_eq!((span.0.as_millis(), span.to_string()), (millis, text.to_owned()), "as it is written");
    }
    for text in ["60", "", "-5s", "soon", "1 month", "1y", "999999999999999999999w"] {
        let error = text.parse::<Span>().expect_err(text);
        assert!(error.contains("is no duration: write"), "{error}");
    }
}

#[test]
fn a_duration_that_was_not_written_shows_its_largest_units() {
    for (millis, text) in [
        (0, "0s"),
        (1, "1ms"),
        (90_000, "1m 30s"),
        (3_600_000, "1h"),
        (86_400_000, "1d"),
        (788_645_001, "1w 2d 3h 4m 5s 1ms"),
    ] {
        assert_eq!(chainbell::config::written(std::time::Duration::from_millis(millis)), text);
    }
}

/// Each line of the documented configuration that sets a span, by itself and with everything else in its place.
fn with_each_span_as(span: &str) -> Vec<(String, String)> {
    let whole =
        format!("{DOCUMENTED}\n{}", examples().replace("strategy = \"immediate\"", "strategy = \"digest\""));
    let lines: Vec<_> = whole.lines().collect();
    let mut cases = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some((key, value)) = line.split_once(" = ") else { continue };
        let value = value.split('#').next().unwrap_or_default().trim();
        let spans = value.trim_matches(['[', ']']).split(", ").map(|part| part.trim_matches('"'));
        if line.starts_with('#')
            || !value.contains('"')
            || !spans.clone().all(|part| part.parse::<Span>().is_ok())
        {
            continue;
        }
        let value =
            if value.starts_with('[') { format!("[\"1s\", \"{span}\"]") } else { format!("\"{span}\"") };
        let mut lines: Vec<_> = lines.iter().map(|line| (*line).to_owned()).collect();
        lines[at] = format!("{key} = {value}");
        cases.push((key.trim().to_owned(), lines.join("\n")));
    }
    cases
}

#[test]
fn every_span_of_the_documented_configuration_has_bounds_that_are_said() {
    for (span, side) in [("0s", "too short"), ("9999d", "too long")] {
        let cases = with_each_span_as(span);
        let keys: Vec<_> = cases.iter().map(|(key, _)| key.as_str()).collect();
        for key in ["deadline", "retry", "grace", "sweep_grace", "lease", "poll", "window", "max_wait"] {
            assert!(keys.contains(&key), "{key} is no span in {keys:?}");
        }
        for (key, text) in &cases {
            let error = parse(text).expect_err(key).to_string();
            for part in [key.as_str(), &format!("'{span}' is {side}"), "write ", " to "] {
                assert!(error.contains(part), "'{part}' is not in: {error}");
            }
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }
}

#[test]
fn a_number_that_would_stop_a_chain_is_refused_with_its_bounds() {
    for (key, bounds) in
        [("calls_max", "1 to 1000"), ("range_max", "1 to 1000000000"), ("max_reorg_depth", "1 to 100000")]
    {
        let text = PEOPLE.replace("chain_id = 31337", &format!("chain_id = 31337\n{key} = 0"));
        let error = parse(&text).expect_err(key).to_string();
        assert!(error.contains(&format!("chain 'local': {key}: 0 is too small: write {bounds}")), "{error}");
    }
}

#[test]
fn a_target_of_the_file_is_checked_as_one_of_the_command_line_is() {
    let hook = "https://example.org/hook";
    for (url, secrets, part) in [
        (hook, "secrets = [\"mysecret\"]", "is not base64 of 16 bytes or more after whsec_"),
        (hook, "secrets = [\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\", \"\"]", "openssl rand"),
        ("http://example.org/hook", "", "use https, or set channels.allow_private"),
        ("https://127.0.0.1/hook", "", "channels.allow_private"),
        (
            "carrier-pigeon:x",
            "",
            "there is no channel for 'carrier-pigeon:'; the channels are: stdout, webhook",
        ),
        ("stdout:x", "", "write stdout:"),
        ("https://", "", "is no URL"),
    ] {
        let text = format!("{PEOPLE}[[recipient.target]]\nname = \"hook\"\nurl = \"{url}\"\n{secrets}\n");
        let error = parse(&text).expect_err(url).to_string();
        assert!(error.starts_with("recipient 'ops': target 'hook': ") && error.contains(part), "{error}");
        assert!(!error.contains("mysecret"), "{error}");
    }
}

#[test]
fn a_mistyped_address_is_refused_in_a_contract_and_in_a_filter() {
    let mistyped = "0x28C6c06298d514Db089934071355E5743bf21c60";
    let contract = PEOPLE.replace("abi =", &format!("address = [\"{mistyped}\"]\nabi ="));
    let watch = "[[watch]]\nid = \"w\"\nrecipient = \"ops\"\ncontract = \"usdc\"\nevent = \"Transfer\"\n";
    let filter = format!("{PEOPLE}{watch}where = 'value > 1 and to == {mistyped}'\n");
    for (text, key) in [(&contract, "contract 'usdc': address"), (&filter, "watch 'w'")] {
        let error = parse(text).expect_err(key).to_string();
        let right = "0x28C6C06298d514DB089934071355E5743BF21c60";
        assert!(
            error.contains(key)
                && error.contains("wrong checksum")
                && error.to_lowercase().contains(&right.to_lowercase()),
            "{error}"
        );
        assert!(parse(&text.replace(mistyped, &mistyped.to_lowercase())).is_ok());
        assert!(parse(&text.replace(&mistyped[2..], &mistyped[2..].to_uppercase())).is_ok());
    }
}
