-- The SQLite dialect of postgres/0008_unmatched_blocks.sql, where the comments are.

CREATE TABLE unmatched_block (
    chain_id     integer NOT NULL,
    block_number integer NOT NULL,
    block_hash   blob    NOT NULL,
    since        integer NOT NULL,
    log_indexes  text    NOT NULL,
    events       integer NOT NULL,
    CONSTRAINT one_unmatched_row_per_block PRIMARY KEY (chain_id, block_number, block_hash),
    CONSTRAINT unmatched_block_has_events CHECK (events > 0)
);
CREATE INDEX unmatched_blocks_by_age ON unmatched_block (since);
