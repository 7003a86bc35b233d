-- What replaces a statement of the other files where the tables are spread by show (ROWLOCK_SHARDED), as by Citus.
--
-- A batch is about one show there, and each of its statements says so by show_id = $1, so that it runs on the one shard
-- that has the show. Citus hands a statement over whole if it reads, or if it updates; an INSERT inside of WITH it would
-- take apart. What must look at all shows is a plain read, and what it finds is then done show by show. They run on one
-- PostgreSQL just as well. The lock order is batch.sql's: seats by number, then inventory.

-- name: lock
-- Lock the wanted seats, in order, then the show's inventory; then read the clock, which is that of the show's node.
-- $1: show id. $2: numbers of the wanted seats. One row for each seat (seat_no is set), one for the show.
WITH seat AS MATERIALIZED (
    SELECT s.show_id, s.seat_no, s.status, s.booking_id, s.held_until
    FROM seats s
    WHERE s.show_id = $1::bigint AND s.seat_no = ANY ($2::integer[])
    ORDER BY s.seat_no
    FOR UPDATE
), sale AS MATERIALIZED (
    SELECT i.show_id, i.closed, i.on_sale_at, i.max_seats, i.hold_seconds, i.confirm_by_service,
           i.available, i.reserved, i.version, i.told_events
    FROM inventory i
    -- Always true, and not before every seat above is locked.
    WHERE i.show_id = $1::bigint AND (SELECT count(*) FROM seat) >= 0
    FOR UPDATE
)
SELECT show_id, seat_no, status, booking_id, held_until,
       NULL::boolean AS closed, NULL::timestamptz AS on_sale_at, NULL::integer AS max_seats,
       NULL::integer AS hold_seconds, NULL::boolean AS confirm_by_service,
       NULL::integer AS available, NULL::integer AS reserved, NULL::bigint AS version, NULL::bigint AS told_events,
       NULL::timestamptz AS clock
FROM seat
UNION ALL
SELECT show_id, NULL, NULL, NULL, NULL,
       closed, on_sale_at, max_seats, hold_seconds, confirm_by_service, available, reserved, version,
       told_events, clock_timestamp()
FROM sale

-- name: whoami
-- This transaction, as the node knows it that we are connected to: by it the transaction is ended if its answer is lost.
SELECT pg_backend_pid() AS backend, now() AS began

-- name: lock_free_seats
-- Lock those of a show's seats that nobody else has locked, without waiting. $1: show id. $2: seat numbers.
SELECT s.show_id, s.seat_no, s.status, s.booking_id, s.held_until
FROM seats s
WHERE s.show_id = $1::bigint AND s.seat_no = ANY ($2::integer[])
ORDER BY s.seat_no
FOR UPDATE SKIP LOCKED

-- name: read_bookings
-- The bookings that commands are about. $1: show id. $2: booking ids.
SELECT b.show_id, b.id, b.user_id, b.customer_name, b.email, b.status, b.reason, b.seats, b.conflicts, b.seat_count,
       b.amount_cents, b.held, b.request_hash, b.created_at, b.expires_at, b.confirmed_at, b.settled_at, b.release_at
FROM bookings b
WHERE b.show_id = $1::bigint AND b.id = ANY ($2::uuid[])

-- name: read_holds
-- The holds that customers made of a show since some time. $1: show id. $2: user ids. $3: since when.
SELECT b.show_id, b.id, b.user_id, b.customer_name, b.email, b.status, b.reason, b.seats, b.conflicts, b.seat_count,
       b.amount_cents, b.held, b.request_hash, b.created_at, b.expires_at, b.confirmed_at, b.settled_at, b.release_at
FROM bookings b
WHERE b.show_id = $1::bigint AND b.user_id = ANY ($2::text[]) AND b.held AND b.created_at > $3

-- name: audit
-- One thing that was done that is no new booking. $1: show id. $2–$5: user, role, address, request id. $6–$9: action,
-- target, outcome, detail. $10: when.
INSERT INTO audit (show_id, at, user_id, role, address, request_id, action, target, outcome, detail)
VALUES ($1, $10, $2, $3, $4, $5, $6, $7, $8, $9)

-- name: make_bookings
-- New bookings, made at $14. $1: show id; then the columns, as in batch.sql; $15: who asked for them. One row for each that was made.
INSERT INTO bookings (
    show_id, id, user_id, customer_name, email, status, reason, seats, conflicts, seat_count, amount_cents, held,
    request_hash, created_at, expires_at, confirmed_at, settled_at, release_at, trail)
SELECT i.show_id, new.id, new.user_id, new.customer_name, new.email, new.status, new.reason, new.seats::integer[],
       new.conflicts::integer[], new.seat_count, new.amount_cents, new.status = 'PENDING', new.request_hash,
       $14::timestamptz, new.expires_at, CASE WHEN new.status = 'CONFIRMED' THEN $14::timestamptz END,
       CASE WHEN new.status <> 'PENDING' THEN $14::timestamptz END, new.expires_at, new.trail
FROM inventory i, unnest(
    $2::text::uuid[], $3::text[], $4::text[], $5::text[], $6::text::text[], $7::text[], $8::text::text[], $9::text[],
    $10::text::integer[], $11::text::bigint[], $12::bytea[], $13::timestamptz[], $15::text[]
) AS new (
    id, user_id, customer_name, email, status, reason, seats, conflicts, seat_count, amount_cents, request_hash,
    expires_at, trail)
WHERE i.show_id = $1::bigint
ON CONFLICT DO NOTHING
RETURNING 1

-- name: change
-- What a batch changes of rows that are locked. $1: show id. $2–$7: changed bookings. $8: bookings whose lapsed holds lost
-- a seat. $9–$12: seats. $13–$20: inventory, as in batch.sql. Returns how many rows each part met.
WITH changed AS (
    UPDATE bookings b
    SET status = c.status, reason = c.reason, confirmed_at = c.confirmed_at, settled_at = c.settled_at,
        expires_at = NULL, release_at = c.release_at
    FROM unnest($2::uuid[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::timestamptz[])
        AS c (id, status, reason, confirmed_at, settled_at, release_at)
    WHERE b.show_id = $1::bigint AND b.id = c.id
    RETURNING 1
), overtaken AS (
    UPDATE bookings b
    SET status = 'FAILED', reason = 'hold_expired', settled_at = b.expires_at, expires_at = NULL
    WHERE b.show_id = $1::bigint AND b.id = ANY ($8::uuid[]) AND b.status = 'PENDING'
    RETURNING 1
), seated AS (
    UPDATE seats s
    SET status = c.status, booking_id = c.booking_id, held_until = c.held_until
    FROM unnest($9::text::integer[], $10::text::"char"[], $11::text::uuid[], $12::timestamptz[])
        AS c (seat_no, status, booking_id, held_until)
    WHERE s.show_id = $1::bigint AND s.seat_no = c.seat_no
    RETURNING 1
), counted AS (
    UPDATE inventory i
    SET available = i.available + $13::integer, reserved = i.reserved + $14::integer, booked = i.booked + $15::integer,
        blocked = i.blocked + $16::integer, closed = i.closed OR $17::boolean, settling = i.settling OR $17::boolean,
        version = i.version + $18::integer, told_events = i.told_events + $19::integer,
        told_version = CASE WHEN $20::boolean AND i.told_version = i.version THEN i.version + $18::integer
                            ELSE i.told_version END
    WHERE i.show_id = $1::bigint
    RETURNING 1
)
SELECT (SELECT count(*) FROM changed) AS changed, (SELECT count(*) FROM overtaken) AS overtaken,
       (SELECT count(*) FROM seated) AS seated, (SELECT count(*) FROM counted) AS counted

-- name: tell
-- The events of a batch. $1: show id. $2–$5: number of the first, how many, version, body. $6: when they happened.
INSERT INTO outbox (show_id, seq, events, version, at, body, queued, published)
SELECT i.show_id, $2::bigint, $3::integer, $4::bigint, $6::timestamptz, $5::bytea,
       NOT EXISTS (SELECT FROM webhooks WHERE active), NOT EXISTS (SELECT FROM event_readers WHERE name = 'broker')
FROM inventory i
WHERE i.show_id = $1::bigint

-- name: lineage
-- The lineage of seat maps, of the node that we are connected to; a shard that was set back is found out by its versions.
SELECT concat_ws('-', extract(epoch FROM pg_postmaster_start_time()),
                 (SELECT oid FROM pg_database WHERE datname = current_database()),
                 to_regclass('seats')::oid, to_regclass('inventory')::oid)

-- name: map
-- A show's version and its seats' statuses, as in maps.sql. $1: show id.
SELECT i.version, i.available,
       (SELECT string_agg(s.status::text, '' ORDER BY s.seat_no)::bytea FROM seats s WHERE s.show_id = i.show_id) AS letters
FROM inventory i
WHERE i.show_id = $1

-- name: standing
-- What maps must agree with. $1: show ids.
SELECT i.show_id, i.version, i.total FROM inventory i WHERE i.show_id = ANY ($1::bigint[])

-- name: old_failed
-- Failed attempts older than they are kept for, as in bookings.sql, but nothing is locked. $1: days. $2: how many.
SELECT show_id, id FROM bookings
WHERE status COLLATE "C" = 'FAILED' AND release_at IS NULL AND import_id IS NULL
  AND created_at < now() - make_interval(secs => $1::float8 * 86400)
  AND settled_at < now() - make_interval(secs => $1::float8 * 86400)
ORDER BY created_at, id
LIMIT $2::integer

-- name: prune_failed
-- $1: show id. $2: booking ids.
DELETE FROM bookings WHERE show_id = $1::bigint AND id = ANY ($2::uuid[]) AND status = 'FAILED' AND release_at IS NULL
RETURNING show_id, id, user_id

-- name: remember_pruned
-- Keep the id of a queued booking that is pruned. $1: show id. $2: booking id.
INSERT INTO pruned_requests (show_id, id) VALUES ($1::bigint, $2::uuid) ON CONFLICT DO NOTHING

-- name: shows_with_requests
-- Shows that have requests waiting, at most $2: those after $1 first.
SELECT show_id FROM booking_requests WHERE dead_at IS NULL
GROUP BY show_id
ORDER BY show_id <= $1::bigint, show_id
LIMIT $2::integer

-- name: claim_requests
-- Lock the queue of a show, if nobody else has. $1: show id.
SELECT show_id FROM booking_queues WHERE show_id = $1::bigint FOR UPDATE SKIP LOCKED
