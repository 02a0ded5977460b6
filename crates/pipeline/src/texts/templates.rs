//! Templates, compiled per language, and their bounded rendering. Owns the choice of a language and what an error says;
//! must not know what facts mean.

use std::{collections::BTreeMap, error::Error as _, io, path::Path};

use icu_locale_core::Locale;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, syntax::SyntaxConfig, value::Value};

use super::{
    TemplateError, clean, filters, locale,
    sources::{self, Source, Sources},
};

/// How many instructions one rendering may take.
const FUEL_MAX: u64 = 200_000;

/// The most bytes of a rendered text.
const OUTPUT_BYTES_MAX: usize = 64 * 1024;

/// The most characters of a title.
const TITLE_CHARS_MAX: usize = 300;

/// All languages.
#[derive(Debug)]
pub(super) struct Templates(BTreeMap<String, Language>);

/// The templates of one language; where it lacks one, that of the next in its chain.
#[derive(Debug)]
struct Language {
    environment: Environment<'static>,
    /// What the language itself has.
    own: Vec<String>,
    /// The files that the templates came from.
    origins: BTreeMap<String, String>,
}

impl Templates {
    /// Reads and compiles every template.
    pub(super) fn new(overrides: Option<&Path>) -> Result<Self, TemplateError> {
        let sources = sources::read(overrides)?;
        let languages = sources.keys().map(|name| Ok((name.clone(), Language::new(name, &sources)?)));
        languages.collect::<Result<_, TemplateError>>().map(Self)
    }

    /// Every language's name.
    pub(super) fn languages(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The first name that a template file uses and that is not among `known`, as an error at its place.
    pub(super) fn check_names(&self, file: &str, known: &[String]) -> Result<(), TemplateError> {
        self.0.values().try_for_each(|language| language.check_names(file, known))
    }

    /// The title and the body, in the language nearest to `locale`.
    pub(super) fn render(
        &self,
        file: &str,
        locale: &str,
        context: Value,
    ) -> Result<(String, String), TemplateError> {
        let languages = locale::chain(locale).into_iter().filter_map(|name| self.0.get(&name));
        let mut having = languages.filter(|language| language.own.iter().any(|own| own == file));
        match having.next() {
            Some(language) => language.render(file, context),
            None => Err(TemplateError::new(file, "no language has it")),
        }
    }
}

impl Language {
    fn new(name: &str, sources: &Sources) -> Result<Self, TemplateError> {
        let locale: Locale = name
            .parse()
            .map_err(|error| TemplateError::new(name, format!("the folder's name is no locale: {error}")))?;
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|error| TemplateError::new(name, error.to_string()))?);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        // Each channel escapes for its own medium.
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_fuel(Some(FUEL_MAX));
        filters::register(&mut environment, &locale);
        let own = sources.get(name).into_iter().flat_map(|files| files.keys().cloned()).collect();
        let mut language = Self { environment, own, origins: BTreeMap::new() };
        for file in sources::files() {
            let mut nearest =
                locale::chain(name).into_iter().filter_map(|name| sources.get(&name)?.get(&file));
            if let Some(source) = nearest.next() {
                language.add(file, source)?;
            }
        }
        Ok(language)
    }

    fn add(&mut self, file: String, source: &Source) -> Result<(), TemplateError> {
        self.origins.insert(file.clone(), source.origin.clone());
        let added = self.environment.add_template_owned(file.clone(), source.text.clone());
        added.map_err(|error| self.error(&file, &error))
    }

    fn render(&self, file: &str, context: Value) -> Result<(String, String), TemplateError> {
        let template = self.environment.get_template(file).map_err(|error| self.error(file, &error))?;
        let mut output = Limited::default();
        template.render_captured_to(context, &mut output).map_err(|error| self.error(file, &error))?;
        let text = output.into_text();
        let text = text.trim();
        if text.is_empty() {
            return Err(self.error_at(file, 1, "nothing is rendered, and the first line must be the title"));
        }
        let (title, body) = text.split_once('\n').unwrap_or((text, ""));
        Ok((clean::shortened(title.trim_end(), TITLE_CHARS_MAX), body.trim().to_owned()))
    }

    fn check_names(&self, file: &str, known: &[String]) -> Result<(), TemplateError> {
        let template = self.environment.get_template(file).map_err(|error| self.error(file, &error))?;
        let globals: Vec<_> = self.environment.globals().map(|(name, _)| name).collect();
        let mut unknown: Vec<_> = template
            .undeclared_variables(false)
            .into_iter()
            .filter(|name| !known.contains(name) && !globals.contains(&name.as_str()))
            .collect();
        unknown.sort();
        let Some(name) = unknown.first() else { return Ok(()) };
        let line = template.source().lines().position(|line| has_word(line, name)).unwrap_or_default() + 1;
        Err(self.error_at(file, line, &format!("there is no '{name}'; there are {}", known.join(", "))))
    }

    /// The error with the place where it arose, which can be a template that `file` includes.
    fn error(&self, file: &str, error: &minijinja::Error) -> TemplateError {
        let mut innermost = error;
        let mut place = (error.name(), error.line());
        let mut source = error.source();
        while let Some(next) = source {
            if let Some(inner) = next.downcast_ref::<minijinja::Error>() {
                innermost = inner;
                if inner.line().is_some() {
                    place = (inner.name(), inner.line());
                }
            }
            source = next.source();
        }
        let detail = match innermost.detail() {
            Some(detail) => format!("{}: {detail}", innermost.kind()),
            None => innermost.kind().to_string(),
        };
        self.error_at(place.0.unwrap_or(file), place.1.unwrap_or(1), &detail)
    }

    fn error_at(&self, file: &str, line: usize, detail: &str) -> TemplateError {
        let origin = self.origins.get(file).map_or(file, String::as_str);
        TemplateError { name: origin.to_owned(), detail: format!("line {line}: {detail}") }
    }
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|part| part == word)
}

/// A writer that keeps the first [`OUTPUT_BYTES_MAX`] bytes.
#[derive(Debug, Default)]
struct Limited {
    bytes: Vec<u8>,
    cut: bool,
}

impl Limited {
    fn into_text(self) -> String {
        let mut text = match String::from_utf8(self.bytes) {
            Ok(text) => text,
            // The limit fell within a character.
            Err(error) => {
                let whole = error.utf8_error().valid_up_to();
                let mut bytes = error.into_bytes();
                bytes.truncate(whole);
                String::from_utf8(bytes).unwrap_or_default()
            }
        };
        text.retain(|c| c != '\r');
        if self.cut {
            text.push('…');
        }
        text
    }
}

impl io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = OUTPUT_BYTES_MAX - self.bytes.len();
        self.cut |= bytes.len() > room;
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
