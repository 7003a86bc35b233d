-- The outbox: what happened, on its way to the broker and the webhooks.

-- name: tell
-- Write events of a show whose inventory row is locked, or new, in the transaction that makes them true.
-- $1: show id. $2: how many events. $3: the events.
WITH counted AS (
    UPDATE inventory SET told_events = told_events + $2::integer WHERE show_id = $1
    RETURNING show_id, told_events - $2::integer + 1 AS seq, version
)
INSERT INTO outbox (show_id, seq, events, version, at, body)
SELECT show_id, seq, $2::integer, version, clock_timestamp(), $3 FROM counted
