//! `[[recipient]]` and `[[watch]]`, from tables to nouns. The command line makes them the same way.

use std::time::Duration;

use domain::{
    DeliverAt, Recipient, Spam, Strategy, Target, TargetUrl, Telling, Watch, WindowRule,
    grouping::GROUPS_MAX, recipient::Secret, suggest,
};

use super::{
    ConfigError, Raw, bounds,
    raw::{Channels, NumberOrWord, OneOrMany, RecipientTable, TargetTable, WatchTable},
};

const WINDOW: Duration = Duration::from_secs(60);
const MAX_WAIT: Duration = Duration::from_secs(600);
const MAX_COUNT: u32 = 10_000;
const LOCALES: [&str; 2] = ["en", "ru"];

pub(super) fn recipients(raw: &Raw) -> Result<(Vec<Recipient>, Vec<Target>), ConfigError> {
    let (mut recipients, mut targets): (Vec<Recipient>, Vec<Target>) = (Vec::new(), Vec::new());
    for table in &raw.recipient {
        let recipient = recipient(table, true)?;
        if recipients.iter().any(|known| known.id == recipient.id) {
            let detail = "two recipients have this id: rename one".to_owned();
            return Err(ConfigError::key(&format!("recipient '{}'", recipient.id), detail));
        }
        for table in &table.target {
            let target = target(&recipient, table, true, &raw.channels)?;
            if targets.iter().any(|known| known.recipient == target.recipient && known.name == target.name) {
                let detail = format!("two targets are named '{}': rename one", target.name);
                return Err(ConfigError::key(&format!("recipient '{}'", recipient.id), detail));
            }
            targets.push(target);
        }
        recipients.push(recipient);
    }
    Ok((recipients, targets))
}

/// A recipient from its table.
///
/// # Errors
/// One sentence that names the key and the mend.
pub fn recipient(table: &RecipientTable, from_file: bool) -> Result<Recipient, ConfigError> {
    let at =
        |key: &str, detail: String| ConfigError::key(&format!("recipient '{}': {key}", table.id), detail);
    let id = table
        .id
        .parse()
        .map_err(|e: domain::ids::BadName| ConfigError::key("recipient.id", e.to_string()))?;
    let language = table.locale.split(['-', '_']).next().unwrap_or_default();
    if !LOCALES.contains(&language) {
        return Err(at("locale", format!("there are no texts in '{}': use en or ru", table.locale)));
    }
    if jiff::tz::TimeZone::get(&table.timezone).is_err() {
        let detail = format!("'{}' is no IANA time zone: write something like Europe/Berlin", table.timezone);
        return Err(at("timezone", detail));
    }
    let quiet_hours = table.quiet_hours.as_ref().map(|text| text.parse()).transpose();
    let at_most = table.at_most.as_ref().map(|text| text.parse()).transpose();
    Ok(Recipient {
        id,
        locale: table.locale.clone(),
        timezone: table.timezone.clone(),
        quiet_hours: quiet_hours
            .map_err(|error: domain::quiet::BadQuietHours| at("quiet_hours", error.to_string()))?,
        at_most: at_most.map_err(|error: domain::budget::BadBudget| at("at_most", error.to_string()))?,
        from_file,
    })
}

/// A target from its table.
///
/// # Errors
/// One sentence that names the key and the mend.
pub fn target(
    recipient: &Recipient,
    table: &TargetTable,
    from_file: bool,
    section: &Channels,
) -> Result<Target, ConfigError> {
    let key = format!("recipient '{}': target '{}'", recipient.id, table.name);
    let named = |error: domain::ids::BadName| ConfigError::key(&format!("{key}: name"), error.to_string());
    let target = Target {
        recipient: recipient.id.clone(),
        name: table.name.parse().map_err(named)?,
        url: TargetUrl::new(&table.url),
        secrets: table.secrets.iter().map(Secret::new).collect(),
        from_file,
    };
    channels::check(&section.webhook(), &target).map_err(|detail| ConfigError::key(&key, detail))?;
    Ok(target)
}

pub(super) fn watches(raw: &Raw, recipients: &[Recipient]) -> Result<Vec<Watch>, ConfigError> {
    let mut watches: Vec<Watch> = Vec::with_capacity(raw.watch.len());
    for table in &raw.watch {
        let watch = watch(table, true)?;
        let key = format!("watch '{}'", watch.id);
        if watches.iter().any(|known| known.id == watch.id) {
            return Err(ConfigError::key(&key, "two watches have this id: rename one".to_owned()));
        }
        if !recipients.iter().any(|recipient| recipient.id == watch.recipient) {
            let known: Vec<_> = recipients.iter().map(|recipient| recipient.id.as_str()).collect();
            let mend = suggest::mend(watch.recipient.as_str(), &known, "the recipients are");
            let detail = format!("there is no recipient '{}' in this file; {mend}", watch.recipient);
            return Err(ConfigError::key(&format!("{key}: recipient"), detail));
        }
        watches.push(watch);
    }
    Ok(watches)
}

/// A watch from its table.
///
/// # Errors
/// One sentence that names the key and the mend. What only the ABI can tell, `domain::matching::validate` does.
pub fn watch(table: &WatchTable, from_file: bool) -> Result<Watch, ConfigError> {
    let at = |key: &str, detail: String| ConfigError::key(&format!("watch '{}': {key}", table.id), detail);
    let named = |key: &'static str| move |e: domain::ids::BadName| ConfigError::key(key, e.to_string());
    let deliver_at = match &table.deliver_at {
        None => DeliverAt::Seen,
        Some(NumberOrWord::Number(blocks)) => DeliverAt::Depth(*blocks),
        Some(NumberOrWord::Word(word)) => {
            word.parse().map_err(|e: domain::watch::BadDeliverAt| at("deliver_at", e.to_string()))?
        }
    };
    Ok(Watch {
        id: table.id.parse().map_err(named("watch.id"))?,
        recipient: table.recipient.parse().map_err(named("watch.recipient"))?,
        contract: table.contract.parse().map_err(named("watch.contract"))?,
        event: table.event.clone(),
        filter: table.filter.clone(),
        strategy: strategy(table)?,
        telling: telling(table)?,
        deliver_at,
        paused: table.paused,
        from_file,
    })
}

fn strategy(table: &WatchTable) -> Result<Strategy, ConfigError> {
    let at = |key: &str, detail: String| ConfigError::key(&format!("watch '{}': {key}", table.id), detail);
    let windowed = [
        ("window", table.window.is_some()),
        ("max_wait", table.max_wait.is_some()),
        ("max_count", table.max_count.is_some()),
        ("slide", table.slide),
    ];
    let gathering = [
        ("leading", table.leading),
        ("schedule", table.schedule.is_some()),
        ("group_by", table.group_by.is_some()),
    ];
    match table.strategy.as_deref() {
        None | Some("immediate") => match windowed.iter().chain(&gathering).find(|(_, given)| *given) {
            Some((key, _)) => {
                Err(at(key, "an immediate watch has no window: set strategy = \"digest\"".to_owned()))
            }
            None => Ok(Strategy::Immediate),
        },
        Some("digest") => {
            let unscheduled = windowed.iter().chain(&gathering[..1]).find(|(_, given)| *given);
            if let (Some(_), Some((key, _))) = (&table.schedule, unscheduled) {
                let detail = "a digest with a schedule is told at its times only: leave it or schedule out";
                return Err(at(key, detail.to_owned()));
            }
            for (key, span) in [("window", &table.window), ("max_wait", &table.max_wait)] {
                if let Some(span) = span {
                    bounds::WINDOW.hold(span).map_err(|detail| at(key, detail))?;
                }
            }
            let window = table.window.as_ref().map_or(WINDOW, |span| span.0);
            let max_wait = table.max_wait.as_ref().map_or_else(|| MAX_WAIT.max(window), |span| span.0);
            if max_wait < window {
                return Err(at("max_wait", "it is shorter than window: make it at least as long".to_owned()));
            }
            let max_count = table.max_count.unwrap_or(MAX_COUNT);
            if max_count == 0 {
                return Err(at("max_count", "a window closes at 1 hit or more: raise it".to_owned()));
            }
            Ok(Strategy::Digest(WindowRule { window, max_wait, max_count, slide: table.slide }))
        }
        Some(other) => Err(at("strategy", format!("'{other}' is no strategy: use immediate or digest"))),
    }
}

fn telling(table: &WatchTable) -> Result<Telling, ConfigError> {
    let at = |key: &str, detail: String| ConfigError::key(&format!("watch '{}': {key}", table.id), detail);
    let schedule = table.schedule.as_ref().map(|text| text.parse()).transpose();
    let mut group_by = match &table.group_by {
        None => Vec::new(),
        Some(OneOrMany::One(name)) => vec![name.clone()],
        Some(OneOrMany::Many(names)) => names.clone(),
    };
    let given = group_by.len();
    group_by.retain(|name| !name.trim().is_empty());
    if table.group_by.is_some() && (group_by.len() != given || given == 0) {
        return Err(at("group_by", "a name is missing: write address, tx_hash or parameters".to_owned()));
    }
    if given > GROUPS_MAX {
        return Err(at("group_by", format!("it has {given} names: leave {GROUPS_MAX} at most")));
    }
    let spam = match table.spam.as_deref() {
        None => Spam::default(),
        Some(word) => Spam::parse(word).ok_or_else(|| {
            let mend = suggest::mend(word, &Spam::WORDS, "the words are");
            at("spam", format!("'{word}' says nothing about spam; {mend}"))
        })?,
    };
    Ok(Telling {
        leading: table.leading,
        schedule: schedule
            .map_err(|error: domain::schedule::BadSchedule| at("schedule", error.to_string()))?,
        group_by,
        critical: table.critical,
        spam,
    })
}
