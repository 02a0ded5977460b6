//! The lists of traps name tests that are there, and what they say of statements is so.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The file that `crate::module::…` means. `crate::src::module` is the unit tests of a module.
fn file_of(parts: &[&str]) -> Option<PathBuf> {
    let (krate, modules) = parts.split_first()?;
    let inside = match (*krate, modules) {
        ("stories", [module]) => format!("tests/stories/{module}.rs"),
        (_, ["src", path @ ..]) if !path.is_empty() => format!("crates/{krate}/src/{}.rs", path.join("/")),
        (_, path) if !path.is_empty() => format!("crates/{krate}/tests/it/{}.rs", path.join("/")),
        _ => return None,
    };
    Some(root().join(inside))
}

/// Whether `source` has a test of this name: marked as one, or in the list of one of the macros that make tests.
fn has_test(source: &str, name: &str) -> bool {
    let lines: Vec<_> = source.lines().map(str::trim).collect();
    let has_value = |line: &&str| {
        let rest = line.split_once("!(").map_or(*line, |(_, rest)| rest).strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(" = "))
    };
    // With a value it is the macro that writes the function.
    if lines.iter().any(has_value) {
        return true;
    }
    let listed = lines.iter().filter(|line| line.ends_with(',') || line.ends_with(");")).any(|line| {
        let names = line.split_once("!(").map_or(*line, |(_, names)| names).trim_end_matches([',', ')', ';']);
        names.split(", ").any(|listed| listed == name)
    });
    let marked = |at: usize| {
        let above = lines[..at].iter().rev().take_while(|line| !line.is_empty() && **line != "}");
        above.into_iter().any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
    };
    let declared = [format!("fn {name}("), format!("async fn {name}(")];
    let at = lines.iter().position(|line| declared.iter().any(|start| line.starts_with(start)));
    at.is_some_and(|at| listed || marked(at))
}

fn tests_of(row: &str) -> Vec<&str> {
    let is_test = |text: &&str| {
        let plain =
            |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        text.contains("::") && text.split("::").all(plain)
    };
    row.split('`').skip(1).step_by(2).filter(is_test).collect()
}

#[test]
fn every_trap_names_tests_that_are_there() -> anyhow::Result<()> {
    for list in ["docs/traps.md", "docs/chain-traps.md"] {
        names_tests_that_are_there(list)?;
    }
    Ok(())
}

fn names_tests_that_are_there(name_of_list: &str) -> anyhow::Result<()> {
    let list = fs::read_to_string(root().join(name_of_list))?;
    let rows: Vec<_> = list
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| ---") && !line.ends_with("| tests |"))
        .collect();
    ensure!(rows.len() > 40, "{name_of_list} has {} rows", rows.len());
    for row in rows {
        ensure!(!tests_of(row).is_empty(), "no test is named in: {row}");
        names_tests_of_a_row(name_of_list, row)?;
    }
    Ok(())
}

fn names_tests_of_a_row(name_of_list: &str, row: &str) -> anyhow::Result<()> {
    for test in tests_of(row) {
        let parts: Vec<_> = test.split("::").collect();
        let (name, place) = parts.split_last().context("a test has a name")?;
        let file = file_of(place).with_context(|| format!("{test} is in no module"))?;
        let source = fs::read_to_string(&file).with_context(|| format!("{test}: {}", file.display()))?;
        ensure!(has_test(&source, name), "{name_of_list} names {test}, which is not there");
    }
    Ok(())
}

#[test]
fn every_pattern_names_a_test_that_is_there_or_says_that_it_has_none() -> anyhow::Result<()> {
    let list = fs::read_to_string(root().join("docs/PATTERNS.md"))?;
    let rows: Vec<_> = list.lines().filter(|line| line.starts_with("| ")).skip(2).collect();
    ensure!(rows.len() > 20, "{} rows", rows.len());
    for row in rows {
        ensure!(row.ends_with("| no test yet |") || !tests_of(row).is_empty(), "no test is named in: {row}");
        names_tests_of_a_row("docs/PATTERNS.md", row)?;
    }
    Ok(())
}

/// The paths in backticks that begin in one of the repository's folders.
fn paths_of(text: &str) -> Vec<&str> {
    let folders = ["crates/", "docs/", "migrations/", "config/", "scripts/", "tests/", "abi/"];
    let is_path = |quoted: &&str| {
        folders.iter().any(|folder| quoted.starts_with(folder))
            && !quoted.contains([' ', '*', '<', '…', '{', ':'])
    };
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).filter(is_path).collect()
}

#[test]
fn every_path_in_the_documentation_is_there() -> anyhow::Result<()> {
    let mut pages: BTreeSet<_> =
        ["README.md", "CONTRIBUTING.md", "migrations/README.md"].map(|page| root().join(page)).into();
    files(&root().join("docs"), &mut pages)?;
    for page in pages.iter().filter(|page| page.extension().is_some_and(|extension| extension == "md")) {
        let text = fs::read_to_string(page).with_context(|| page.display().to_string())?;
        for path in paths_of(&text) {
            ensure!(root().join(path).exists(), "{} names {path}, which is not there", page.display());
        }
    }
    Ok(())
}

#[test]
fn a_name_without_a_test_is_found_out() {
    let source = "on_both!(one);\nhalves!(\n    two = 1,\n);\non_both!(\n    three,\n);\nasync fn one(w: W) {}\nfn three() {}\n\n\
                  #[test]\nfn four() {}\n\nfn five() {}\n\non_both!(seven, eight,);\nfn eight() {}\n";
    for (name, there) in [
        ("one", true),
        ("two", true),
        ("three", true),
        ("four", true),
        ("five", false),
        ("six", false),
        ("eight", true),
    ] {
        assert_eq!(has_test(source, name), there, "{name}");
    }
    assert_eq!(tests_of("| `a` `b::c` | `d::e::f` | `x = y::z` |"), ["b::c", "d::e::f"]);
}

/// The files below a folder.
fn files(folder: &Path, found: &mut BTreeSet<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files(&path, found)?;
        } else {
            found.insert(path);
        }
    }
    Ok(())
}

// A `NOTIFY` takes a lock of the whole database when it commits.
#[test]
fn no_statement_listens_or_notifies() -> anyhow::Result<()> {
    let mut found = BTreeSet::new();
    for folder in ["crates/store/src", "migrations/postgres"] {
        files(&root().join(folder), &mut found)?;
    }
    ensure!(found.len() > 20, "the store has {} files", found.len());
    for file in found {
        let text = fs::read_to_string(&file)?;
        for word in ["pg_notify", "\"NOTIFY", "\"LISTEN", "PgListener", "NOTIFY chainbell"] {
            ensure!(!text.contains(word), "{} says {word}", file.display());
        }
    }
    Ok(())
}
