-- The rules of `rowlock verify`, a query each, of what breaks them among the shows $1 < show_id <= $2.
-- Each row is an offence: show, seat and booking as far as they matter, what is wrong, and how many there are in all;
-- $3 is how many are wanted. All of them read one snapshot and lock nothing.

-- name: next_shows
-- The shows after $1, at most $2, with how many seats they say they have.
SELECT show_id, total FROM inventory WHERE show_id > $1 ORDER BY show_id LIMIT $2::integer

-- name: layouts
-- The layouts of the shows $1 < id <= $2.
SELECT id, layout, categories FROM shows WHERE id > $1 AND id <= $2 ORDER BY id

-- name: whole_shows
-- A show without inventory, or the other way round; a seat or booking without its show.
SELECT show_id, NULL::integer AS seat_no, NULL::uuid AS booking_id, what, count(*) OVER () AS total
FROM (
    SELECT s.id AS show_id, 'has no inventory' AS what FROM shows s
    WHERE s.id > $1 AND s.id <= $2 AND NOT EXISTS (SELECT FROM inventory i WHERE i.show_id = s.id)
    UNION ALL
    SELECT i.show_id, 'has inventory, but is no show' FROM inventory i
    WHERE i.show_id > $1 AND i.show_id <= $2 AND NOT EXISTS (SELECT FROM shows s WHERE s.id = i.show_id)
    UNION ALL
    SELECT n.show_id, 'has seats, but is no show'
    FROM (SELECT DISTINCT show_id FROM seats WHERE show_id > $1 AND show_id <= $2) AS n
    WHERE NOT EXISTS (SELECT FROM shows s WHERE s.id = n.show_id)
    UNION ALL
    SELECT n.show_id, 'has bookings, but is no show'
    FROM (SELECT DISTINCT show_id FROM bookings WHERE show_id > $1 AND show_id <= $2) AS n
    WHERE NOT EXISTS (SELECT FROM shows s WHERE s.id = n.show_id)
) AS broken
ORDER BY show_id LIMIT $3::integer

-- name: one_owner
-- A seat that two live bookings claim.
SELECT show_id, seat_no, owners[1] AS booking_id, 'is also claimed by ' || array_to_string(owners[2:], ', ') AS what,
       count(*) OVER () AS total
FROM (
    SELECT show_id, seat_no, ARRAY(SELECT DISTINCT o FROM unnest(claims) AS o ORDER BY o) AS owners
    FROM (
        SELECT b.show_id, n AS seat_no, array_agg(b.id) AS claims
        FROM bookings b CROSS JOIN LATERAL unnest(b.seats) AS n
        WHERE b.show_id > $1 AND b.show_id <= $2 AND b.status IN ('PENDING', 'CONFIRMED')
        GROUP BY b.show_id, n
        HAVING count(*) > 1
    ) AS claimed
) AS twice
WHERE cardinality(owners) > 1
ORDER BY show_id, seat_no LIMIT $3::integer

-- name: owner_has_seat
-- A live booking whose seat is not its own, or has another status than it; a taken seat that its owner doesn't claim.
-- A hold that has lapsed and was overtaken at another seat is legal: FAILED, with seats to free until it is swept.
-- Seats that several claim are left to the rule above.
WITH claim AS (
    SELECT b.show_id, n AS seat_no, (array_agg(b.id))[1] AS id, min(b.status) AS status, count(*) AS claims
    FROM bookings b CROSS JOIN LATERAL unnest(b.seats) AS n
    WHERE b.show_id > $1 AND b.show_id <= $2 AND b.status IN ('PENDING', 'CONFIRMED')
    GROUP BY b.show_id, n
), mismatch AS (
    SELECT coalesce(c.show_id, s.show_id) AS show_id, coalesce(c.seat_no, s.seat_no) AS seat_no, c.id AS claimed_by,
           c.status AS claimed, s.booking_id AS owner, s.status, s.held_until
    FROM claim c
    FULL JOIN (SELECT * FROM seats WHERE show_id > $1 AND show_id <= $2 AND status IN ('R', 'B')) AS s
        ON s.show_id = c.show_id AND s.seat_no = c.seat_no
    WHERE coalesce(c.claims, 1) = 1
      AND (c.id IS DISTINCT FROM s.booking_id
           OR s.status IS DISTINCT FROM CASE c.status WHEN 'PENDING' THEN 'R'::"char" ELSE 'B'::"char" END)
)
SELECT m.show_id, m.seat_no, coalesce(m.claimed_by, m.owner) AS booking_id,
       CASE WHEN m.claimed_by IS NULL THEN 'owns the seat, and does not claim it'
            WHEN m.owner IS NULL THEN 'claims the seat, and nobody owns it'
            WHEN m.owner <> m.claimed_by THEN 'claims the seat, and ' || m.owner || ' owns it'
            ELSE 'is ' || m.claimed || ', and the seat is ' || m.status::text END AS what,
       count(*) OVER () AS total
FROM mismatch m
LEFT JOIN bookings b ON b.show_id = m.show_id AND b.id = m.owner
WHERE (m.claimed_by IS NULL AND b.status = 'FAILED' AND b.reason = 'hold_expired' AND b.release_at IS NOT NULL
       AND m.seat_no = ANY (b.seats) AND m.status = 'R' AND m.held_until <= clock_timestamp()) IS NOT TRUE
ORDER BY m.show_id, m.seat_no LIMIT $3::integer

-- name: counts
-- An inventory whose counts are not those of the seats.
SELECT i.show_id, NULL::integer AS seat_no, NULL::uuid AS booking_id,
       format('counts %s available, %s reserved, %s booked, %s blocked of %s; the seats are %s, %s, %s, %s of %s',
              i.available, i.reserved, i.booked, i.blocked, i.total, c.a, c.r, c.b, c.x, c.total) AS what,
       count(*) OVER () AS total
FROM inventory i
LEFT JOIN (
    SELECT show_id, count(*) FILTER (WHERE status = 'A') AS a, count(*) FILTER (WHERE status = 'R') AS r,
           count(*) FILTER (WHERE status = 'B') AS b, count(*) FILTER (WHERE status = 'X') AS x, count(*) AS total
    FROM seats WHERE show_id > $1 AND show_id <= $2
    GROUP BY show_id
) AS c ON c.show_id = i.show_id
WHERE i.show_id > $1 AND i.show_id <= $2
  AND (i.available, i.reserved, i.booked, i.blocked, i.total) IS DISTINCT FROM (c.a, c.r, c.b, c.x, c.total)
ORDER BY i.show_id LIMIT $3::integer

-- name: seats_in_layout
-- A seat that is not in its show's layout, and one of the layout that is not there; a total that is another.
-- $4, $5: show ids, and how many seats their layouts have.
WITH layout AS (SELECT * FROM unnest($4::bigint[], $5::integer[]) AS l (show_id, total))
SELECT show_id, seat_no, NULL::uuid AS booking_id, what, count(*) OVER () AS total
FROM (
    SELECT s.show_id, s.seat_no, 'is not in the layout' AS what
    FROM seats s JOIN layout l ON l.show_id = s.show_id
    WHERE s.show_id > $1 AND s.show_id <= $2 AND s.seat_no NOT BETWEEN 0 AND l.total - 1
    UNION ALL
    SELECT l.show_id, NULL, format('has %s of the %s seats of its layout', coalesce(c.found, 0), l.total)
    FROM layout l
    LEFT JOIN (SELECT show_id, count(*) AS found FROM seats WHERE show_id > $1 AND show_id <= $2 GROUP BY show_id)
        AS c ON c.show_id = l.show_id
    WHERE coalesce(c.found, 0) < l.total
    UNION ALL
    SELECT i.show_id, NULL, format('says its seats are %s, its layout has %s', i.total, l.total)
    FROM inventory i JOIN layout l ON l.show_id = i.show_id
    WHERE i.total <> l.total
) AS broken
ORDER BY show_id, seat_no LIMIT $3::integer

-- name: bookings_in_layout
-- A booking that names a seat outside its show's layout, or one seat twice, or a conflict that it doesn't name.
-- $4, $5: show ids, and how many seats their layouts have.
SELECT b.show_id, NULL::integer AS seat_no, b.id AS booking_id,
       CASE WHEN NOT b.conflicts <@ b.seats THEN 'has a conflict over a seat that it does not name'
            WHEN o.outside IS NULL THEN 'names a seat twice'
            ELSE 'names seat number ' || o.outside || ', the layout has 0 to ' || l.total - 1 END AS what,
       count(*) OVER () AS total
FROM bookings b
JOIN unnest($4::bigint[], $5::integer[]) AS l (show_id, total) ON l.show_id = b.show_id
CROSS JOIN LATERAL (
    SELECT min(n) FILTER (WHERE n NOT BETWEEN 0 AND l.total - 1) AS outside, count(DISTINCT n) AS named
    FROM unnest(b.seats) AS n
) AS o
WHERE b.show_id > $1 AND b.show_id <= $2
  AND (o.outside IS NOT NULL OR o.named < cardinality(b.seats) OR NOT b.conflicts <@ b.seats)
ORDER BY b.show_id, b.id LIMIT $3::integer

-- name: amounts
-- A booking whose amount is not the sum of its seats' prices. Without seats it is 0; those with
-- seats outside the layout have no sum.
-- $4–$6: show ids, a byte for each seat of the layout that tells its category, and the categories' prices.
WITH layout AS MATERIALIZED (
    SELECT l.show_id, l.category_of, l.prices::bigint[] AS prices
    FROM unnest($4::bigint[], $5::bytea[], $6::text[]) AS l (show_id, category_of, prices)
)
SELECT b.show_id, NULL::integer AS seat_no, b.id AS booking_id,
       format('costs %s cents, its seats %s', b.amount_cents, a.amount) AS what, count(*) OVER () AS total
FROM layout l
JOIN bookings b ON b.show_id = l.show_id
CROSS JOIN LATERAL (
    SELECT coalesce(sum(CASE WHEN n BETWEEN 0 AND length(l.category_of) - 1
                        THEN l.prices[1 + get_byte(l.category_of, n)] END), 0) AS amount
    FROM unnest(b.seats) AS n
    HAVING coalesce(bool_and(n BETWEEN 0 AND length(l.category_of) - 1), true)
) AS a
WHERE b.show_id > $1 AND b.show_id <= $2 AND b.amount_cents <> a.amount
ORDER BY b.show_id, b.id LIMIT $3::integer

-- name: expiries
-- A booking with an expiry that is no hold, or a hold without one; a booked seat with one.
SELECT show_id, seat_no, booking_id, what, count(*) OVER () AS total
FROM (
    SELECT b.show_id, NULL::integer AS seat_no, b.id AS booking_id,
           CASE WHEN b.status = 'PENDING' THEN 'is PENDING without an expiry'
                ELSE 'is ' || b.status || ', and expires at ' || coalesce(b.expires_at, b.release_at) END AS what
    FROM bookings b
    WHERE b.show_id > $1 AND b.show_id <= $2
      AND ((b.expires_at IS NOT NULL) <> (b.status = 'PENDING')
           OR (b.release_at IS NOT NULL AND b.status NOT IN ('PENDING', 'FAILED')))
    UNION ALL
    SELECT s.show_id, s.seat_no, s.booking_id, 'is booked until ' || s.held_until
    FROM seats s
    WHERE s.show_id > $1 AND s.show_id <= $2 AND s.status = 'B' AND s.held_until IS NOT NULL
) AS broken
ORDER BY show_id, seat_no, booking_id LIMIT $3::integer

-- name: holds_end_together
-- A held seat that is held until another time than its booking says, or for ever.
SELECT s.show_id, s.seat_no, s.booking_id,
       format('is held until %s, its booking says %s', coalesce(s.held_until::text, 'no time'),
              coalesce(b.release_at::text, 'no time')) AS what,
       count(*) OVER () AS total
FROM seats s
JOIN bookings b ON b.show_id = s.show_id AND b.id = s.booking_id AND s.seat_no = ANY (b.seats)
WHERE s.show_id > $1 AND s.show_id <= $2 AND s.status = 'R'
  AND (b.status = 'PENDING' OR b.release_at IS NOT NULL)
  AND (s.held_until IS NULL OR s.held_until IS DISTINCT FROM b.release_at)
ORDER BY s.show_id, s.seat_no LIMIT $3::integer

-- name: overdue
-- A hold that nobody has swept for so many seconds ($4) past its time.
SELECT show_id, NULL::integer AS seat_no, id AS booking_id, 'should have been swept at ' || release_at AS what,
       count(*) OVER () AS total
FROM bookings
WHERE release_at < now() - make_interval(secs => $4::float8) AND show_id > $1 AND show_id <= $2
ORDER BY release_at LIMIT $3::integer

-- name: settled_shows
-- A live booking of a show that was cancelled and settled.
SELECT b.show_id, NULL::integer AS seat_no, b.id AS booking_id, 'is ' || b.status || ' at a cancelled show' AS what,
       count(*) OVER () AS total
FROM inventory i
JOIN bookings b ON b.show_id = i.show_id
WHERE i.show_id > $1 AND i.show_id <= $2 AND i.closed AND NOT i.settling AND b.status IN ('PENDING', 'CONFIRMED')
ORDER BY b.show_id, b.id LIMIT $3::integer

-- name: versions
-- A show at version 0 whose seats have changed, one whose version is negative, or one that settles and is not closed.
SELECT i.show_id, NULL::integer AS seat_no, NULL::uuid AS booking_id,
       CASE WHEN i.settling AND NOT i.closed THEN 'settles its bookings, and is still on sale'
            ELSE format('is at version %s, with %s seats taken', i.version, i.total - i.available) END AS what,
       count(*) OVER () AS total
FROM inventory i
WHERE i.show_id > $1 AND i.show_id <= $2
  AND (i.version < 0 OR (i.version = 0 AND i.available < i.total) OR (i.settling AND NOT i.closed))
ORDER BY i.show_id LIMIT $3::integer

-- name: times
-- A booking whose times are out of order, missing, or still to come (a minute is left for clocks of two servers); any
-- time that is infinite. A hold that failed by its expiry had expired by then.
SELECT show_id, seat_no, booking_id, what, count(*) OVER () AS total
FROM (
    SELECT b.show_id, NULL::integer AS seat_no, b.id AS booking_id,
           format('was created %s, confirmed %s, settled %s, expires %s, frees its seats %s', b.created_at,
                  b.confirmed_at, b.settled_at, b.expires_at, b.release_at) AS what
    FROM bookings b
    WHERE b.show_id > $1 AND b.show_id <= $2
      AND (b.confirmed_at < b.created_at OR b.settled_at < b.confirmed_at OR b.settled_at < b.created_at
           OR b.expires_at <= b.created_at
           OR (b.status = 'CONFIRMED' AND b.settled_at <> b.confirmed_at)
           OR (b.settled_at IS NULL) <> (b.status = 'PENDING')
           OR (b.confirmed_at IS NOT NULL) <> (b.status IN ('CONFIRMED', 'CANCELLED'))
           OR (b.reason = 'hold_expired' AND b.release_at > b.settled_at)
           OR greatest(b.created_at, b.settled_at) > clock_timestamp() + interval '1 minute'
           OR NOT isfinite(b.created_at) OR NOT isfinite(b.expires_at) OR NOT isfinite(b.confirmed_at)
           OR NOT isfinite(b.settled_at) OR NOT isfinite(b.release_at))
    UNION ALL
    SELECT s.show_id, s.seat_no, s.booking_id, 'is held until ' || s.held_until
    FROM seats s
    WHERE s.show_id > $1 AND s.show_id <= $2 AND NOT isfinite(s.held_until)
    UNION ALL
    SELECT s.id, NULL, NULL, format('starts %s, ends %s, was created %s', s.start_time, s.end_time, s.created_at)
    FROM shows s
    WHERE s.id > $1 AND s.id <= $2
      AND (NOT isfinite(s.start_time) OR NOT isfinite(s.end_time) OR NOT isfinite(s.created_at))
    UNION ALL
    SELECT i.show_id, NULL, NULL, 'is on sale at ' || i.on_sale_at
    FROM inventory i
    WHERE i.show_id > $1 AND i.show_id <= $2 AND NOT isfinite(i.on_sale_at)
) AS broken
ORDER BY show_id, seat_no, booking_id LIMIT $3::integer

-- name: reasons
-- A booking whose reason does not go with its status, or with how it began.
SELECT b.show_id, NULL::integer AS seat_no, b.id AS booking_id,
       format('is %s, reason %s, %s', b.status, coalesce(b.reason, 'none'),
              CASE WHEN b.held THEN 'held first' ELSE 'not held first' END) AS what,
       count(*) OVER () AS total
FROM bookings b
WHERE b.show_id > $1 AND b.show_id <= $2
  AND CASE b.status
      WHEN 'PENDING' THEN b.reason IS NOT NULL OR NOT b.held
      WHEN 'CONFIRMED' THEN b.reason IS NOT NULL
      WHEN 'CANCELLED' THEN coalesce(b.reason, '') NOT IN ('cancelled_by_customer', 'cancelled_by_admin',
                                                           'show_cancelled')
      WHEN 'FAILED' THEN coalesce(b.reason, '') NOT IN ('seats_taken', 'not_enough_seats', 'hold_expired', 'released',
                                                        'show_cancelled', 'not_on_sale', 'forbidden', 'too_many_seats',
                                                        'dropped')
                         -- A show's end fails its holds, and requests that were still queued.
                         OR (b.reason <> 'show_cancelled' AND b.held <> (b.reason IN ('hold_expired', 'released')))
                         OR (b.release_at IS NOT NULL AND b.reason <> 'hold_expired')
      ELSE true END
ORDER BY b.show_id, b.id LIMIT $3::integer

-- name: seat_counts
-- A booking that says it has another number of seats than it names. One that failed for want of seats names none.
SELECT b.show_id, NULL::integer AS seat_no, b.id AS booking_id,
       format('says its seats are %s, and names %s', b.seat_count, cardinality(b.seats)) AS what, count(*) OVER () AS total
FROM bookings b
WHERE b.show_id > $1 AND b.show_id <= $2
  AND (b.seat_count < 1
       OR (cardinality(b.seats) <> b.seat_count AND (b.status <> 'FAILED' OR cardinality(b.seats) > 0)))
ORDER BY b.show_id, b.id LIMIT $3::integer

-- name: ids
-- A booking whose id does not name its show, so that a look-up by id would not find it.
-- $4–$6: show ids, the first and the last id that a booking of each can have.
SELECT b.show_id, NULL::integer AS seat_no, b.id AS booking_id, 'has an id that names another show' AS what,
       count(*) OVER () AS total
FROM unnest($4::bigint[], $5::uuid[], $6::uuid[]) AS r (show_id, first, last)
JOIN bookings b ON b.show_id = r.show_id
WHERE b.show_id > $1 AND b.show_id <= $2
  AND (b.id NOT BETWEEN r.first AND r.last OR get_byte(uuid_send(b.id), 8) >> 6 <> 2)
ORDER BY b.show_id, b.id LIMIT $3::integer

-- name: whole_logs
-- The shows $1 < show_id <= $2 whose events tell of every change to their seats, from the first one on: told with events
-- on all the time, and not pruned.
SELECT i.show_id, i.told_events FROM inventory i
WHERE i.show_id > $1 AND i.show_id <= $2 AND i.told_version = i.version
  AND EXISTS (SELECT FROM outbox o WHERE o.show_id = i.show_id AND o.seq = 1)
ORDER BY i.show_id

-- name: log
-- Events of the show $1 after number $2, at most $3 rows.
SELECT seq, events, at, body FROM outbox WHERE show_id = $1 AND seq > $2 ORDER BY seq LIMIT $3::integer

-- name: taken_seats
-- The seats of the show $1 that are not free; lapsed: held, but past the time.
SELECT seat_no, status, booking_id, coalesce(held_until <= clock_timestamp(), false) AS lapsed
FROM seats WHERE show_id = $1 AND status <> 'A' ORDER BY seat_no
