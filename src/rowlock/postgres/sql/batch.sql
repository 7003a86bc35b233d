-- The batch: every statement that the engine changes seats with.
--
-- Lock order, everywhere: seats by (show_id, seat_no), then inventory by show_id, then bookings. A seat that is locked
-- after an inventory row is locked with SKIP LOCKED, which never waits. Bookings need no locks of their own: whoever
-- changes a booking of a show holds that show's inventory row until COMMIT. (The pruner deletes FAILED ones without it,
-- which nobody changes any more.)

-- name: lock
-- Lock the wanted seats, in order, then their shows' inventory, in order; then read the clock.
-- $1, $2: show id and number of each wanted seat. $3: show ids. (Arrays, as text: see engine/rows.py.)
-- One row for each seat (seat_no is set), one for each show. The clock of a show's row is read after that row is
-- locked, so the latest of them is later than every lock.
WITH seat AS MATERIALIZED (
    SELECT s.show_id, s.seat_no, s.status, s.booking_id, s.held_until
    FROM unnest($1::text::bigint[], $2::text::integer[]) AS wanted (show_id, seat_no)
    JOIN seats s ON s.show_id = wanted.show_id AND s.seat_no = wanted.seat_no
    ORDER BY s.show_id, s.seat_no
    FOR UPDATE OF s
), sale AS MATERIALIZED (
    SELECT i.show_id, i.closed, i.on_sale_at, i.max_seats, i.hold_seconds, i.confirm_by_service,
           i.available, i.reserved, i.version, i.told_events
    FROM unnest($3::text::bigint[]) AS wanted (show_id)
    JOIN inventory i ON i.show_id = wanted.show_id
    -- Always true, and not before every seat above is locked.
    WHERE (SELECT count(*) FROM seat) >= 0
    ORDER BY i.show_id
    FOR UPDATE OF i
)
SELECT show_id, seat_no, status, booking_id, held_until,
       NULL::boolean AS closed, NULL::timestamptz AS on_sale_at, NULL::integer AS max_seats,
       NULL::integer AS hold_seconds, NULL::boolean AS confirm_by_service,
       NULL::integer AS available, NULL::integer AS reserved, NULL::bigint AS version, NULL::bigint AS told_events,
       NULL::timestamptz AS clock, NULL::integer AS backend, NULL::timestamptz AS began
FROM seat
UNION ALL
SELECT show_id, NULL, NULL, NULL, NULL,
       closed, on_sale_at, max_seats, hold_seconds, confirm_by_service, available, reserved, version,
       told_events, clock_timestamp(), pg_backend_pid(), now()
FROM sale

-- name: lock_free_seats
-- Lock those of a show's seats that nobody else has locked, without waiting; the inventory row is locked already.
-- $1: show ids. $2: seat numbers.
SELECT s.show_id, s.seat_no, s.status, s.booking_id, s.held_until
FROM unnest($1::bigint[], $2::integer[]) AS wanted (show_id, seat_no)
JOIN seats s ON s.show_id = wanted.show_id AND s.seat_no = wanted.seat_no
ORDER BY s.show_id, s.seat_no
FOR UPDATE OF s SKIP LOCKED

-- name: read_bookings
-- The bookings that commands are about, as they are under the locks of their shows' inventory rows.
-- $1: show ids. $2: booking ids.
SELECT b.show_id, b.id, b.user_id, b.customer_name, b.email, b.status, b.reason, b.seats, b.conflicts, b.seat_count,
       b.amount_cents, b.held, b.request_hash, b.created_at, b.expires_at, b.confirmed_at, b.settled_at, b.release_at
FROM unnest($1::bigint[], $2::uuid[]) AS wanted (show_id, id)
JOIN bookings b ON b.show_id = wanted.show_id AND b.id = wanted.id

-- name: free_seats
-- Which of a show's seats are free: one byte a seat, in layout order, 1 for free. Locks nothing.
-- $1: show id. $2: at what time; null: now.
SELECT string_agg(
    CASE WHEN s.status = 'A' OR (s.status = 'R' AND s.held_until <= coalesce($2::timestamptz, clock_timestamp()))
         THEN '\x01'::bytea ELSE '\x00'::bytea END,
    ''::bytea ORDER BY s.seat_no)
FROM seats s
WHERE s.show_id = $1

-- name: write
-- Everything a batch changes, in one statement; its rows are locked already, so its order is free.
-- $1–$14: new bookings, made at $14. $15–$21: changed ones. $22, $23: bookings whose lapsed holds lost a seat.
-- $24–$28: seats. $29–$36: inventory: changes of the counts, whether the sale closes, by how much the version rises
-- (not where attempts only failed), and how many events there are. $37: whether events are told. $38: who asked for the
-- new bookings, and from where. $39–$43: the events, a row for each show that has any.
-- What stands between marks is left out, with its parameters, where a batch has nothing of it (engine/writing.py): even a
-- table that nothing is written to costs a batch some ten microseconds. Nobody has to come back to events that nobody
-- listens to: they are done as they are written.
-- Columns of numbers, ids and states come as the text of an array, and one that has nothing in it is empty: unnest fills
-- the shorter ones up with nulls. See engine/rows.py.
-- Returns how many rows each part met; the engine knows how many it must be.
WITH made AS (
    INSERT INTO bookings (
        show_id, id, user_id, customer_name, email, status, reason, seats, conflicts, seat_count, amount_cents, held,
        request_hash, created_at, expires_at, confirmed_at, settled_at, release_at, trail)
    SELECT show_id, id, user_id, customer_name, email, status, reason, seats::integer[], conflicts::integer[],
           seat_count, amount_cents, status = 'PENDING', request_hash, $14::timestamptz, expires_at,
           CASE WHEN status = 'CONFIRMED' THEN $14::timestamptz END,
           CASE WHEN status <> 'PENDING' THEN $14::timestamptz END, expires_at, trail
    FROM unnest(
        $1::text::bigint[], $2::text::uuid[], $3::text[], $4::text[], $5::text[], $6::text::text[], $7::text[],
        $8::text::text[], $9::text[], $10::text::integer[], $11::text::bigint[], $12::bytea[], $13::timestamptz[], $38::text[]
    ) AS new (
        show_id, id, user_id, customer_name, email, status, reason, seats, conflicts, seat_count, amount_cents,
        request_hash, expires_at, trail)
    ON CONFLICT DO NOTHING
    RETURNING 1
)
/* changes */, changed AS (
    UPDATE bookings b
    SET status = c.status, reason = c.reason, confirmed_at = c.confirmed_at, settled_at = c.settled_at,
        expires_at = NULL, release_at = c.release_at
    FROM unnest($15::bigint[], $16::uuid[], $17::text[], $18::text[], $19::timestamptz[], $20::timestamptz[],
                $21::timestamptz[])
        AS c (show_id, id, status, reason, confirmed_at, settled_at, release_at)
    WHERE b.show_id = c.show_id AND b.id = c.id
    RETURNING 1
), overtaken AS (
    UPDATE bookings b
    SET status = 'FAILED', reason = 'hold_expired', settled_at = b.expires_at, expires_at = NULL
    FROM unnest($22::bigint[], $23::uuid[]) AS o (show_id, id)
    WHERE b.show_id = o.show_id AND b.id = o.id AND b.status = 'PENDING'
    RETURNING 1
)/* end */
, seated AS (
    UPDATE seats s
    SET status = c.status, booking_id = c.booking_id, held_until = c.held_until
    FROM unnest($24::text::bigint[], $25::text::integer[], $26::text::"char"[], $27::text::uuid[], $28::timestamptz[])
        AS c (show_id, seat_no, status, booking_id, held_until)
    WHERE s.show_id = c.show_id AND s.seat_no = c.seat_no
    RETURNING 1
), counted AS (
    UPDATE inventory i
    SET available = i.available + c.available, reserved = i.reserved + c.reserved, booked = i.booked + c.booked,
        blocked = i.blocked + c.blocked, closed = i.closed OR c.closes, settling = i.settling OR c.closes,
        version = i.version + c.rises, told_events = i.told_events + c.events,
        told_version = CASE WHEN $37::boolean AND i.told_version = i.version THEN i.version + c.rises
                            ELSE i.told_version END
    FROM unnest($29::text::bigint[], $30::text::integer[], $31::text::integer[], $32::text::integer[],
                $33::text::integer[], $34::text::boolean[], $35::text::integer[], $36::text::integer[])
        AS c (show_id, available, reserved, booked, blocked, closes, rises, events)
    WHERE i.show_id = c.show_id
    RETURNING 1
)
/* events */, listened AS (
    SELECT EXISTS (SELECT FROM webhooks WHERE active) AS by_webhooks,
           EXISTS (SELECT FROM event_readers WHERE name = 'broker') AS by_broker
), told AS (
    INSERT INTO outbox (show_id, seq, events, version, at, body, queued, published)
    SELECT show_id, seq, events, version, $14::timestamptz, body, NOT by_webhooks, NOT by_broker
    FROM unnest($39::text::bigint[], $40::text::bigint[], $41::text::integer[], $42::text::bigint[], $43::bytea[])
        AS new (show_id, seq, events, version, body), listened
    RETURNING 1
)/* end */
SELECT (SELECT count(*) FROM made) AS made, (SELECT count(*) FROM seated) AS seated,
       (SELECT count(*) FROM counted) AS counted
       /* changes */, (SELECT count(*) FROM changed) AS changed/* end */
       /* events */, (SELECT count(*) FROM told) AS told/* end */

-- name: read_holds
-- The holds that customers made of shows since some time, as they are under the locks of the shows' inventory rows.
-- $1: show ids. $2: user ids. $3: since when.
SELECT b.show_id, b.id, b.user_id, b.customer_name, b.email, b.status, b.reason, b.seats, b.conflicts, b.seat_count,
       b.amount_cents, b.held, b.request_hash, b.created_at, b.expires_at, b.confirmed_at, b.settled_at, b.release_at
FROM unnest($1::bigint[], $2::text[]) AS wanted (show_id, user_id)
JOIN bookings b ON b.show_id = wanted.show_id AND b.user_id = wanted.user_id AND b.held AND b.created_at > $3

-- name: audit
-- What was done that is no new booking, and at whose wish: only where there is any of it.
-- $1: show ids. $2–$5: user, role, address, request id. $6–$9: action, target, outcome, detail. $10: when.
INSERT INTO audit (show_id, at, user_id, role, address, request_id, action, target, outcome, detail)
SELECT show_id, $10, user_id, role, address, request_id, action, target, outcome, detail
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[])
    AS done (show_id, user_id, role, address, request_id, action, target, outcome, detail)

-- name: end_backend
-- End the backend of a transaction whose answer was lost, if it still runs that very transaction.
-- $1: its process id. $2: when the transaction began.
SELECT pg_terminate_backend(pid)
FROM pg_stat_activity
WHERE pid = $1 AND xact_start = $2

-- name: session
-- The session that asks, as it is known to others.
SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()

-- name: end_session
-- End a session. How many there were: none, when it has ended.
-- $1: its process id. $2: when it began.
SELECT count(pg_terminate_backend(pid))
FROM pg_stat_activity
WHERE pid = $1 AND backend_start = $2
