//! Redaction of URLs: API keys live in user names, passwords, paths and queries. What is left names the host.

/// The URL with everything that may hold a secret replaced by `…`: scheme, host and port stay.
///
/// A short path segment (`/`, `/rpc`, `/v2`) stays too, since it helps to tell two URLs of one host apart.
pub fn redact_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        // `stdout:`, `memory:`, `store:` have nothing to hide; `slack:T000/B000/…` has.
        return match url.split_once(':') {
            Some((scheme, "")) => format!("{scheme}:"),
            Some((scheme, _)) => format!("{scheme}:…"),
            None => "…".to_owned(),
        };
    };
    if matches!(scheme, "sqlite" | "file") {
        return url.split('?').next().unwrap_or(url).to_owned();
    }
    let end = host_end(scheme, rest);
    let (authority, tail) = rest.split_at(end);
    let (user, host) = authority.rsplit_once('@').map_or(("", authority), |(_, host)| ("…@", host));
    let path = tail.split(['?', '#']).next().unwrap_or_default();
    let query = if tail.len() > path.len() { "?…" } else { "" };
    let path: Vec<_> =
        path.split('/').map(|segment| if segment.len() > MAX_SEGMENT { "…" } else { segment }).collect();
    format!("{scheme}://{user}{host}{}{query}", path.join("/"))
}

// Where the path begins. A password that is not percent-encoded may hold what begins one: then the last `@` is before the
// host, unless what stands before it is plainly one.
fn host_end(scheme: &str, rest: &str) -> usize {
    let tail = |from: usize| rest[from..].find(['/', '?', '#']).map_or(rest.len(), |at| from + at);
    let end = tail(0);
    let (authority, beyond) = rest.split_at(end);
    let Some(at) = beyond.rfind('@').filter(|_| !authority.contains('@')) else { return end };
    let of_the_web = matches!(scheme, "http" | "https" | "ws" | "wss");
    let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
    if of_the_web && port.bytes().all(|byte| byte.is_ascii_digit()) { end } else { tail(end + at) }
}

// Keys are longer than any path segment that a provider uses for routing ("mainnet", "v3", "arbitrum").
const MAX_SEGMENT: usize = 12;

#[cfg(test)]
mod tests {
    use super::redact_url;

    #[test]
    fn keys_in_paths_users_and_queries_disappear() {
        for (url, shown) in [
            (
                "wss://mainnet.example.io/ws/v3/0123456789abcdef0123456789abcdef",
                "wss://mainnet.example.io/ws/v3/…",
            ),
            ("https://user:pass@example.io:8545/rpc", "https://…@example.io:8545/rpc"),
            ("https://example.io/?key=1234", "https://example.io/?…"),
            ("https://example.io?key=1234", "https://example.io?…"),
            ("postgres://chainbell:hunter2@db/chainbell", "postgres://…@db/chainbell"),
            ("slack:T000/B000/secret", "slack:…"),
            ("stdout:", "stdout:"),
            ("sqlite://chainbell.db?mode=rwc", "sqlite://chainbell.db"),
            ("nats://bell:hun/ter#2@host:4222", "nats://…@host:4222"),
            ("redis://:hun?ter2@host:6379/0", "redis://…@host:6379/0"),
            ("https://user:hun#ter2@example.io/rpc", "https://…@example.io/rpc"),
            ("https://example.io:8545/@name?mail=a@b", "https://example.io:8545/@name?…"),
            ("nonsense", "…"),
        ] {
            assert_eq!(redact_url(url), shown, "{url}");
        }
    }
}
