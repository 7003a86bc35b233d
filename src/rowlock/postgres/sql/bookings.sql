-- name: booking
-- One booking, and the clock it is to be read by. $1: show id. $2: booking id.
SELECT b.show_id, b.id, b.user_id, b.customer_name, b.email, b.status, b.reason, b.seats, b.conflicts, b.seat_count,
       b.amount_cents, b.held, b.request_hash, b.created_at, b.expires_at, b.confirmed_at, b.settled_at, b.release_at,
       clock_timestamp() AS clock
FROM bookings b
WHERE b.show_id = $1 AND b.id = $2

-- name: list_bookings
-- Bookings of one status, newest first: a range of an index. {filters} and {limit} are filled in by find_bookings.py,
-- from conditions of its own, so that each kind of list is planned for itself; it unites several where need be.
SELECT b.show_id, b.id, b.user_id, b.customer_name, b.email, b.status, b.reason, b.seats, b.conflicts, b.seat_count,
       b.amount_cents, b.held, b.request_hash, b.created_at, b.expires_at, b.confirmed_at, b.settled_at, b.release_at,
       now() AS clock
FROM bookings b
WHERE {filters}
ORDER BY b.created_at DESC, b.id DESC
LIMIT {limit}

-- name: list_overdue
-- Holds past their time, newest first: the few in bookings_to_release that the sweeper has not come to. OFFSET 0 keeps
-- the filters out of the choice of the index: they are not to be sought for among all that are PENDING.
SELECT b.show_id, b.id, b.user_id, b.customer_name, b.email, b.status, b.reason, b.seats, b.conflicts, b.seat_count,
       b.amount_cents, b.held, b.request_hash, b.created_at, b.expires_at, b.confirmed_at, b.settled_at, b.release_at,
       now() AS clock
FROM (SELECT * FROM bookings WHERE release_at <= now() AND status <> 'FAILED' OFFSET 0) b
WHERE {filters}
ORDER BY b.created_at DESC, b.id DESC
LIMIT {limit}

-- name: to_release
-- Holds past their time that still have seats to free, or whose booking is still PENDING. Locks nothing. $1: how many.
-- now(), and not the clock, which can't be a bound of an index: every hold of a flash sale would be read each time.
SELECT show_id, id, seats FROM bookings
WHERE release_at <= now()
ORDER BY release_at
LIMIT $1::integer

-- name: prune_failed
-- Failed attempts older than they are kept for, some at a time. $1: days. $2: how many.
-- They are found by when they were made, which is never after they were settled: bookings_by_status has that.
-- History that was brought over is kept: it would be gone seconds after the import.
WITH old AS (
    SELECT show_id, id FROM bookings
    WHERE status COLLATE "C" = 'FAILED' AND release_at IS NULL AND import_id IS NULL
      AND created_at < now() - make_interval(secs => $1::float8 * 86400)
      AND settled_at < now() - make_interval(secs => $1::float8 * 86400)
    ORDER BY created_at, id
    LIMIT $2::integer
    FOR UPDATE SKIP LOCKED
)
DELETE FROM bookings b USING old WHERE b.show_id = old.show_id AND b.id = old.id
RETURNING b.show_id, b.id, b.user_id

-- name: try_lead
-- Whether this transaction may do a job that one process at a time should do. $1: the job's number.
SELECT pg_try_advisory_xact_lock($1::bigint)

-- name: ids_secret
SELECT value FROM secrets WHERE name = 'ids'

-- name: search_bookings
-- Those of a list (list_bookings) whose customer's name, address or user is like a pattern. The list has an end; the
-- booking it ends with comes along, found or not: the search goes on after it. Filled in by search_bookings.py.
SELECT *
FROM (SELECT l.*, row_number() OVER (ORDER BY l.created_at DESC, l.id DESC) AS place,
             coalesce(l.customer_name ILIKE {text}, false) OR coalesce(l.email ILIKE {text}, false)
             OR l.user_id ILIKE {text} AS found
      FROM ({list}) l) s
WHERE s.found OR s.place = {most}
ORDER BY s.created_at DESC, s.id DESC
LIMIT {limit}

-- name: booking_of_seat
-- The booking that a seat is held or booked by. $1: show id. $2: seat number.
SELECT b.show_id, b.id, b.user_id, b.customer_name, b.email, b.status, b.reason, b.seats, b.conflicts, b.seat_count,
       b.amount_cents, b.held, b.request_hash, b.created_at, b.expires_at, b.confirmed_at, b.settled_at, b.release_at,
       now() AS clock
FROM seats s JOIN bookings b ON b.show_id = s.show_id AND b.id = s.booking_id
WHERE s.show_id = $1 AND s.seat_no = $2
