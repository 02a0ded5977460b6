//! The arrows between the crates, as cargo sees them.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Which of our crates each may see. A wrong arrow cannot be built past this test.
const ARROWS: [(&str, &[&str]); 12] = [
    ("chainbell-domain", &[]),
    ("chainbell-abi", &["chainbell-domain"]),
    ("chainbell-chain", &["chainbell-domain"]),
    ("chainbell-store", &["chainbell-domain"]),
    ("chainbell-broker", &["chainbell-domain"]),
    ("chainbell-channels", &["chainbell-domain"]),
    ("chainbell-debounce", &["chainbell-domain", "chainbell-store"]),
    ("chainbell-pipeline", &["chainbell-abi", "chainbell-domain", "chainbell-store"]),
    ("chainbell-api", &["chainbell-domain", "chainbell-store"]),
    ("chainbell-devnet", &[]),
    (
        "chainbell-testkit",
        &[
            "chainbell-broker",
            "chainbell-debounce",
            "chainbell-devnet",
            "chainbell-domain",
            "chainbell-store",
        ],
    ),
    (
        "chainbell",
        &[
            "chainbell-abi",
            "chainbell-api",
            "chainbell-broker",
            "chainbell-chain",
            "chainbell-channels",
            "chainbell-debounce",
            "chainbell-devnet",
            "chainbell-domain",
            "chainbell-pipeline",
            "chainbell-store",
        ],
    ),
];

#[test]
fn every_crate_sees_only_the_crates_that_the_design_allows() -> anyhow::Result<()> {
    let metadata = MetadataCommand::new().no_deps().exec()?;
    let allowed: BTreeMap<_, BTreeSet<_>> =
        ARROWS.iter().map(|(from, to)| (*from, to.iter().copied().collect())).collect();
    let ours: BTreeSet<_> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
    for package in &metadata.packages {
        if package.name.as_str() == "chainbell-stories" {
            continue;
        }
        let allowed = allowed.get(package.name.as_str());
        let allowed =
            allowed.ok_or_else(|| anyhow::anyhow!("{} has no arrows in this test", package.name))?;
        let seen =
            package.dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Development);
        for dependency in seen.filter(|dependency| ours.contains(dependency.name.as_str())) {
            assert!(
                allowed.contains(dependency.name.as_str()),
                "{} must not see {}: the design has no such arrow",
                package.name,
                dependency.name
            );
        }
    }
    Ok(())
}

/// Which of our crates may use a fenced library outside its tests.
const FENCES: [(&str, &[&str]); 6] = [
    ("sqlx", &["chainbell-store"]),
    ("async-nats", &["chainbell-broker"]),
    ("redis", &["chainbell-debounce"]),
    ("reqwest", &["chainbell-channels", "chainbell-chain", "chainbell-devnet"]),
    ("axum", &["chainbell-api", "chainbell-testkit"]),
    ("alloy-rpc-client", &["chainbell-chain"]),
];

#[test]
fn every_fenced_library_stays_behind_its_fence() -> anyhow::Result<()> {
    let metadata = MetadataCommand::new().no_deps().exec()?;
    for (library, allowed) in FENCES {
        let users = metadata.packages.iter().filter(|package| {
            let mut used =
                package.dependencies.iter().filter(|used| used.kind != DependencyKind::Development);
            used.any(|used| used.name == library)
        });
        let users: BTreeSet<_> = users.map(|package| package.name.as_str()).collect();
        let allowed: BTreeSet<_> = allowed.iter().copied().collect();
        assert!(users.is_subset(&allowed), "{library} is fenced: {users:?} use it, only {allowed:?} may");
        assert!(!users.is_empty(), "nobody uses {library}: the fence is stale");
    }
    Ok(())
}

#[test]
fn only_the_store_speaks_sql() -> anyhow::Result<()> {
    let metadata = MetadataCommand::new().no_deps().exec()?;
    for package in metadata.packages.iter().filter(|package| package.name.as_str() != "chainbell-store") {
        let sources =
            package.manifest_path.parent().ok_or_else(|| anyhow::anyhow!("a manifest is in a folder"))?;
        for file in rust_files(sources.join("src").as_std_path())? {
            let text = std::fs::read_to_string(&file)?;
            // At the beginning of a string, so that a comment may speak of SQL.
            for verb in ["SELECT", "INSERT INTO", "UPDATE", "DELETE FROM", "CREATE", "ALTER", "DROP"] {
                let statement = format!("\"{verb} ");
                assert!(!text.contains(&statement), "{} speaks SQL: {statement}", file.display());
            }
        }
    }
    Ok(())
}

pub(crate) fn rust_files(folder: &std::path::Path) -> anyhow::Result<Vec<std::path::PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}
