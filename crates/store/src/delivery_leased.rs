//! Deliveries that were just leased, made ready to be sent. Owns that one which cannot be made ready keeps no other waiting; must
//! not know how a lease is taken.

use std::collections::HashSet;

use domain::{Delivery, DeliveryId, DeliveryState, Notification};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    LeasedDelivery, Store, StoreError,
    aside::plain,
    correction::{OUTDATED, PUT_OFF, Standing},
    delivery::{Row, from_row},
    tx::{read, tx},
};

/// The room of which a delivery is set aside.
const ROOM: &str = "deliver";

// How a delivery is named where it is set aside.
fn item(id: Uuid) -> String {
    format!("delivery {id}")
}

impl Store {
    pub(crate) async fn leased(
        &self,
        rows: Vec<Row>,
        owner: &str,
        now: Timestamp,
    ) -> Result<Vec<LeasedDelivery>, StoreError> {
        let mut both = Vec::with_capacity(rows.len());
        // What rested before has a reason, and so have others.
        let mut rested = Vec::new();
        for row in rows {
            let id = row.id;
            if row.reason.is_some() {
                rested.push(id);
            }
            match self.with_notification(row).await {
                Ok(found) => both.push(found),
                Err(error) if error.is_about_data() => self.rest_delivery(id, owner, &error, now).await?,
                Err(error) => return Err(error),
            }
        }
        // An outdated one gives its lease back before a later one asks whether it is the first there.
        both.sort_by_key(|(_, notification)| notification.revision);
        let mut leased = Vec::with_capacity(both.len());
        let mut ready_now = HashSet::new();
        for (delivery, notification) in both {
            let DeliveryId(id) = delivery.id;
            match self.made_ready(delivery, notification, owner, now).await {
                Ok(ready) => {
                    leased.extend(ready);
                    ready_now.insert(id);
                }
                Err(error) if error.is_about_data() => self.rest_delivery(id, owner, &error, now).await?,
                Err(error) => return Err(error),
            }
        }
        rested.retain(|id| ready_now.contains(id));
        if !rested.is_empty() {
            let over: Vec<_> = rested.into_iter().map(item).collect();
            self.take_back(ROOM, &over).await?;
        }
        Ok(leased)
    }

    async fn with_notification(&self, row: Row) -> Result<(Delivery, Notification), StoreError> {
        let delivery = from_row(row)?;
        let notification = self.notification(delivery.notification).await?;
        let notification =
            notification.ok_or_else(|| StoreError::corrupt("delivery", "it has no notification"))?;
        Ok((delivery, notification))
    }

    // What the chain took back is not sent any more, and what it may give back is not sent yet.
    async fn made_ready(
        &self,
        delivery: Delivery,
        notification: Notification,
        owner: &str,
        now: Timestamp,
    ) -> Result<Option<LeasedDelivery>, StoreError> {
        match self.standing(&notification).await? {
            Standing::Good => {}
            Standing::Outdated => {
                self.give_back(&delivery, owner, DeliveryState::Suppressed, OUTDATED, (now, now)).await?;
                return Ok(None);
            }
            Standing::Doubtful => {
                let later = now.saturating_add(PUT_OFF).unwrap_or(now);
                let why = "an event of it left the chain: waiting whether it comes back";
                self.give_back(&delivery, owner, DeliveryState::Scheduled, why, (now, later)).await?;
                return Ok(None);
            }
        }
        let first = self.is_first_there(&notification, &delivery).await?;
        let targets = self.targets_of(std::slice::from_ref(&delivery.recipient)).await?;
        let target = targets.into_iter().find(|target| target.name == delivery.target);
        Ok(Some(LeasedDelivery { delivery, notification, target, first }))
    }

    // It is set aside as what a room cannot handle is; the room finds it by its row.
    async fn rest_delivery(
        &self,
        id: Uuid,
        owner: &str,
        why: &StoreError,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        tracing::error!(delivery = %id, "it cannot be made ready and rests, the others go on: {why}");
        let why = plain(&why.to_string());
        let next = self.set_aside(ROOM, &item(id), &why, now).await?;
        tx!(self, "rest_delivery", |tx| {
            let statement = "UPDATE delivery SET state = 'scheduled', reason = $3, noted_at = $4,
                    lease_owner = NULL, lease_until = NULL, next_attempt_at = $5
                WHERE id = $1 AND lease_owner = $2 AND state IN ('queued', 'scheduled')";
            tx.query(statement)
                .bind(id)
                .bind(owner)
                .bind(&why)
                .bind(now.as_millisecond())
                .bind(next.as_millisecond())
                .execute()
                .await?;
            Ok(())
        })
    }

    // One whose try has no end yet may have got through. It stays so: whether it ends or its lease does, it was a try. So
    // what is sent twice under one id says the same of itself both times.
    async fn is_first_there(
        &self,
        notification: &Notification,
        delivery: &Delivery,
    ) -> Result<bool, StoreError> {
        let Some(first) = notification.corrects else { return Ok(true) };
        let before: bool = read!(self, "is_first_there", |db| {
            let statement =
                "SELECT EXISTS (SELECT 1 FROM delivery d JOIN notification n ON n.id = d.notification_id
                WHERE (n.id = $1 OR n.corrects = $1) AND d.target = $2 AND d.id <> $3
                    AND (d.state = 'delivered' OR d.attempts > 0 OR d.lease_until IS NOT NULL))";
            Ok(db
                .query(statement)
                .bind(first.0)
                .bind(delivery.target.as_str())
                .bind(delivery.id.0)
                .scalar()
                .await?)
        })?;
        Ok(!before)
    }
}
