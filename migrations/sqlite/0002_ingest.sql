-- The SQLite dialect of postgres/0002_ingest.sql, where the comments are.

ALTER TABLE chain ADD COLUMN halted text;
ALTER TABLE chain ADD COLUMN finalized_told integer
    CONSTRAINT only_final_blocks_are_told_final CHECK (finalized_told <= finalized_number);

ALTER TABLE contract ADD COLUMN fingerprint text NOT NULL DEFAULT '';
ALTER TABLE contract ADD COLUMN absent_from integer;

ALTER TABLE event ADD COLUMN published boolean NOT NULL DEFAULT 1;

CREATE TABLE child (
    chain_id     integer NOT NULL,
    contract_id  integer NOT NULL,
    address      blob    NOT NULL,
    block_number integer NOT NULL,
    block_hash   blob    NOT NULL,
    canonical    boolean NOT NULL DEFAULT 1,
    CONSTRAINT one_row_per_child_and_block PRIMARY KEY (chain_id, contract_id, address, block_number, block_hash),
    CONSTRAINT child_address_is_20_bytes CHECK (length(address) = 20)
);
CREATE INDEX canonical_children_by_block ON child (chain_id, block_number, address, contract_id) WHERE canonical;

CREATE TABLE audit (
    id         integer PRIMARY KEY AUTOINCREMENT,
    chain_id   integer NOT NULL,
    from_block integer NOT NULL,
    to_block   integer NOT NULL,
    method     integer NOT NULL,
    contracts  text    NOT NULL,
    missing    integer NOT NULL,
    extra      integer NOT NULL,
    different  integer NOT NULL,
    repaired   integer NOT NULL,
    provider   text    NOT NULL,
    audited_at integer NOT NULL,
    CONSTRAINT audited_range_has_blocks CHECK (from_block <= to_block),
    CONSTRAINT audit_method_is_known CHECK (method IN (1, 2, 3, 4)),
    CONSTRAINT audit_counts_are_not_negative CHECK (missing >= 0 AND extra >= 0 AND different >= 0 AND repaired >= 0)
);
CREATE INDEX audits_of_a_set_of_contracts ON audit (chain_id, contracts, id);

CREATE TABLE replay (
    id         blob    NOT NULL,
    chain_id   integer NOT NULL,
    from_block integer NOT NULL,
    to_block   integer NOT NULL,
    next_block integer NOT NULL,
    contract   text,
    publish    boolean NOT NULL,
    notify     boolean NOT NULL,
    read       integer NOT NULL DEFAULT 0,
    added      integer NOT NULL DEFAULT 0,
    state      integer NOT NULL DEFAULT 0,
    started_at integer NOT NULL,
    updated_at integer NOT NULL,
    CONSTRAINT one_row_per_replay PRIMARY KEY (id),
    CONSTRAINT replayed_range_has_blocks CHECK (from_block <= to_block),
    CONSTRAINT replay_is_within_its_range CHECK (next_block BETWEEN from_block AND to_block + 1),
    CONSTRAINT replay_state_is_known CHECK (state IN (0, 1, 2))
);
CREATE UNIQUE INDEX one_running_replay_per_plan
    ON replay (chain_id, from_block, to_block, coalesce(contract, ''), publish, notify) WHERE state = 0;

CREATE TABLE provider (
    chain_id          integer NOT NULL,
    position          integer NOT NULL,
    url               text    NOT NULL,
    score             integer NOT NULL,
    pinned            boolean NOT NULL,
    lag_blocks        integer NOT NULL,
    errors            integer NOT NULL,
    lies              integer NOT NULL,
    quarantined_until integer,
    why               text,
    latency_ms        integer,
    concurrency       integer NOT NULL,
    updated_at        integer NOT NULL,
    CONSTRAINT one_row_per_provider PRIMARY KEY (chain_id, position),
    CONSTRAINT score_is_a_percentage CHECK (score BETWEEN 0 AND 100)
);
