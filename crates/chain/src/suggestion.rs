//! Owns the reading of the numbers that providers hide in their refusals: how many blocks to ask for instead, and how
//! long to wait. Pure, and suspicious: a number that makes no sense is no suggestion.

use std::time::Duration;

use crate::limits::{RETRY_AFTER_MAX, SUGGESTION_MAX};

/// How many blocks the refusal suggests, where it does.
///
/// An explicit range (`[0x10, 0x1f]`, `range 16-31`) says more about this question than the plan's limit
/// (`limited to a 10,000 range`), so that it is read first.
pub(crate) fn suggested_blocks(text: &str) -> Option<u64> {
    let text = text.to_ascii_lowercase();
    bracketed(&text)
        .or_else(|| dashed(&text))
        .or_else(|| limit_of_the_plan(&text))
        .filter(|blocks| (1..=SUGGESTION_MAX).contains(blocks))
}

/// `[0x1180fca, 0x1180fd3]`, as Alchemy, Infura and zkSync write it. A range that ends before it begins, or has a sign,
/// is none.
fn bracketed(text: &str) -> Option<u64> {
    let inside = text.split_once('[')?.1.split_once(']')?.0;
    let (from, to) = inside.split_once(',')?;
    span(number(from.trim())?, number(to.trim())?)
}

/// `retry with the range 18459031-18459052`, as reth writes it.
fn dashed(text: &str) -> Option<u64> {
    let after = text.split_once("with the range ")?.1;
    let (from, to) = after.split_once('-')?;
    let to = to.split(|c: char| !c.is_ascii_alphanumeric()).next()?;
    span(number(from.trim())?, number(to)?)
}

fn span(from: u64, to: u64) -> Option<u64> {
    to.checked_sub(from)?.checked_add(1)
}

/// A number that stands beside "block" or "range": `limited to a 10,000 range`, `max block range 100000`,
/// `Max range: 800`, `up to a 2K block range`, `limited to 0 - 10000 blocks range`, `maximum is set to 1024`.
fn limit_of_the_plan(text: &str) -> Option<u64> {
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || "()[]{}\"'".contains(c))
        .map(|word| word.trim_matches([':', '.', ';', ',']))
        .filter(|word| !word.is_empty())
        .collect();
    let beside = |at: usize| {
        let before =
            |back: usize| at.checked_sub(back).and_then(|at| words.get(at)).copied().unwrap_or_default();
        let after = words.get(at + 1).copied().unwrap_or_default();
        is_unit(after)
            || before(1).ends_with("range")
            || (matches!(before(1), "is" | "of") && is_unit(before(2)))
            || (before(3) == "maximum" && before(2) == "is" && before(1) == "set")
            || (before(4) == "maximum" && before(3) == "is" && before(2) == "set")
    };
    (0..words.len()).find_map(|at| number(words[at]).filter(|value| *value > 0 && beside(at)))
}

fn is_unit(word: &str) -> bool {
    word.starts_with("block") || word.starts_with("range")
}

/// `0x1f4`, `10,000`, `2k`.
fn number(word: &str) -> Option<u64> {
    if let Some(hex) = word.strip_prefix("0x") {
        return u64::from_str_radix(hex, 16).ok();
    }
    let (digits, unit) = match word.strip_suffix('k') {
        Some(digits) => (digits, 1_000),
        None => (word, 1),
    };
    let digits = digits.replace([',', '_'], "");
    // `parse` would take a sign.
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// How long to wait, where the refusal's text says: `try again in 4ms`, `retry in 10s`, `retry after 5 seconds`.
pub(crate) fn suggested_wait(text: &str) -> Option<Duration> {
    let text = text.to_ascii_lowercase();
    let after = ["again in ", "retry in ", "retry after "]
        .iter()
        .find_map(|marker| text.split_once(marker).map(|(_, after)| after))?;
    let digits = after.bytes().take_while(u8::is_ascii_digit).count();
    let value: u64 = after[..digits].parse().ok()?;
    let unit: String = after[digits..].trim_start().chars().take_while(char::is_ascii_alphabetic).collect();
    let wait = match unit.as_str() {
        "ms" | "milliseconds" => Duration::from_millis(value),
        "s" | "sec" | "secs" | "second" | "seconds" => Duration::from_secs(value),
        "m" | "min" | "minute" | "minutes" => Duration::from_secs(value.checked_mul(60)?),
        _ => return None,
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestions_are_read_from_the_providers_real_texts() {
        for (text, blocks) in [
            // Alchemy
            (
                "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range and no limit on the response size, or you can request any block range with a cap of 10K logs in the response. Based on your parameters and the response size limit, this block range should work: [0xc5dc00, 0xc614a7]",
                Some(0xc6_14a7 - 0xc5_dc00 + 1),
            ),
            (
                "Under the Free tier plan, you can make eth_getLogs requests with up to a 10 block range. Based on your parameters, this block range should work: [0x1180fca, 0x1180fd3]. Upgrade to PAYG for expanded block range.",
                Some(10),
            ),
            // Its range can be negative; then the plan's limit still stands.
            (
                "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range and no limit on the response size. Based on your parameters, this block range should work: [0x64, 0x63]",
                Some(2_000),
            ),
            ("this block range should work: [0x0, -0x1]", None),
            ("this block range should work: [-0x5, -0x1]", None),
            ("this block range should work: [0x0, 0xffffffffffffffff]", None),
            ("this block range should work: [0x0, 0xffffffffffffffffff]", None),
            // Infura
            ("query returned more than 10000 results. Try with this block range [0x10, 0x1f].", Some(16)),
            ("query returned more than 10000 results", None),
            // QuickNode, Base
            ("eth_getLogs is limited to a 10,000 range", Some(10_000)),
            ("eth_getLogs and eth_newFilter are limited to a 10,000 blocks range", Some(10_000)),
            // Ankr
            ("block range is too wide", None),
            // reth
            ("query exceeds max block range 100000", Some(100_000)),
            ("query exceeds max results 20000, retry with the range 18459031-18459052", Some(22)),
            ("query exceeds max results 20000, retry with the range 18459052-18459031", None),
            // Cloudflare, BlockPI, 1RPC, dRPC, thirdweb, BSC, Polygon
            ("Max range: 800", Some(800)),
            (
                "eth_getLogs is limited to 1024 block range. Please check the parameter requirements at https://docs.blockpi.io",
                Some(1_024),
            ),
            ("eth_getLogs is limited to 0 - 10000 blocks range", Some(10_000)),
            ("ranges over 10000 blocks are not supported on freetier", Some(10_000)),
            ("Maximum allowed number of requested blocks is 3500", Some(3_500)),
            ("exceed maximum block range: 5000", Some(5_000)),
            ("requested too many blocks from 0 to 5000000, maximum is set to 1024", Some(1_024)),
            ("", None),
            ("[", None),
            ("range", None),
            ("0 block range", None),
        ] {
            assert_eq!(suggested_blocks(text), blocks, "{text}");
        }
    }

    #[test]
    fn waits_are_read_from_the_providers_real_texts() {
        for (text, wait) in [
            ("rate limited, try again in 4ms", Some(Duration::from_millis(4))),
            (
                "Too many requests, reason: call rate limit exhausted, retry in 10s",
                Some(Duration::from_secs(10)),
            ),
            ("Please retry after 5 seconds.", Some(Duration::from_secs(5))),
            ("try again in 2 minutes", Some(Duration::from_secs(120))),
            ("try again in 99999999999s", Some(RETRY_AFTER_MAX)),
            ("try again in 99999999999999999999s", None),
            ("try again in a while", None),
            ("try again in", None),
        ] {
            assert_eq!(suggested_wait(text), wait, "{text}");
        }
    }
}
