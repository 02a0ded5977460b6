//! Numbers and plural forms as a locale writes them, by CLDR. Exact: digits go through as text, never as floating
//! point. Must not know templates.

use icu_decimal::{
    DecimalFormatter,
    input::{Decimal, SignDisplay},
};
use icu_locale_core::{LanguageIdentifier, Locale, subtags};
use icu_plurals::{PluralCategory, PluralRules};

/// The locale whose texts are complete, where nothing nearer is.
pub(super) const LAST_RESORT: &str = "en";

/// A number that is none, or a locale that ICU has no data for.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct LocaleError(String);

/// The name of a locale as it is written in BCP 47 (`pt-BR`), however it was given (`pt_br`); `None` where it is none.
pub(super) fn normal(name: &str) -> Option<String> {
    parsed(name).map(|id| id.to_string())
}

fn parsed(name: &str) -> Option<LanguageIdentifier> {
    let locale: Locale = name.replace('_', "-").parse().ok()?;
    (!locale.id.language.is_unknown()).then_some(locale.id)
}

/// The locales to look for, nearest first: without region, without script, and the last resort.
pub(super) fn chain(name: &str) -> Vec<String> {
    let mut chain = Vec::with_capacity(4);
    if let Some(mut id) = parsed(name) {
        chain.push(id.to_string());
        id.variants = subtags::Variants::new();
        chain.push(id.to_string());
        id.region = None;
        chain.push(id.to_string());
        id.script = None;
        chain.push(id.to_string());
    }
    chain.push(LAST_RESORT.to_owned());
    chain.dedup();
    chain
}

/// Digits such as `-1240.5` with the locale's grouping and separators.
///
/// The formatter is made for each call: it only points into compiled data, and cannot be shared between threads.
pub(super) fn number(locale: &Locale, digits: &str, sign: SignDisplay) -> Result<String, LocaleError> {
    let decimal = decimal(digits)?.with_sign_display(sign);
    let formatter = DecimalFormatter::try_new(locale.into(), Default::default())
        .map_err(|error| LocaleError(format!("locale {locale}: {error}")))?;
    Ok(formatter.format(&decimal).to_string())
}

/// The CLDR plural category of a count: `zero`, `one`, `two`, `few`, `many` or `other`.
pub(super) fn plural(locale: &Locale, digits: &str) -> Result<&'static str, LocaleError> {
    let decimal = decimal(digits)?;
    let rules = PluralRules::try_new_cardinal(locale.into())
        .map_err(|error| LocaleError(format!("locale {locale}: {error}")))?;
    Ok(match rules.category_for(&decimal) {
        PluralCategory::Zero => "zero",
        PluralCategory::One => "one",
        PluralCategory::Two => "two",
        PluralCategory::Few => "few",
        PluralCategory::Many => "many",
        PluralCategory::Other => "other",
    })
}

fn decimal(digits: &str) -> Result<Decimal, LocaleError> {
    Decimal::try_from_str(digits)
        .map_err(|_| LocaleError(format!("'{}' is no number", super::clean::shortened(digits, 40))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locale_falls_back_to_its_language_and_then_to_english() {
        assert_eq!(chain("ru-RU"), ["ru-RU", "ru", "en"]);
        assert_eq!(chain("zh_hant_tw"), ["zh-Hant-TW", "zh-Hant", "zh", "en"]);
        assert_eq!(chain("en"), ["en"]);
        assert_eq!(chain("RU"), ["ru", "en"]);
        assert_eq!(chain("no such locale"), ["en"]);
        assert_eq!(chain(""), ["en"]);
    }

    #[test]
    fn numbers_are_grouped_as_the_locale_does() {
        let shown =
            |locale: &str, digits: &str| number(&locale.parse().unwrap(), digits, SignDisplay::Auto).unwrap();
        assert_eq!(shown("en", "1240.5"), "1,240.5");
        assert_eq!(shown("ru", "1240.5"), "1\u{a0}240,5");
        assert_eq!(shown("de", "-1240.5"), "-1.240,5");
        let wide = "9".repeat(155);
        assert_eq!(shown("en", &wide).replace(',', ""), wide);
    }

    #[test]
    fn russian_has_three_forms_for_whole_numbers_and_one_for_fractions() {
        let category = |digits: &str| plural(&"ru".parse().unwrap(), digits).unwrap();
        for (digits, expected) in
            [("1", "one"), ("2", "few"), ("5", "many"), ("11", "many"), ("21", "one"), ("1.5", "other")]
        {
            assert_eq!(category(digits), expected, "{digits}");
        }
    }
}
