-- The SQLite dialect of postgres/0003_corrections.sql, where the comments are.

ALTER TABLE hit ADD COLUMN gone_since integer;
ALTER TABLE hit ADD COLUMN believed boolean NOT NULL DEFAULT 1;
CREATE INDEX hits_that_are_believed_wrongly ON hit (chain_id, gone_since)
    WHERE state = 'notified' AND believed = (gone_since IS NOT NULL);
CREATE INDEX hits_whose_event_is_gone ON hit (logical_id) WHERE gone_since IS NOT NULL;

CREATE UNIQUE INDEX one_correction_per_notification_and_revision ON notification (corrects, revision) WHERE corrects IS NOT NULL;
