-- What ingest needs on chains that misbehave: halts, children of factories, contracts that change or pause, finality told
-- once, audits, replays that resume, and what is thought of each provider.

ALTER TABLE chain
    ADD COLUMN halted         text,
    ADD COLUMN finalized_told bigint,
    ADD CONSTRAINT only_final_blocks_are_told_final CHECK (finalized_told <= finalized_number);
COMMENT ON COLUMN chain.halted IS 'Why ingest stopped and waits for a person; null while it goes on.';
COMMENT ON COLUMN chain.finalized_told IS 'The block up to which events were told to be final; null: followed from before, and not begun.';

ALTER TABLE contract
    ADD COLUMN fingerprint text   NOT NULL DEFAULT '',
    ADD COLUMN absent_from bigint;
COMMENT ON COLUMN contract.fingerprint IS 'Of addresses, events and factory: another one means that the past must be read again. Empty: from before fingerprints.';
COMMENT ON COLUMN contract.absent_from IS 'The first block that was read without this contract; null while it is configured.';

ALTER TABLE event ADD COLUMN published boolean NOT NULL DEFAULT true;
COMMENT ON COLUMN event.published IS 'Whether it was told as seen, and so must be told as final. Rows from before count as told.';

CREATE TABLE child (
    chain_id     bigint  NOT NULL,
    contract_id  integer NOT NULL,
    address      bytea   NOT NULL,
    block_number bigint  NOT NULL,
    block_hash   bytea   NOT NULL,
    canonical    boolean NOT NULL DEFAULT true,
    CONSTRAINT one_row_per_child_and_block PRIMARY KEY (chain_id, contract_id, address, block_number, block_hash),
    CONSTRAINT child_address_is_20_bytes CHECK (octet_length(address) = 20)
);
CREATE INDEX canonical_children_by_block ON child (chain_id, block_number, address, contract_id) WHERE canonical;
COMMENT ON TABLE child IS 'Addresses that factories made. Ones whose creation left the chain stay, marked.';
COMMENT ON COLUMN child.contract_id IS 'The contract whose addresses these are, not the factory.';

CREATE TABLE audit (
    id         bigint GENERATED ALWAYS AS IDENTITY,
    chain_id   bigint   NOT NULL,
    from_block bigint   NOT NULL,
    to_block   bigint   NOT NULL,
    method     smallint NOT NULL,
    contracts  text     NOT NULL,
    missing    bigint   NOT NULL,
    extra      bigint   NOT NULL,
    different  bigint   NOT NULL,
    repaired   bigint   NOT NULL,
    provider   text     NOT NULL,
    audited_at bigint   NOT NULL,
    CONSTRAINT one_row_per_audit PRIMARY KEY (id),
    CONSTRAINT audited_range_has_blocks CHECK (from_block <= to_block),
    CONSTRAINT audit_method_is_known CHECK (method IN (1, 2, 3, 4)),
    CONSTRAINT audit_counts_are_not_negative CHECK (missing >= 0 AND extra >= 0 AND different >= 0 AND repaired >= 0)
);
CREATE INDEX audits_of_a_set_of_contracts ON audit (chain_id, contracts, id);
COMMENT ON TABLE audit IS 'Which blocks were read a second time, how, and what that showed. A later row replaces earlier ones of its blocks.';
COMMENT ON COLUMN audit.method IS '1 receipts against the root, 2 receipts on the node''s word, 3 another provider, 4 the same provider again.';
COMMENT ON COLUMN audit.contracts IS 'Fingerprint of the set of contracts that was audited: another set proves nothing about this one.';

CREATE TABLE replay (
    id         uuid     NOT NULL,
    chain_id   bigint   NOT NULL,
    from_block bigint   NOT NULL,
    to_block   bigint   NOT NULL,
    next_block bigint   NOT NULL,
    contract   text,
    publish    boolean  NOT NULL,
    notify     boolean  NOT NULL,
    read       bigint   NOT NULL DEFAULT 0,
    added      bigint   NOT NULL DEFAULT 0,
    state      smallint NOT NULL DEFAULT 0,
    started_at bigint   NOT NULL,
    updated_at bigint   NOT NULL,
    CONSTRAINT one_row_per_replay PRIMARY KEY (id),
    CONSTRAINT replayed_range_has_blocks CHECK (from_block <= to_block),
    CONSTRAINT replay_is_within_its_range CHECK (next_block BETWEEN from_block AND to_block + 1),
    CONSTRAINT replay_state_is_known CHECK (state IN (0, 1, 2))
);
CREATE UNIQUE INDEX one_running_replay_per_plan
    ON replay (chain_id, from_block, to_block, coalesce(contract, ''), publish, notify) WHERE state = 0;
COMMENT ON COLUMN replay.next_block IS 'The next block to read: moves in the transaction of what was read before it.';
COMMENT ON COLUMN replay.read IS 'How many events were read.';
COMMENT ON COLUMN replay.added IS 'How many of them were missing.';
COMMENT ON COLUMN replay.state IS '0 running, 1 done, 2 cancelled.';

CREATE TABLE provider (
    chain_id          bigint   NOT NULL,
    position          integer  NOT NULL,
    url               text     NOT NULL,
    score             smallint NOT NULL,
    pinned            boolean  NOT NULL,
    lag_blocks        bigint   NOT NULL,
    errors            bigint   NOT NULL,
    lies              bigint   NOT NULL,
    quarantined_until bigint,
    why               text,
    latency_ms        bigint,
    concurrency       bigint   NOT NULL,
    updated_at        bigint   NOT NULL,
    CONSTRAINT one_row_per_provider PRIMARY KEY (chain_id, position),
    CONSTRAINT score_is_a_percentage CHECK (score BETWEEN 0 AND 100)
);
COMMENT ON TABLE provider IS 'What the ingest of a chain thinks of each URL, for status. Two URLs that differ in their key look alike here, so the place identifies.';
COMMENT ON COLUMN provider.url IS 'Redacted.';
