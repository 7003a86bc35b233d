-- Straight bookings: named seats, to be bought at once, of which nothing is to be known beforehand (engine/straight.py).

-- name: book
-- Lock, decide and write straight bookings, in one statement that is a transaction of its own.
-- It decides what `decide` would (domain/decide.py), or nothing: B is booked, T is refused because seats are taken. A
-- command that comes to anything else, or might take a lapsed hold's seat or a show's last one, is U: nothing is done for
-- it, and the batch decides.
-- $1–$3: wanted seats: number of the command, show, seat; no seat twice. $4–$7: shows, the most seats that a command
-- wants of it, how many all of them want, and whether a customer wants any. $8–$18: the commands: number, show, booking
-- id, user, name, email, seats, how many, amount, hash of the request, trail. $19: what is told of each (events.py).
-- (OFFSET 0 keeps PostgreSQL from reading all bookings into a hash for that one question, as a plan that was made for an
-- empty table would.)
-- Locks are taken as in batch.sql: seats, then inventory, each in order; then the clock is read. What is counted must be
-- what was decided: else it fails (division by zero), and nothing holds.
WITH seat AS MATERIALIZED (
    SELECT wanted.nr, wanted.place, s.show_id, s.seat_no, s.status, s.held_until
    FROM unnest($1::text::integer[], $2::text::bigint[], $3::text::integer[]) WITH ORDINALITY
        AS wanted (nr, show_id, seat_no, place)
    JOIN seats s ON s.show_id = wanted.show_id AND s.seat_no = wanted.seat_no
    ORDER BY s.show_id, s.seat_no
    FOR UPDATE OF s
), sale AS MATERIALIZED (
    SELECT i.show_id, i.on_sale_at,
           NOT i.closed AND wanted.most <= i.max_seats AND NOT (i.confirm_by_service AND wanted.by_owner)
           AND (i.available + i.reserved > wanted.total OR i.available + i.reserved = 0) AS open
    FROM unnest($4::text::bigint[], $5::text::integer[], $6::text::bigint[], $7::text::boolean[])
        AS wanted (show_id, most, total, by_owner)
    JOIN inventory i ON i.show_id = wanted.show_id
    -- Always true, and not before every seat above is locked.
    WHERE (SELECT count(*) FROM seat) >= 0
    ORDER BY i.show_id
    FOR UPDATE OF i
), moment AS MATERIALIZED (
    SELECT clock_timestamp() AS now FROM (SELECT count(*) FROM sale) AS locked
), obstacle AS MATERIALIZED (
    SELECT nr, place, seat_no, status = 'R' AND held_until <= now AS lapsed FROM seat, moment WHERE status <> 'A'
), verdict AS MATERIALIZED (
    SELECT asked.*, now,
           CASE
               WHEN show_id <> ALL (ARRAY(
                        SELECT sale.show_id FROM sale WHERE open AND (on_sale_at IS NULL OR on_sale_at <= now)))
                    OR nr = ANY (ARRAY(SELECT obstacle.nr FROM obstacle WHERE lapsed))
                    OR (request_hash IS NOT NULL AND EXISTS (
                        SELECT FROM bookings b WHERE b.show_id = asked.show_id AND b.id = asked.id OFFSET 0)) THEN 'U'
               WHEN nr = ANY (ARRAY(SELECT obstacle.nr FROM obstacle)) THEN 'T'
               ELSE 'B'
           END AS verdict
    FROM moment, unnest(
        $8::text::integer[], $9::text::bigint[], $10::text::uuid[], $11::text::text[], $12::text::text[], $13::text::text[],
        $14::text::text[],
        $15::text::integer[], $16::text::bigint[], $17::bytea[], $18::text::text[], $19::bytea[]
    ) AS asked (
        nr, show_id, id, user_id, customer_name, email, seats, seat_count, amount_cents, request_hash, trail, body)
), verdicts AS MATERIALIZED (
    SELECT string_agg(verdict, '' ORDER BY nr) AS letters, array_agg(id ORDER BY nr) AS ids FROM verdict
), made AS (
    INSERT INTO bookings (
        show_id, id, user_id, customer_name, email, status, reason, seats, conflicts, seat_count, amount_cents, held,
        request_hash, created_at, confirmed_at, settled_at, trail)
    SELECT show_id, id, user_id, customer_name, email, CASE verdict WHEN 'B' THEN 'CONFIRMED' ELSE 'FAILED' END,
           CASE verdict WHEN 'T' THEN 'seats_taken' END, seats::integer[],
           CASE verdict WHEN 'T' THEN ARRAY(
               SELECT seat_no FROM obstacle WHERE obstacle.nr = verdict.nr ORDER BY place) END,
           seat_count, amount_cents, false, request_hash, now, CASE verdict WHEN 'B' THEN now END, now, trail
    FROM verdict
    WHERE verdict <> 'U'
    RETURNING 1
), seated AS (
    UPDATE seats s
    SET status = 'B', booking_id = ids[nr + 1], held_until = NULL
    FROM seat, verdicts
    WHERE s.show_id = seat.show_id AND s.seat_no = seat.seat_no AND substr(letters, nr + 1, 1) = 'B'
    RETURNING 1
), counted AS (
    UPDATE inventory i
    SET available = i.available - c.sold, booked = i.booked + c.sold, version = i.version + c.rises
        /* events */, told_events = i.told_events + c.attempts,
        told_version = CASE i.told_version WHEN i.version THEN i.version + c.rises ELSE i.told_version END/* end */
    FROM (
        SELECT show_id, count(*)::integer AS attempts,
               coalesce(sum(seat_count) FILTER (WHERE verdict = 'B'), 0)::integer AS sold,
               (count(*) FILTER (WHERE verdict = 'B') > 0)::integer AS rises
               /* events */, string_agg(CASE verdict WHEN 'B' THEN '\x92b1626f6f6b696e672e636f6e6669726d6564'::bytea || body
                   ELSE '\x96ae626f6f6b696e672e6661696c6564'::bytea || body || '\xc09090dd'::bytea || (
                       SELECT int4send(count(*)::integer) || string_agg('\xd2'::bytea || int4send(seat_no), '' ORDER BY place)
                       FROM obstacle WHERE obstacle.nr = verdict.nr) END, '' ORDER BY nr) AS bodies/* end */
        FROM verdict
        WHERE verdict <> 'U'
        GROUP BY show_id
    ) c
    WHERE i.show_id = c.show_id
    RETURNING i.show_id, i.version, i.available, c.attempts, c.sold
              /* events */, i.told_events - c.attempts + 1 AS seq, c.bodies/* end */
)
/* events */, listened AS (
    SELECT EXISTS (SELECT FROM webhooks WHERE active) AS by_webhooks,
           EXISTS (SELECT FROM event_readers WHERE name = 'broker') AS by_broker
), told AS (
    INSERT INTO outbox (show_id, seq, events, version, at, body, queued, published)
    SELECT show_id, seq, attempts, version, now, '\xdd'::bytea || int4send(attempts) || bodies, NOT by_webhooks, NOT by_broker
    FROM counted, listened, moment
    RETURNING 1
)/* end */
SELECT now,
       (SELECT letters FROM verdicts) AS verdicts,
       (SELECT array_agg(ARRAY[nr, seat_no]) FROM obstacle) AS obstacles,
       sold.shows, sold.versions, sold.available,
       1 / (
           (SELECT count(*) FROM made) = decided.attempts
           AND (SELECT count(*) FROM seated) = decided.seats
           AND sold.seats = decided.seats
           AND sold.attempts = decided.attempts
           /* events */AND (SELECT count(*) FROM told) = sold.counted/* end */
       )::integer AS met
FROM moment, (
    SELECT count(*) AS counted, coalesce(sum(counted.attempts), 0) AS attempts, coalesce(sum(counted.sold), 0) AS seats,
           array_agg(show_id) FILTER (WHERE counted.sold > 0) AS shows,
           array_agg(version) FILTER (WHERE counted.sold > 0) AS versions,
           array_agg(counted.available) FILTER (WHERE counted.sold > 0) AS available
    FROM counted
) sold, (
    SELECT count(*) AS attempts, coalesce(sum(seat_count) FILTER (WHERE verdict = 'B'), 0) AS seats
    FROM verdict WHERE verdict <> 'U'
) decided

-- name: book_as_foretold
-- Write straight bookings of which each one's end is foretold, from a map in memory; or fail, where anything is not as
-- foretold (division by zero, or an id that is there already), so that nothing holds. Then `book` finds out.
-- Half of what `book` does is to lock, and to find out under the locks. Here seats to be booked are locked by being booked,
-- in order, and only where they are free; inventory after them, in order. Seats that are foretold to stand in the way are
-- locked after others of a higher number, so not waited for.
-- $1–$3: seats to be booked: show, number, booking. $4–$6: seats that bookings to be refused want: show, number,
-- and whether they are free. $7–$12: shows, in order: the most seats that a command wants of it, how many all of them want,
-- how many are booked, how many commands there are, and whether a customer wants any. $13–$22: the commands: show, booking
-- id, user, name, email, seats, conflicts, how many, amount, hash of the request. $23: trail. $24, $25: where the events of each show
-- begin in $26, from 1, and their bytes. $27–$30: how many seats are to be booked, and looked at; how many shows and commands there are.
WITH seated AS (
    UPDATE seats s
    SET status = 'B', booking_id = wanted.id, held_until = NULL
    FROM (
        SELECT *
        FROM unnest($1::text::bigint[], $2::text::integer[], $3::text::uuid[]) AS booked (show_id, seat_no, id)
        ORDER BY show_id, seat_no
    ) wanted
    WHERE s.show_id = wanted.show_id AND s.seat_no = wanted.seat_no AND s.status = 'A'
    RETURNING 1
), refused AS MATERIALIZED (
    SELECT s.held_until, (s.status = 'A') = wanted.free AS met
    FROM unnest($4::text::bigint[], $5::text::integer[], $6::text::boolean[]) AS wanted (show_id, seat_no, free)
    JOIN seats s ON s.show_id = wanted.show_id AND s.seat_no = wanted.seat_no
    -- Always true, and not before every seat above is locked.
    WHERE (SELECT count(*) FROM seated) >= 0
    FOR UPDATE OF s SKIP LOCKED
), counted AS (
    UPDATE inventory i
    SET available = i.available - c.sold, booked = i.booked + c.sold, version = i.version + (c.sold > 0)::integer
        /* events */, told_events = i.told_events + c.attempts,
        told_version = CASE i.told_version WHEN i.version THEN i.version + (c.sold > 0)::integer ELSE i.told_version END/* end */
    FROM unnest(
        $7::text::bigint[], $8::text::integer[], $9::text::integer[], $10::text::integer[], $11::text::integer[],
        $12::text::boolean[]/* events */, $24::text::integer[], $25::text::integer[]/* end */
    ) AS c (show_id, most, total, sold, attempts, by_owner/* events */, first_byte, bytes/* end */)
    -- The first two are known before any row of inventory is locked.
    WHERE (SELECT count(*) FROM seated) = $27::integer
      AND (SELECT count(*) FROM refused WHERE met) = $28::integer
      AND i.show_id = c.show_id
      AND NOT i.closed AND c.most <= i.max_seats AND NOT (i.confirm_by_service AND c.by_owner)
      AND (i.available + i.reserved > c.total OR i.available + i.reserved = 0)
      AND (i.on_sale_at IS NULL OR i.on_sale_at <= clock_timestamp())
    RETURNING i.show_id, i.version, i.available, c.sold
              /* events */, c.attempts, i.told_events - c.attempts + 1 AS seq, c.first_byte, c.bytes/* end */
), moment AS MATERIALIZED (
    SELECT clock_timestamp() AS now, count(*) = $29::integer AS met,
           array_agg(show_id) FILTER (WHERE sold > 0) AS shows,
           array_agg(version) FILTER (WHERE sold > 0) AS versions,
           array_agg(available) FILTER (WHERE sold > 0) AS available
    FROM counted
), made AS (
    INSERT INTO bookings (
        show_id, id, user_id, customer_name, email, status, reason, seats, conflicts, seat_count, amount_cents, held,
        request_hash, created_at, confirmed_at, settled_at, trail)
    SELECT show_id, id, user_id, customer_name, email,
           CASE WHEN conflicts IS NULL THEN 'CONFIRMED' ELSE 'FAILED' END,
           CASE WHEN conflicts IS NOT NULL THEN 'seats_taken' END, seats::integer[], conflicts::integer[], seat_count,
           amount_cents, false, request_hash, now, CASE WHEN conflicts IS NULL THEN now END, now, trail
    FROM moment, unnest(
        $13::text::bigint[], $14::text::uuid[], $15::text::text[], $16::text::text[], $17::text::text[],
        $18::text::text[], $19::text::text[], $20::text::integer[], $21::text::bigint[], $22::bytea[], $23::text::text[]
    ) AS asked (
        show_id, id, user_id, customer_name, email, seats, conflicts, seat_count, amount_cents, request_hash, trail)
    WHERE met
    RETURNING 1
)
/* events */, listened AS (
    SELECT EXISTS (SELECT FROM webhooks WHERE active) AS by_webhooks,
           EXISTS (SELECT FROM event_readers WHERE name = 'broker') AS by_broker
), told AS (
    INSERT INTO outbox (show_id, seq, events, version, at, body, queued, published)
    SELECT show_id, seq, attempts, version, now, '\xdd'::bytea || int4send(attempts) || substr($26::bytea, first_byte, bytes),
           NOT by_webhooks, NOT by_broker
    FROM counted, listened, moment
    WHERE met
    RETURNING 1
)/* end */
SELECT now, shows, versions, available,
       1 / (
           met
           AND (SELECT count(*) FROM made) = $30::integer
           /* events */AND (SELECT count(*) FROM told) = $29::integer/* end */
           AND NOT EXISTS (SELECT FROM refused WHERE held_until <= now)
       )::integer AS met
FROM moment
