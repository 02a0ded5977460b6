-- What was learned while a chain was read: how much each URL takes at once, which final blocks no receipts prove, and
-- what stands still and why.

CREATE TABLE provider_limit (
    chain_id      bigint  NOT NULL,
    url_key       text    NOT NULL,
    url           text    NOT NULL,
    range_granted bigint,
    range_refused bigint,
    range_lasts   integer,
    batch_granted bigint,
    batch_refused bigint,
    batch_lasts   integer,
    updated_at    bigint  NOT NULL,
    CONSTRAINT one_row_of_limits_per_url PRIMARY KEY (chain_id, url_key),
    CONSTRAINT range_limit_is_whole CHECK ((range_granted IS NULL) = (range_refused IS NULL) AND (range_granted IS NULL) = (range_lasts IS NULL)),
    CONSTRAINT batch_limit_is_whole CHECK ((batch_granted IS NULL) = (batch_refused IS NULL) AND (batch_granted IS NULL) = (batch_lasts IS NULL)),
    CONSTRAINT limit_lies_below_what_was_refused CHECK (range_granted < range_refused AND batch_granted < batch_refused)
);
COMMENT ON TABLE provider_limit IS 'How much each URL of a chain takes at once, as learned from its refusals: blocks in a range, questions in a message.';
COMMENT ON COLUMN provider_limit.url_key IS 'The redacted URL and 16 bits of a hash, which tell two keys of one provider apart.';
COMMENT ON COLUMN provider_limit.range_granted IS 'The most that was granted.';
COMMENT ON COLUMN provider_limit.range_refused IS 'The least that was refused.';
COMMENT ON COLUMN provider_limit.range_lasts IS 'After so many grants more is tried again.';
COMMENT ON COLUMN provider_limit.updated_at IS 'Milliseconds since the Unix epoch.';

CREATE TABLE unproved_block (
    chain_id     bigint   NOT NULL,
    block_number bigint   NOT NULL,
    reason       text     NOT NULL,
    method       smallint,
    audited_at   bigint   NOT NULL,
    CONSTRAINT one_row_per_unproved_block PRIMARY KEY (chain_id, block_number),
    CONSTRAINT unproved_block_has_a_known_method CHECK (method IN (1, 2, 3, 4))
);
COMMENT ON TABLE unproved_block IS 'Final blocks that an audit could not prove by their receipts though the node gives receipts; the newest of each chain.';
COMMENT ON COLUMN unproved_block.method IS 'How it was checked instead, as audit.method; null where it could not be checked at all.';
COMMENT ON COLUMN unproved_block.audited_at IS 'Milliseconds since the Unix epoch.';

CREATE TABLE standstill (
    chain_id     bigint   NOT NULL,
    part         smallint NOT NULL,
    block_number bigint   NOT NULL,
    reason       text     NOT NULL,
    since        bigint   NOT NULL,
    updated_at   bigint   NOT NULL,
    CONSTRAINT one_standstill_per_part PRIMARY KEY (chain_id, part),
    CONSTRAINT part_that_stands_still_is_known CHECK (part IN (1, 2))
);
COMMENT ON TABLE standstill IS 'What goes on beside the live chain and cannot: reading the past, the audit. The live chain goes on.';
COMMENT ON COLUMN standstill.part IS '1 the past, 2 the audit.';
COMMENT ON COLUMN standstill.block_number IS 'The block that is tried again and again.';
COMMENT ON COLUMN standstill.since IS 'Milliseconds since the Unix epoch.';
COMMENT ON COLUMN standstill.updated_at IS 'Milliseconds since the Unix epoch.';
