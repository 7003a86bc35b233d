-- name: add
-- Put a request at the end of its show's line. $1: show id. $2: booking id. $3: user id. $4: the request. $5: its hash.
-- Returns when; nothing where a request of that id waits already.
WITH queue AS (
    INSERT INTO booking_queues (show_id) VALUES ($1::bigint) ON CONFLICT DO NOTHING
)
INSERT INTO booking_requests (show_id, id, user_id, request, request_hash)
VALUES ($1::bigint, $2::uuid, $3::text, $4::bytea, $5::bytea)
ON CONFLICT DO NOTHING
RETURNING queued_at

-- name: find
-- One request that waits, or is a dead letter. $1: show id. $2: booking id.
SELECT id, user_id, request, request_hash, queued_at
FROM booking_requests
WHERE show_id = $1 AND id = $2

-- name: was_pruned
-- Whether a queued booking failed, and was pruned. $1: show id. $2: booking id.
SELECT EXISTS (SELECT FROM pruned_requests WHERE show_id = $1 AND id = $2)

-- name: remember_pruned
-- Keep the ids of queued bookings that are pruned. $1: show ids. $2: booking ids.
INSERT INTO pruned_requests (show_id, id)
SELECT show_id, id FROM unnest($1::bigint[], $2::uuid[]) AS pruned (show_id, id)
ON CONFLICT DO NOTHING

-- name: claim
-- Lock the queue of a show that has requests waiting, and that nobody else has locked: the first one after $1, or else
-- from the beginning. A flash sale can't keep other shows waiting that way.
-- The shows are found by jumping along the index, from one to the next.
WITH RECURSIVE waiting AS (
    (SELECT show_id FROM booking_requests WHERE dead_at IS NULL ORDER BY show_id LIMIT 1)
    UNION ALL
    SELECT (SELECT r.show_id FROM booking_requests r
            WHERE r.dead_at IS NULL AND r.show_id > w.show_id
            ORDER BY r.show_id LIMIT 1)
    FROM waiting w
    WHERE w.show_id IS NOT NULL
)
SELECT q.show_id
FROM waiting w
JOIN booking_queues q ON q.show_id = w.show_id
ORDER BY q.show_id <= $1::bigint, q.show_id
LIMIT 1
FOR UPDATE OF q SKIP LOCKED

-- name: next_requests
-- The requests at the head of a show's line, in order. $1: show id. $2: how many.
SELECT id, user_id, request, request_hash, queued_at
FROM booking_requests
WHERE show_id = $1 AND dead_at IS NULL
ORDER BY seq
LIMIT $2::integer

-- name: remove
-- Take requests away whose bookings are there. $1: show id. $2: booking ids.
DELETE FROM booking_requests WHERE show_id = $1 AND id = ANY ($2::uuid[])

-- name: bury
-- Make a request a dead letter. $1: show id. $2: booking id. $3: how often it was tried. $4: why it could not be decided.
UPDATE booking_requests
SET dead_at = statement_timestamp(), deliveries = $3::integer, cause = $4::text
WHERE show_id = $1 AND id = $2

-- name: dead
-- Dead letters, the oldest first. $1: how many. $2: which, by booking id; null: any.
SELECT id, user_id, request, request_hash, queued_at, deliveries, dead_at, cause
FROM booking_requests
WHERE dead_at IS NOT NULL AND ($2::uuid[] IS NULL OR id = ANY ($2::uuid[]))
ORDER BY dead_at
LIMIT $1::integer

-- name: revive
-- Put a dead letter back into its show's line, where it was. $1: show id. $2: booking id.
UPDATE booking_requests
SET dead_at = NULL, cause = NULL, deliveries = 0
WHERE show_id = $1 AND id = $2 AND dead_at IS NOT NULL
RETURNING 1

-- name: depth
-- How many requests wait, and how many are dead letters.
SELECT (SELECT count(*) FROM booking_requests WHERE dead_at IS NULL) AS waiting,
       (SELECT count(*) FROM booking_requests WHERE dead_at IS NOT NULL) AS dead
