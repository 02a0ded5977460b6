//! Owns the table that turns a node's refusal into what the caller should do. Pure.
//!
//! Nodes agree on few error codes, and providers on none: `-32005` is a rate limit here and a result limit there,
//! `-32602` a range that is too long, a block that is not known, or a fault of ours. So the text is read first, and the
//! code where the text says nothing. Both are hints that spare questions: whether it was too much at once is decided by
//! what is answered (`learner`).

use std::time::Duration;

use serde_json::Value as Json;

use crate::{
    fault::Fault,
    limits::RETRY_AFTER_MAX,
    suggestion::{suggested_blocks, suggested_wait},
};

/// A JSON-RPC error object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) code: i64,
    pub(crate) message: String,
    pub(crate) data: Option<Json>,
}

/// An HTTP answer other than 2xx.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HttpRefusal {
    pub(crate) status: u16,
    /// `Retry-After`, already a duration.
    pub(crate) retry_after: Option<Duration>,
    /// The JSON-RPC error in the body, where there was one.
    pub(crate) refusal: Option<Refusal>,
}

const LOGS: &str = "eth_getLogs";

// The contract's own answer to `eth_call`.
const REVERTED: &[&str] = &[
    "execution reverted",
    "reverted",
    "vm exception",
    "vm execution error",
    "invalid opcode",
    "out of gas",
    "stack underflow",
];

const UNSUPPORTED: &[&str] = &[
    "method not found",
    "unsupported method",
    "method not supported",
    "method is not supported",
    "does not exist/is not available",
    "method is not available",
    "notifications not supported",
    "subscriptions are not supported",
    "not whitelisted",
];

/// EIP-4444: the node let go of history as old as this.
const PRUNED: i64 = 4444;

const UNKNOWN_BLOCK: &[&str] = &[
    "unknown block",
    "unknown header",
    "header not found",
    "header for hash not found",
    "block not found",
    "blocknotfound",
    "block hash not found",
    "blockhash cannot be found",
    "received invalid block",
    "blockoutofrange",
    "beyond current head",
    "beyond head",
    "block is out of range",
    "from block is greater than latest block",
    // Of a height whose round passed without a block.
    "null round",
];

// What is in the blocks is too much.
const RESULTS: &[&str] = &[
    "query returned more than",
    "more than 10000 results",
    "response size exceeded",
    "response size should not",
    "response is too big",
    "response too large",
    "max results",
    "too many results",
    "too many logs",
    "logs matched by query exceeds limit",
    "query timeout exceeded",
    "query timeout limit exceeded",
];

// The blocks are too many.
const RANGE: &[&str] = &[
    "block range",
    "blocks range",
    "range is too",
    "range too",
    "max range",
    "range limit",
    "ranges over",
    "0 range",
    "query exceeds max",
    "requested too many blocks",
    "number of requested blocks",
];

const RATE: &[&str] = &[
    "rate limit",
    "rate-limit",
    "ratelimit",
    "rate exceeded",
    "too many requests",
    "request limit",
    "request count exceeded",
    "requests per second",
    "compute units per second",
    "credits limited",
    "throughput limit",
    "throughput capacity",
    "exceeded its capacity",
    "maximum number of concurrent requests",
    "quota",
];

/// What a refusal of `method` asks of the caller.
pub(crate) fn classify(method: &str, refusal: &Refusal) -> Fault {
    let data = refusal.data.as_ref().and_then(Json::as_str).unwrap_or_default();
    let text = format!("{} {data}", refusal.message).to_ascii_lowercase();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| text.contains(phrase));
    let said = words(refusal);
    if method == "eth_call" && (matches!(refusal.code, 3 | -32015) || says(REVERTED)) {
        return Fault::Reverted(refusal.message.clone());
    }
    // It is about these blocks: of newer ones the node can do all that was asked.
    if refusal.code == PRUNED || (method != "eth_call" && text.contains("pruned")) {
        return Fault::Pruned(said);
    }
    // Before "unknown block", because a method can be as unknown as a block.
    if refusal.code == -32601 || says(UNSUPPORTED) {
        return Fault::Unsupported(said);
    }
    // Before the ranges, because "block range extends beyond current head" holds both.
    if says(UNKNOWN_BLOCK) || (text.contains("block") && says(&["could not be found", "does not exist"])) {
        return Fault::UnknownBlock;
    }
    // Before the rates, because Infura has one code for both.
    let results = says(RESULTS) || matches!(refusal.code, -32008 | -32702);
    let range = says(RANGE) || refusal.code == -32614;
    if method == LOGS && !text.contains("invalid block range") && (results || range) {
        let suggested_blocks = suggested_blocks(&refusal.message);
        return Fault::RangeTooLarge { detail: said, suggested_blocks, lasting: !results };
    }
    if says(RATE) || matches!(refusal.code, 429 | 1008 | -32005 | -32007 | -32029 | -32055 | -32090) {
        return Fault::RateLimited { detail: said, retry_after: wait(refusal) };
    }
    if refusal.code == -32004 {
        return Fault::Unsupported(said);
    }
    Fault::Refused(said)
}

/// What an HTTP status and its body ask of the caller. The body says more than the status where it is JSON-RPC.
pub(crate) fn classify_http(method: &str, http: &HttpRefusal) -> Fault {
    let status = http.status;
    let inside = http.refusal.as_ref().map(|refusal| classify(method, refusal));
    match inside {
        Some(Fault::RateLimited { detail, retry_after }) => {
            return Fault::RateLimited { detail, retry_after: retry_after.or(http.retry_after) };
        }
        Some(Fault::Refused(_)) | None => {}
        Some(fault) => return fault,
    }
    let said = match &http.refusal {
        Some(refusal) => format!("HTTP {status}, {}", words(refusal)),
        None => format!("HTTP {status}"),
    };
    match status {
        429 => Fault::RateLimited { detail: said, retry_after: http.retry_after },
        413 if method == LOGS => {
            Fault::RangeTooLarge { detail: said, suggested_blocks: None, lasting: false }
        }
        401..=403 => Fault::Denied(said),
        300..=499 if http.refusal.is_none() && status != 408 => Fault::NotJsonRpc(said),
        _ => Fault::Unavailable(said),
    }
}

fn words(refusal: &Refusal) -> String {
    match &refusal.data {
        Some(Json::String(data)) if !data.is_empty() && !data.starts_with("0x") => {
            format!("error {}: {} ({data})", refusal.code, refusal.message)
        }
        _ => format!("error {}: {}", refusal.code, refusal.message),
    }
}

/// Infura puts the wait into `data.rate.backoff_seconds`, as a number with a fraction.
fn wait(refusal: &Refusal) -> Option<Duration> {
    let seconds = refusal
        .data
        .as_ref()
        .and_then(|data| data.pointer("/rate/backoff_seconds"))
        .and_then(Json::as_f64)
        .filter(|seconds| *seconds >= 0.0);
    match seconds {
        Some(seconds) => Some(
            Duration::try_from_secs_f64(seconds).map_or(RETRY_AFTER_MAX, |wait| wait.min(RETRY_AFTER_MAX)),
        ),
        None => suggested_wait(&refusal.message),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kind(method: &str, code: i64, message: &str) -> &'static str {
        classify(method, &Refusal { code, message: message.to_owned(), data: None }).kind()
    }

    const BLOCK: &str = "eth_getBlockByNumber";

    // Method, code, message, and the kind of fault.
    const TEXTS: &[(&str, i64, &str, &str)] = &[
        // geth
        (LOGS, -32000, "unknown block", "unknown_block"),
        (BLOCK, -32000, "header not found", "unknown_block"),
        (LOGS, -32005, "query returned more than 10000 results", "range_too_large"),
        (LOGS, -32602, "block range extends beyond current head block", "unknown_block"),
        (LOGS, -32602, "invalid block range params", "unavailable"),
        (LOGS, -32000, "exceed maximum block range: 5000", "range_too_large"),
        (BLOCK, -32601, "the method eth_foo does not exist/is not available", "unsupported"),
        ("eth_subscribe", -32601, "notifications not supported", "unsupported"),
        (LOGS, 4444, "pruned history unavailable", "pruned"),
        (BLOCK, 4444, "", "pruned"),
        ("eth_getBlockReceipts", 4444, "pruned history unavailable", "pruned"),
        (LOGS, -32000, "logs of block 100 have been pruned", "pruned"),
        ("eth_call", -32000, "state has been pruned", "unavailable"),
        ("eth_call", 3, "execution reverted: no", "reverted"),
        ("eth_call", -32000, "execution reverted", "reverted"),
        ("eth_call", -32000, "header not found", "unknown_block"),
        (BLOCK, -32000, "finalized block not found", "unknown_block"),
        // Lotus
        (BLOCK, -32000, "requested epoch was a null round (14)", "unknown_block"),
        (LOGS, 12, "requested epoch was a null round", "unknown_block"),
        (BLOCK, -32000, "safe block not found", "unknown_block"),
        // Anvil, Hardhat
        (LOGS, -32000, "unknown block", "unknown_block"),
        (LOGS, -32602, "BlockOutOfRangeError: block height is 0 but requested was 4096", "unknown_block"),
        (BLOCK, -32001, "BlockNotFound", "unknown_block"),
        (LOGS, -32602, "blockHash cannot be found", "unknown_block"),
        (BLOCK, -32602, "Received invalid block tag 10. Latest block number is 5", "unknown_block"),
        (BLOCK, -32601, "Method not found", "unsupported"),
        (
            "eth_call",
            -32603,
            "VM Exception while processing transaction: reverted with reason string 'no'",
            "reverted",
        ),
        // reth, Erigon, Nethermind, Besu
        (LOGS, -32602, "query exceeds max block range 100000", "range_too_large"),
        (
            LOGS,
            -32602,
            "query exceeds max results 20000, retry with the range 18459031-18459052",
            "range_too_large",
        ),
        (LOGS, -32001, "block not found: hash 0x11", "unknown_block"),
        (LOGS, -32001, "ResourceNotFound: block 0x11 could not be found", "unknown_block"),
        (LOGS, -39001, "Unknown block", "unknown_block"),
        ("eth_call", -32015, "VM execution error.", "reverted"),
        // Alchemy
        (
            LOGS,
            -32602,
            "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range",
            "range_too_large",
        ),
        (
            LOGS,
            -32600,
            "Under the Free tier plan, you can make eth_getLogs requests with up to a 10 block range.",
            "range_too_large",
        ),
        (LOGS, -32000, "Query timeout exceeded. Consider reducing your block range.", "range_too_large"),
        (
            BLOCK,
            429,
            "Your app has exceeded its compute units per second capacity. If you have retries enabled, you can safely ignore this message.",
            "rate_limited",
        ),
        // Infura
        (
            LOGS,
            -32005,
            "query returned more than 10000 results. Try with this block range [0x10, 0x1f].",
            "range_too_large",
        ),
        (BLOCK, -32005, "daily request count exceeded, request rate limited", "rate_limited"),
        (LOGS, -32005, "project ID request rate exceeded", "rate_limited"),
        // QuickNode
        (LOGS, -32614, "eth_getLogs is limited to a 10,000 range", "range_too_large"),
        (
            LOGS,
            -32602,
            "eth_getLogs and eth_newFilter are limited to a 10,000 blocks range",
            "range_too_large",
        ),
        (
            LOGS,
            -32007,
            "100/second request limit reached - reduce calls per second or upgrade your account at quicknode.com",
            "rate_limited",
        ),
        (LOGS, -32012, "credits limited to 6000/sec", "rate_limited"),
        (LOGS, -32012, "requested range too large", "range_too_large"),
        // Ankr, BlockPI, dRPC, thirdweb, Cloudflare
        (LOGS, -32600, "block range is too wide", "range_too_large"),
        (LOGS, -32062, "Block range is too large", "range_too_large"),
        (LOGS, -32090, "Too many requests, reason: call rate limit exhausted, retry in 10s", "rate_limited"),
        (
            LOGS,
            -32000,
            "eth_getLogs is limited to 1024 block range. Please check the parameter requirements",
            "range_too_large",
        ),
        (LOGS, 35, "ranges over 10000 blocks are not supported on freetier", "range_too_large"),
        (LOGS, -32602, "Maximum allowed number of requested blocks is 3500", "range_too_large"),
        (
            LOGS,
            -32000,
            "requested too many blocks from 0 to 5000000, maximum is set to 1024",
            "range_too_large",
        ),
        (LOGS, -32047, "Max range: 800", "range_too_large"),
        (BLOCK, -32016, "over rate limit", "rate_limited"),
        // jsonrpsee's limit on the answer, at a method that has no range
        (LOGS, -32008, "Response is too big", "range_too_large"),
        (BLOCK, -32008, "Response is too big", "unavailable"),
        // What says nothing to act on
        (BLOCK, -32603, "Internal error", "unavailable"),
        (LOGS, -32000, "missing trie node", "unavailable"),
        (LOGS, 0, "", "unavailable"),
    ];

    #[test]
    fn real_texts_mean_what_the_caller_should_do() {
        for (method, code, message, expected) in TEXTS {
            assert_eq!(kind(method, *code, message), *expected, "{method} {code} {message}");
        }
    }

    #[test]
    fn a_wait_is_read_where_the_provider_puts_it() {
        let data = json!({ "rate": { "allowed_rps": 10, "backoff_seconds": 1.5, "current_rps": 12 } });
        let refusal = Refusal { code: -32005, message: "rate limited".to_owned(), data: Some(data) };
        let Fault::RateLimited { retry_after, .. } = classify(LOGS, &refusal) else {
            panic!("not a rate limit")
        };
        assert_eq!(retry_after, Some(Duration::from_millis(1_500)));
    }

    #[test]
    fn an_http_status_means_what_its_body_says_and_else_what_it_says_itself() {
        let refusal = |code, message: &str| Some(Refusal { code, message: message.to_owned(), data: None });
        let wait = Some(Duration::from_secs(7));
        for (status, refusal, expected) in [
            (429, None, Fault::RateLimited { detail: "HTTP 429".to_owned(), retry_after: wait }),
            (
                413,
                refusal(-32614, "eth_getLogs is limited to a 10,000 range"),
                Fault::RangeTooLarge {
                    detail: "error -32614: eth_getLogs is limited to a 10,000 range".to_owned(),
                    suggested_blocks: Some(10_000),
                    lasting: true,
                },
            ),
            (
                413,
                None,
                Fault::RangeTooLarge {
                    detail: "HTTP 413".to_owned(),
                    suggested_blocks: None,
                    lasting: false,
                },
            ),
            (
                400,
                refusal(429, "Too Many Requests"),
                Fault::RateLimited { detail: "error 429: Too Many Requests".to_owned(), retry_after: wait },
            ),
            (401, None, Fault::Denied("HTTP 401".to_owned())),
            (
                403,
                refusal(-32000, "invalid project id"),
                Fault::Denied("HTTP 403, error -32000: invalid project id".to_owned()),
            ),
            (404, None, Fault::NotJsonRpc("HTTP 404".to_owned())),
            (400, refusal(-32000, "odd"), Fault::Unavailable("HTTP 400, error -32000: odd".to_owned())),
            (502, None, Fault::Unavailable("HTTP 502".to_owned())),
        ] {
            let http = HttpRefusal { status, retry_after: wait, refusal };
            assert_eq!(classify_http(LOGS, &http), expected);
        }
    }
}
