//! Recipients and their targets.

use domain::{Recipient, RecipientId, Target, TargetName, TargetUrl, recipient::Secret};

use crate::{
    Store, StoreError,
    tx::{read, tx},
};

type RecipientRow = (String, String, String, Option<String>, Option<String>, bool);

const COLUMNS: &str = "id, locale, timezone, quiet_hours, at_most, from_file";
type TargetRow = (String, String, String, String, bool);

fn recipient(
    (id, locale, timezone, quiet_hours, at_most, from_file): RecipientRow,
) -> Result<Recipient, StoreError> {
    let corrupt = |error: &dyn std::fmt::Display| StoreError::corrupt("recipient", error);
    Ok(Recipient {
        id: id.parse().map_err(|error| corrupt(&error))?,
        locale,
        timezone,
        quiet_hours: quiet_hours.map(|text| text.parse().map_err(|error| corrupt(&error))).transpose()?,
        at_most: at_most.map(|text| text.parse().map_err(|error| corrupt(&error))).transpose()?,
        from_file,
    })
}

pub(crate) fn target((recipient, name, url, secrets, from_file): TargetRow) -> Result<Target, StoreError> {
    let secrets: Vec<Secret> =
        serde_json::from_str(&secrets).map_err(|error| StoreError::corrupt("target", error))?;
    Ok(Target {
        recipient: recipient.parse().map_err(|error| StoreError::corrupt("target", error))?,
        name: name.parse().map_err(|error| StoreError::corrupt("target", error))?,
        url: TargetUrl::new(url),
        secrets,
        from_file,
    })
}

impl Store {
    /// Adds or replaces recipients.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn put_recipients(&self, recipients: &[Recipient]) -> Result<(), StoreError> {
        tx!(self, "put_recipients", |tx| {
            for recipient in recipients {
                let statement =
                    "INSERT INTO recipient (id, locale, timezone, from_file, quiet_hours, at_most)
                    VALUES ($1, $2, $3, $4, $5, $6)
                    ON CONFLICT (id) DO UPDATE SET locale = excluded.locale, timezone = excluded.timezone,
                        quiet_hours = excluded.quiet_hours, at_most = excluded.at_most,
                        from_file = excluded.from_file";
                tx.query(statement)
                    .bind(recipient.id.as_str())
                    .bind(&recipient.locale)
                    .bind(&recipient.timezone)
                    .bind(recipient.from_file)
                    .bind(recipient.quiet_hours.map(|hours| hours.to_string()))
                    .bind(recipient.at_most.map(|budget| budget.to_string()))
                    .execute()
                    .await?;
            }
            Ok(())
        })
    }

    /// Adds or replaces targets.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when a target's recipient does not exist.
    pub async fn put_targets(&self, targets: &[Target]) -> Result<(), StoreError> {
        tx!(self, "put_targets", |tx| {
            for target in targets {
                let secrets = serde_json::to_string(&target.secrets)
                    .map_err(|error| StoreError::corrupt("target", error))?;
                let statement = "INSERT INTO target (recipient_id, name, url, secrets, from_file)
                    VALUES ($1, $2, $3, $4, $5)
                    ON CONFLICT (recipient_id, name) DO UPDATE SET url = excluded.url, secrets = excluded.secrets,
                        from_file = excluded.from_file";
                tx.query(statement)
                    .bind(target.recipient.as_str())
                    .bind(target.name.as_str())
                    .bind(target.url.expose())
                    .bind(secrets)
                    .bind(target.from_file)
                    .execute()
                    .await?;
            }
            Ok(())
        })
    }

    /// Removes a recipient with its targets; says whether there was one.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn remove_recipient(&self, id: &RecipientId) -> Result<bool, StoreError> {
        tx!(self, "remove_recipient", |tx| {
            let done = tx.query("DELETE FROM recipient WHERE id = $1").bind(id.as_str()).execute().await?;
            Ok(done > 0)
        })
    }

    /// Removes a target; says whether there was one.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn remove_target(
        &self,
        recipient: &RecipientId,
        name: &TargetName,
    ) -> Result<bool, StoreError> {
        tx!(self, "remove_target", |tx| {
            let done = tx
                .query("DELETE FROM target WHERE recipient_id = $1 AND name = $2")
                .bind(recipient.as_str())
                .bind(name.as_str())
                .execute()
                .await?;
            Ok(done > 0)
        })
    }

    /// All recipients, by id.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn recipients(&self) -> Result<Vec<Recipient>, StoreError> {
        let rows: Vec<RecipientRow> = read!(self, "recipients", |db| {
            let statement = format!("SELECT {COLUMNS} FROM recipient ORDER BY id");
            Ok(db.query(&statement).fetch_all().await?)
        })?;
        rows.into_iter().map(recipient).collect()
    }

    /// The recipients of these ids; one that does not exist is left out.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn recipients_by_id(&self, ids: &[RecipientId]) -> Result<Vec<Recipient>, StoreError> {
        let rows: Vec<RecipientRow> = read!(self, "recipients_by_id", |db| {
            let template = format!("SELECT {COLUMNS} FROM recipient WHERE id {{texts:1}}");
            Ok(db.query(&template).texts(ids.iter().map(|id| id.as_str().to_owned())).fetch_all().await?)
        })?;
        rows.into_iter().map(recipient).collect()
    }

    /// All targets of these recipients, by recipient and name.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn targets_of(&self, recipients: &[RecipientId]) -> Result<Vec<Target>, StoreError> {
        let rows: Vec<TargetRow> = read!(self, "targets_of", |db| {
            let statement = "SELECT recipient_id, name, url, secrets, from_file FROM target
                 WHERE recipient_id {texts:1} ORDER BY recipient_id, name";
            Ok(db
                .query(statement)
                .texts(recipients.iter().map(|id| id.as_str().to_owned()))
                .fetch_all()
                .await?)
        })?;
        rows.into_iter().map(target).collect()
    }

    /// Every target, by recipient and name.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn targets(&self) -> Result<Vec<Target>, StoreError> {
        let rows: Vec<TargetRow> = read!(self, "targets", |db| {
            let statement =
                "SELECT recipient_id, name, url, secrets, from_file FROM target ORDER BY recipient_id, name";
            Ok(db.query(statement).fetch_all().await?)
        })?;
        rows.into_iter().map(target).collect()
    }
}
