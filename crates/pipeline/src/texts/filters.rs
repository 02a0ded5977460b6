//! The filters that templates have beside minijinja's own. All are pure functions of their arguments and of the
//! language; none reads what a value says as template text.

use icu_decimal::input::SignDisplay;
use icu_locale_core::Locale;
use jiff::{Timestamp, fmt::strtime, tz::TimeZone};
use minijinja::{
    Environment, Error, ErrorKind,
    value::{Kwargs, Value},
};

use super::locale;

/// What is longer than this is shortened by `short`, unless it begins with 0x.
const SHORT_CHARS_MAX: usize = 24;

/// Registers the filters for a language:
///
/// - `number`: digits with the language's grouping; `signed=true` writes a plus too;
/// - `amount(token)`: an amount in the token's unit with its symbol, or in the smallest unit with the token's shortened
///   address; `signed=true` as above;
/// - `plural(one=…, few=…, many=…, other=…)`: the word that goes with a count;
/// - `short`: an address, a hash or a long number with its middle left out;
/// - `label`: what to call a token: its symbol, else its shortened address;
/// - `datetime(pattern, timezone)`: seconds since the epoch by a `strftime` pattern.
pub(super) fn register(environment: &mut Environment<'static>, locale: &Locale) {
    let language = locale.clone();
    environment.add_filter("number", move |value: Value, kwargs: Kwargs| {
        let sign = sign_display(&kwargs)?;
        number(&language, &digits(&value)?, sign)
    });
    let language = locale.clone();
    environment.add_filter("amount", move |amount: Value, token: Value, kwargs: Kwargs| {
        let sign = sign_display(&kwargs)?;
        let scaled = amount.get_attr("amount")?;
        if !scaled.is_none() {
            return Ok(format!("{} {}", number(&language, &digits(&scaled)?, sign)?, label(&token)?));
        }
        // Without decimals the symbol would promise whole tokens.
        let raw = amount.get_attr("raw")?;
        Ok::<_, Error>(format!("{} {}", number(&language, &digits(&raw)?, sign)?, short_address(&token)?))
    });
    let language = locale.clone();
    environment.add_filter("plural", move |count: Value, kwargs: Kwargs| plural(&language, &count, &kwargs));
    environment.add_filter("short", |value: Value| short(&value.to_string()));
    environment.add_filter("label", |token: Value| label(&token));
    environment.add_filter("datetime", |seconds: Value, pattern: &str, timezone: &str| {
        datetime(&seconds, pattern, timezone)
    });
}

fn failed(detail: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, detail.into())
}

fn sign_display(kwargs: &Kwargs) -> Result<SignDisplay, Error> {
    let signed = kwargs.get::<Option<bool>>("signed")?.unwrap_or_default();
    kwargs.assert_all_used()?;
    Ok(if signed { SignDisplay::ExceptZero } else { SignDisplay::Auto })
}

fn number(locale: &Locale, digits: &str, sign: SignDisplay) -> Result<String, Error> {
    locale::number(locale, digits, sign).map_err(|error| failed(error.to_string()))
}

/// The digits of an integer, or of a text that is a number. A float would be inexact and is refused.
fn digits(value: &Value) -> Result<String, Error> {
    if value.is_integer() || value.as_str().is_some() {
        return Ok(value.to_string());
    }
    Err(failed(format!("a number is expected, not {}", value.kind())))
}

fn plural(locale: &Locale, count: &Value, kwargs: &Kwargs) -> Result<String, Error> {
    let category = locale::plural(locale, &digits(count)?).map_err(|error| failed(error.to_string()))?;
    let mut chosen = None;
    // Every form is read, so that a misspelt one is an error whatever the count.
    for name in ["zero", "one", "two", "few", "many", "other"] {
        let form = kwargs.get::<Option<String>>(name)?;
        if name == category || name == "other" {
            chosen = chosen.or(form);
        }
    }
    kwargs.assert_all_used()?;
    chosen.ok_or_else(|| failed("plural needs at least the form 'other'"))
}

/// The symbol, or the shortened address of a token that has none.
fn label(token: &Value) -> Result<String, Error> {
    let symbol = token.get_attr("symbol")?;
    match symbol.as_str() {
        Some(symbol) if could_be_digits(symbol) => Ok(format!("\"{symbol}\"")),
        Some(symbol) => Ok(symbol.to_owned()),
        None => short_address(token),
    }
}

fn short_address(token: &Value) -> Result<String, Error> {
    match token.get_attr("address")?.as_str() {
        Some(address) => Ok(short(address)),
        None => Err(failed("a token is expected, which has an address")),
    }
}

/// Whether a symbol beside a number could pass for more of its digits (`000 USDC` behind a 5).
fn could_be_digits(symbol: &str) -> bool {
    symbol.starts_with(|c: char| c.is_numeric() || ".,'’+-−".contains(c))
        || symbol.contains(char::is_whitespace)
}

pub(super) fn short(text: &str) -> String {
    let length = text.chars().count();
    let (head, tail, limit) = if text.starts_with("0x") { (6, 4, 13) } else { (10, 6, SHORT_CHARS_MAX) };
    if length <= limit {
        return text.to_owned();
    }
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(length - tail).collect();
    format!("{start}…{end}")
}

fn datetime(seconds: &Value, pattern: &str, timezone: &str) -> Result<String, Error> {
    let digits = digits(seconds)?;
    // A development chain may claim any time at all.
    let time = digits.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    let Some(time) = time else { return Ok(digits) };
    let zone = TimeZone::get(timezone).unwrap_or(TimeZone::UTC);
    strtime::format(pattern, &time.to_zoned(zone))
        .map_err(|error| failed(format!("the time pattern '{pattern}' is none: {error}")))
}

#[cfg(test)]
mod tests {
    use minijinja::context;

    use super::*;

    fn shown(locale: &str, template: &str) -> Result<String, Error> {
        let mut environment = Environment::new();
        register(&mut environment, &locale.parse().unwrap());
        let token = context! { address => "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC", symbol => () };
        let spoof = context! { address => "0x3C", symbol => "000 USDC" };
        environment.render_str(template, context! { token, spoof })
    }

    #[test]
    fn a_symbol_cannot_pass_for_digits() {
        let text = shown("en", "{{ {'raw': '5', 'amount': '5'} | amount(spoof) }}").unwrap();
        assert_eq!(text, "5 \"000 USDC\"");
    }

    #[test]
    fn an_amount_without_metadata_is_raw_beside_the_shortened_address() {
        let text = shown("ru", "{{ {'raw': '1240500', 'amount': none} | amount(token) }}").unwrap();
        assert_eq!(text, "1\u{a0}240\u{a0}500 0x3C44…93BC");
    }

    #[test]
    fn a_plus_is_written_where_it_is_asked_for_but_not_before_zero() {
        assert_eq!(shown("en", "{{ '12' | number(signed=true) }}").unwrap(), "+12");
        assert_eq!(shown("en", "{{ -12 | number(signed=true) }}").unwrap(), "-12");
        assert_eq!(shown("en", "{{ 0 | number(signed=true) }}").unwrap(), "0");
    }

    #[test]
    fn wrong_arguments_are_errors() {
        for wrong in [
            "{{ 1.5 | number }}",
            "{{ 'a' | number }}",
            "{{ 1 | number(sined=true) }}",
            "{{ 1 | plural(one='a') }}{{ 2 | plural(one='a') }}",
            "{{ 2 | plural(ones='a', other='b') }}",
            "{{ 0 | datetime('%!', 'UTC') }}",
        ] {
            assert!(shown("en", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_are_told_in_the_zone_and_an_unknown_zone_is_utc() {
        let text = "{{ 1700000000 | datetime('%F %H:%M %Z', 'Europe/Berlin') }}";
        assert_eq!(shown("en", text).unwrap(), "2023-11-14 23:13 CET");
        let text = "{{ 1700000000 | datetime('%F %H:%M %Z', 'Mars/Olympus') }}";
        assert_eq!(shown("en", text).unwrap(), "2023-11-14 22:13 UTC");
    }
}
