-- name: insert_seats
-- All seats of new shows, each with the live booking that claims it: two that claim one break seats_pkey.
-- $1, $2: show ids and how many seats each has. $3, $4: blocked seats.
WITH claim AS (
    SELECT b.show_id, n AS seat_no, b.id, b.expires_at
    FROM bookings b CROSS JOIN LATERAL unnest(b.seats) AS n
    WHERE b.show_id = ANY ($1::bigint[]) AND b.status IN ('PENDING', 'CONFIRMED')
)
INSERT INTO seats (show_id, seat_no, status, booking_id, held_until)
SELECT s.show_id, n,
       CASE WHEN x.seat_no IS NOT NULL THEN 'X' WHEN c.id IS NULL THEN 'A' WHEN c.expires_at IS NULL THEN 'B'
            ELSE 'R' END,
       c.id, c.expires_at
FROM unnest($1::bigint[], $2::integer[]) AS s (show_id, total)
CROSS JOIN LATERAL generate_series(0, s.total - 1) AS n
LEFT JOIN claim c ON c.show_id = s.show_id AND c.seat_no = n
LEFT JOIN unnest($3::bigint[], $4::integer[]) AS x (show_id, seat_no) ON x.show_id = s.show_id AND x.seat_no = n
ORDER BY s.show_id, n

-- name: insert_inventory
-- The inventory of new shows, counted from their seats. $1: show ids; $2–$4: closed, on sale at, most seats a booking.
INSERT INTO inventory (show_id, total, available, reserved, booked, blocked, version, closed, on_sale_at, max_seats)
SELECT s.show_id, c.total, c.available, c.reserved, c.booked, c.blocked, (c.available < c.total)::integer, s.closed,
       s.on_sale_at, s.max_seats
FROM unnest($1::bigint[], $2::boolean[], $3::timestamptz[], $4::integer[])
    AS s (show_id, closed, on_sale_at, max_seats)
CROSS JOIN LATERAL (
    SELECT count(*) AS total, count(*) FILTER (WHERE status = 'A') AS available,
           count(*) FILTER (WHERE status = 'R') AS reserved, count(*) FILTER (WHERE status = 'B') AS booked,
           count(*) FILTER (WHERE status = 'X') AS blocked
    FROM seats WHERE seats.show_id = s.show_id
) AS c
