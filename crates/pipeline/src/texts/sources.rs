//! Where template texts come from: those built in, and a user's files in their place. Must not know what is in them.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use super::{TemplateError, kind::Kind, locale};

/// The lines that all kinds share, included by them.
pub(super) const SHARED_FILE: &str = "shared.txt";

/// What is said of a notification of which the chain took a part back.
pub(super) const CORRECTED_FILE: &str = "corrected.txt";

/// What is said of a notification that the chain took back.
pub(super) const RETRACTED_FILE: &str = "retracted.txt";

/// The largest template file, in bytes.
const FILE_BYTES_MAX: u64 = 256 * 1024;

macro_rules! built_in {
    ($($locale:literal / $file:literal),* $(,)?) => {
        [$(($locale, $file, include_str!(concat!("../../../../config/templates/", $locale, "/", $file)))),*]
    };
}

const BUILT_IN: [(&str, &str, &str); 20] = built_in![
    "en" / "approval.txt",
    "en" / "contract_event.txt",
    "en" / "corrected.txt",
    "en" / "erc1155_transfer.txt",
    "en" / "erc20_transfer.txt",
    "en" / "erc721_transfer.txt",
    "en" / "liquidity.txt",
    "en" / "retracted.txt",
    "en" / "shared.txt",
    "en" / "swap.txt",
    "ru" / "approval.txt",
    "ru" / "contract_event.txt",
    "ru" / "corrected.txt",
    "ru" / "erc1155_transfer.txt",
    "ru" / "erc20_transfer.txt",
    "ru" / "erc721_transfer.txt",
    "ru" / "liquidity.txt",
    "ru" / "retracted.txt",
    "ru" / "shared.txt",
    "ru" / "swap.txt",
];

/// A template's text.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) text: String,
    /// The file, as a person finds it.
    pub(super) origin: String,
}

/// Texts by locale and file name.
pub(super) type Sources = BTreeMap<String, BTreeMap<String, Source>>;

/// Every template's file.
pub(super) fn files() -> impl Iterator<Item = String> {
    let others = [SHARED_FILE, CORRECTED_FILE, RETRACTED_FILE].map(str::to_owned);
    Kind::ALL.into_iter().map(file_of).chain(others)
}

/// The template file of a kind.
pub(super) fn file_of(kind: Kind) -> String {
    format!("{}.txt", kind.as_str())
}

/// The built-in texts, each replaced by the file of its name below `overrides`. A folder of another locale adds it.
pub(super) fn read(overrides: Option<&Path>) -> Result<Sources, TemplateError> {
    let mut sources = Sources::new();
    for (locale, file, text) in BUILT_IN {
        let source = Source { text: text.to_owned(), origin: format!("{locale}/{file}") };
        sources.entry(locale.to_owned()).or_default().insert(file.to_owned(), source);
    }
    if let Some(folder) = overrides {
        for locale_folder in entries(folder)? {
            if locale_folder.is_dir() {
                read_locale(&locale_folder, &mut sources)?;
            }
        }
    }
    Ok(sources)
}

fn read_locale(folder: &Path, sources: &mut Sources) -> Result<(), TemplateError> {
    let name = file_name(folder);
    let locale = locale::normal(&name).ok_or_else(|| {
        TemplateError::new(folder, "the folder's name is no locale; call it 'en' or 'pt-BR'")
    })?;
    for path in entries(folder)? {
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        let file = file_name(&path);
        let known: Vec<_> = files().collect();
        if !known.contains(&file) {
            let detail = format!("no notification uses a file of this name; there are {}", known.join(", "));
            return Err(TemplateError::new(&path, detail));
        }
        let text = text(&path)?;
        let source = Source { text, origin: path.display().to_string() };
        sources.entry(locale.clone()).or_default().insert(file, source);
    }
    Ok(())
}

fn text(path: &Path) -> Result<String, TemplateError> {
    let size = fs::metadata(path).map_err(|error| unreadable(path, &error))?.len();
    if size > FILE_BYTES_MAX {
        let detail = format!("it has {size} bytes, more than the {FILE_BYTES_MAX} that a template may have");
        return Err(TemplateError::new(path, detail));
    }
    let text = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}

// Sorted, so that the first error is always the same one. Hidden files are not the user's texts.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, TemplateError> {
    let listed = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let listed = listed.map_err(|error| unreadable(folder, &error))?;
    let mut paths: Vec<_> = listed.into_iter().map(|entry| entry.path()).collect();
    paths.retain(|path| !file_name(path).starts_with('.'));
    paths.sort();
    Ok(paths)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn unreadable(path: &Path, error: &io::Error) -> TemplateError {
    TemplateError::new(path, format!("it cannot be read: {error}"))
}
