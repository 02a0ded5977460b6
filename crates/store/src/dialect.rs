//! What the two dialects write differently inside one statement: lists, row locks and a few functions. Must not know any
//! table.

/// The two dialects of SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Postgres,
    Sqlite,
}

impl Dialect {
    pub(crate) const fn is_postgres(self) -> bool {
        matches!(self, Self::Postgres)
    }

    /// The statement in this dialect. Marks: `{uuids:N}`, `{numbers:N}`, `{texts:N}` for "is in the list bound as `$N`";
    /// `{lock}`, `{skip locked}`, `{share}` and `{share of T}` for the row locks that SQLite, with its one writer, does
    /// not need; `{greatest}` for the function that gives the greatest of several values.
    pub(crate) fn sql(self, template: &str) -> String {
        let mut text = String::with_capacity(template.len() + 64);
        let mut rest = template;
        while let Some(start) = rest.find('{') {
            let Some(length) = rest[start..].find('}') else { break };
            text.push_str(&rest[..start]);
            text.push_str(&self.mark(&rest[start + 1..start + length]));
            rest = &rest[start + length + 1..];
        }
        text.push_str(rest);
        text
    }

    fn mark(self, mark: &str) -> String {
        match (self, mark.split_once(':')) {
            (Self::Postgres, Some(("uuids" | "numbers" | "texts", number))) => format!("= ANY(${number})"),
            (Self::Sqlite, Some(("uuids", number))) => {
                format!("IN (SELECT unhex(value) FROM json_each(${number}))")
            }
            (Self::Sqlite, Some(("numbers" | "texts", number))) => {
                format!("IN (SELECT value FROM json_each(${number}))")
            }
            _ => self.word(mark),
        }
    }

    fn word(self, mark: &str) -> String {
        match (self, mark) {
            (Self::Postgres, "lock") => "FOR UPDATE".to_owned(),
            (Self::Postgres, "skip locked") => "FOR UPDATE SKIP LOCKED".to_owned(),
            (Self::Postgres, "share") => "FOR SHARE".to_owned(),
            (Self::Postgres, "greatest") => "GREATEST".to_owned(),
            (Self::Sqlite, "greatest") => "MAX".to_owned(),
            (Self::Sqlite, "lock" | "skip locked" | "share") => String::new(),
            (dialect, _) => match (dialect, mark.strip_prefix("share of ")) {
                (Self::Postgres, Some(table)) => format!("FOR SHARE OF {table}"),
                (Self::Sqlite, Some(_)) => String::new(),
                // Not a mark.
                (_, None) => format!("{{{mark}}}"),
            },
        }
    }
}
