//! The closest of several names to one that was misspelt, for error messages that say what was meant. Must not
//! know what the names name.

/// How many names an error message lists at most.
const MAX_LISTED: usize = 20;

/// The known name nearest to `given`, where one is near enough to have been meant.
pub fn closest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = given.to_lowercase();
    known
        .into_iter()
        .map(|name| (distance(&wanted, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= tolerance(given, name) && *distance < name.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// The mend for a name that is none of `known`: the one that was meant, where one is near, and all of them.
/// `introduction` leads to the list: `it has`, `the contracts are`.
pub fn mend(given: &str, known: &[impl AsRef<str>], introduction: &str) -> String {
    let names = || known.iter().map(AsRef::as_ref);
    let all = listed(names());
    match closest(given, names()) {
        Some(meant) => format!("did you mean '{meant}' ({introduction} {all})?"),
        None => format!("{introduction} {all}"),
    }
}

/// The names for a sentence: `a, b and c`, with the rest counted where there are many.
pub fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.into_iter().collect();
    if names.len() > MAX_LISTED {
        return format!("{} and {} more", names[..MAX_LISTED].join(", "), names.len() - MAX_LISTED);
    }
    match names.split_last() {
        None => "none".to_owned(),
        Some((only, [])) => (*only).to_owned(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

// A third of the longer name may be wrong, at most three letters, and at least one.
fn tolerance(given: &str, name: &str) -> usize {
    (given.chars().count().max(name.chars().count()) / 3).clamp(1, 3)
}

/// The optimal string alignment distance in characters: a letter inserted, dropped, replaced or swapped with its
/// neighbour costs one. Names longer than 64 are cut, which only makes them look nearer.
fn distance(one: &str, two: &str) -> usize {
    let one: Vec<char> = one.chars().take(64).collect();
    let two: Vec<char> = two.chars().take(64).collect();
    let mut above = vec![0; two.len() + 1];
    let mut row: Vec<usize> = (0..=two.len()).collect();
    for i in 0..one.len() {
        let mut next = vec![i + 1; two.len() + 1];
        for j in 0..two.len() {
            let replaced = row[j] + usize::from(one[i] != two[j]);
            next[j + 1] = replaced.min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && one[i] == two[j - 1] && one[i - 1] == two[j] {
                next[j + 1] = next[j + 1].min(above[j - 1] + 1);
            }
        }
        above = std::mem::replace(&mut row, next);
    }
    row[two.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swapped_or_missing_letter_finds_the_name() {
        assert_eq!(closest("vlaue", ["from", "to", "value"]), Some("value"));
        assert_eq!(closest("Form", ["from", "to", "value"]), Some("from"));
        assert_eq!(closest("t", ["from", "to", "value"]), Some("to"));
    }

    #[test]
    fn a_name_that_is_far_from_all_finds_none() {
        assert_eq!(closest("recipient", ["from", "to", "value"]), None);
        assert_eq!(closest("x", []), None);
    }

    #[test]
    fn the_mend_names_what_was_meant_and_what_there_is() {
        assert_eq!(mend("form", &["from", "to"], "it has"), "did you mean 'from' (it has from and to)?");
        assert_eq!(mend("recipient", &["from", "to"], "it has"), "it has from and to");
    }

    #[test]
    fn many_names_are_counted_and_not_listed() {
        let names: Vec<_> = (0..25).map(|n| n.to_string()).collect();
        assert!(listed(names.iter().map(String::as_str)).ends_with("18, 19 and 5 more"));
        assert_eq!(listed(["a", "b", "c"]), "a, b and c");
        assert_eq!(listed(["a"]), "a");
        assert_eq!(listed([]), "none");
    }
}
