-- The events of a new block are one row of the ledger of unmatched events while nobody has matched any of them.

CREATE TABLE unmatched_block (
    chain_id     bigint  NOT NULL,
    block_number bigint  NOT NULL,
    block_hash   bytea   NOT NULL,
    since        bigint  NOT NULL,
    log_indexes  text    NOT NULL,
    events       integer NOT NULL,
    CONSTRAINT one_unmatched_row_per_block PRIMARY KEY (chain_id, block_number, block_hash),
    CONSTRAINT unmatched_block_has_events CHECK (events > 0)
);
CREATE INDEX unmatched_blocks_by_age ON unmatched_block (since);
COMMENT ON TABLE unmatched_block IS 'Blocks whose events were seen for the first time, none of which has been matched. Whoever matches some takes the row away and leaves rows of unmatched for the others.';
COMMENT ON COLUMN unmatched_block.since IS 'Milliseconds since the Unix epoch.';
COMMENT ON COLUMN unmatched_block.log_indexes IS 'Which of its events, as numbers with commas between.';
COMMENT ON COLUMN unmatched_block.events IS 'How many they are.';
