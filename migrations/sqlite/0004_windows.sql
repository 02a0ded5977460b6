-- The SQLite dialect of postgres/0004_windows.sql, where the comments are.

ALTER TABLE hit ADD COLUMN group_key text NOT NULL DEFAULT ''
    CONSTRAINT group_key_is_short CHECK (length(group_key) <= 250);
ALTER TABLE hit ADD COLUMN held text
    CONSTRAINT reason_to_hold_a_hit_is_known CHECK (held IN ('quiet_hours', 'budget'));

ALTER TABLE recipient ADD COLUMN quiet_hours text;
ALTER TABLE recipient ADD COLUMN at_most text;

CREATE TABLE window_lead (
    window_key text    NOT NULL,
    leader     blob    NOT NULL,
    opened     integer NOT NULL,
    closes     integer NOT NULL,
    until      integer NOT NULL,
    CONSTRAINT one_leader_per_window PRIMARY KEY (window_key)
);
CREATE INDEX leads_by_their_end ON window_lead (until);

CREATE TABLE attention (
    recipient_id text    NOT NULL,
    period       integer NOT NULL,
    spent        integer NOT NULL,
    CONSTRAINT one_budget_per_recipient PRIMARY KEY (recipient_id),
    CONSTRAINT spent_is_not_negative CHECK (spent >= 0)
);

CREATE TABLE window_held (
    window_key   text    NOT NULL,
    recipient_id text    NOT NULL,
    since        integer NOT NULL,
    due          integer NOT NULL,
    CONSTRAINT one_row_per_held_window PRIMARY KEY (window_key)
);
CREATE INDEX held_windows_of_a_recipient ON window_held (recipient_id, since);
CREATE INDEX held_windows_by_due_time ON window_held (due);
