-- The SQLite dialect of postgres/0009_reading.sql, where the comments are.

CREATE TABLE provider_limit (
    chain_id      integer NOT NULL,
    url_key       text    NOT NULL,
    url           text    NOT NULL,
    range_granted integer,
    range_refused integer,
    range_lasts   integer,
    batch_granted integer,
    batch_refused integer,
    batch_lasts   integer,
    updated_at    integer NOT NULL,
    CONSTRAINT one_row_of_limits_per_url PRIMARY KEY (chain_id, url_key),
    CONSTRAINT range_limit_is_whole CHECK ((range_granted IS NULL) = (range_refused IS NULL) AND (range_granted IS NULL) = (range_lasts IS NULL)),
    CONSTRAINT batch_limit_is_whole CHECK ((batch_granted IS NULL) = (batch_refused IS NULL) AND (batch_granted IS NULL) = (batch_lasts IS NULL)),
    CONSTRAINT limit_lies_below_what_was_refused CHECK (range_granted < range_refused AND batch_granted < batch_refused)
);

CREATE TABLE unproved_block (
    chain_id     integer  NOT NULL,
    block_number integer  NOT NULL,
    reason       text     NOT NULL,
    method       integer,
    audited_at   integer  NOT NULL,
    CONSTRAINT one_row_per_unproved_block PRIMARY KEY (chain_id, block_number),
    CONSTRAINT unproved_block_has_a_known_method CHECK (method IN (1, 2, 3, 4))
);

CREATE TABLE standstill (
    chain_id     integer  NOT NULL,
    part         integer  NOT NULL,
    block_number integer  NOT NULL,
    reason       text     NOT NULL,
    since        integer  NOT NULL,
    updated_at   integer  NOT NULL,
    CONSTRAINT one_standstill_per_part PRIMARY KEY (chain_id, part),
    CONSTRAINT part_that_stands_still_is_known CHECK (part IN (1, 2))
);
