-- The SQLite dialect of postgres/0006_outbox_blocks.sql, where the comments are.

ALTER TABLE outbox ADD COLUMN chain_id integer;
ALTER TABLE outbox ADD COLUMN block_number integer;
ALTER TABLE outbox ADD COLUMN block_hash blob;
ALTER TABLE outbox ADD COLUMN lifecycle integer
    CONSTRAINT lifecycle_is_seen_or_finalized CHECK (lifecycle IN (0, 1));
ALTER TABLE outbox ADD COLUMN turn integer;
ALTER TABLE outbox ADD COLUMN log_indexes text
    CONSTRAINT outbox_row_is_a_message_or_a_block CHECK (
        (chain_id IS NOT NULL) + (block_number IS NOT NULL) + (block_hash IS NOT NULL) + (lifecycle IS NOT NULL)
            + (turn IS NOT NULL) + (log_indexes IS NOT NULL) = CASE payload WHEN '' THEN 6 ELSE 0 END
    );
ALTER TABLE outbox ADD COLUMN messages integer NOT NULL DEFAULT 1
    CONSTRAINT outbox_row_is_a_message_at_least CHECK (messages > 0);
