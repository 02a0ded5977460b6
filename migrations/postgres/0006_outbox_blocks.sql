-- What a whole block tells is one row of the outbox: its messages are made of its events when they are published.

ALTER TABLE outbox
    ADD COLUMN chain_id     bigint,
    ADD COLUMN block_number bigint,
    ADD COLUMN block_hash   bytea,
    ADD COLUMN lifecycle    smallint,
    ADD COLUMN turn         integer,
    ADD COLUMN log_indexes  text,
    ADD COLUMN messages     integer NOT NULL DEFAULT 1,
    ADD CONSTRAINT outbox_row_is_a_message_or_a_block CHECK (
        num_nonnulls(chain_id, block_number, block_hash, lifecycle, turn, log_indexes) = CASE payload WHEN '' THEN 6 ELSE 0 END
    ),
    ADD CONSTRAINT lifecycle_is_seen_or_finalized CHECK (lifecycle IN (0, 1)),
    ADD CONSTRAINT outbox_row_is_a_message_at_least CHECK (messages > 0);
COMMENT ON COLUMN outbox.lifecycle IS 'Of a block: 0 its events were seen, 1 they became final.';
COMMENT ON COLUMN outbox.turn IS 'Of a block: how often these events had entered the canonical chain then.';
COMMENT ON COLUMN outbox.log_indexes IS 'Of a block: which of its events are told, as numbers with commas between.';
COMMENT ON COLUMN outbox.messages IS 'How many messages the row becomes.';
