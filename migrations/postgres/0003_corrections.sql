-- Corrections: what recipients were told, and whether the chain still says so.

ALTER TABLE hit
    ADD COLUMN gone_since bigint,
    ADD COLUMN believed   boolean NOT NULL DEFAULT true;
CREATE INDEX hits_that_are_believed_wrongly ON hit (chain_id, gone_since)
    WHERE state = 'notified' AND believed = (gone_since IS NOT NULL);
CREATE INDEX hits_whose_event_is_gone ON hit (logical_id) WHERE gone_since IS NOT NULL;
COMMENT ON COLUMN hit.gone_since IS 'Of a told hit: the tip''s height when its event left the chain and was in no other block; null while it is in the chain.';
COMMENT ON COLUMN hit.believed IS 'Of a told hit: whether the recipient was last told that it is so. A correction takes it back, a later one restores it.';

CREATE UNIQUE INDEX one_correction_per_notification_and_revision ON notification (corrects, revision) WHERE corrects IS NOT NULL;
COMMENT ON COLUMN notification.corrects IS 'The notification that this one corrects or takes back: always the first one, whatever was corrected before.';
