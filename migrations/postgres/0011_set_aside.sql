-- Since when a lease and a delivery's waiting hold, so that a clock that was ahead is found out; and what a room could not
-- handle.

ALTER TABLE lease ADD COLUMN since bigint;
ALTER TABLE delivery ADD COLUMN noted_at bigint;

CREATE TABLE set_aside (
    room     text    NOT NULL,
    item     text    NOT NULL,
    reason   text    NOT NULL,
    tries    integer NOT NULL,
    since    bigint NOT NULL,
    noted_at bigint NOT NULL,
    next_try bigint NOT NULL,
    CONSTRAINT one_row_per_room_and_item_set_aside PRIMARY KEY (room, item),
    CONSTRAINT item_set_aside_was_tried CHECK (tries > 0)
);
COMMENT ON COLUMN lease.since IS 'When its present owner took it.';
COMMENT ON COLUMN delivery.noted_at IS 'When next_attempt_at was last written: what is left of a wait is never longer than the wait.';
COMMENT ON TABLE set_aside IS 'What a room could not handle, through no fault of a server: it is tried again by itself, with growing pauses, and the rest goes on.';
COMMENT ON COLUMN set_aside.item IS 'Which event, hit, notification or watch, as the room names it.';
