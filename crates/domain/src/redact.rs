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
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let (user, host) = authority.rsplit_once('@').map_or(("", authority), |(_, host)| ("…@", host));
    let path = tail.split(['?', '#']).next().unwrap_or_default();
    let query = if tail.len() > path.len() { "?…" } else { "" };
    let path: Vec<_> =
        path.split('/').map(|segment| if segment.len() > MAX_SEGMENT { "…" } else { segment }).collect();
    format!("{scheme}://{user}{host}{}{query}", path.join("/"))
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
            ("nonsense", "…"),
        ] {
            assert_eq!(redact_url(url), shown, "{url}");
        }
    }
}
