-- name: next_ids
-- The next $1 show ids. Some may be taken: an admin may have chosen them. (In two statements, for the sequence and the shows
-- may lie on different nodes.)
SELECT nextval('show_ids') AS id FROM generate_series(1, $1::integer)

-- name: taken_ids
-- Those of the ids $1 that are taken.
SELECT id FROM shows WHERE id = ANY ($1::bigint[])

-- name: insert_show
-- A new show, row by row: the show, its inventory, its seats (one statement for all of them).
INSERT INTO shows (id, kind, name, venue, origin, destination, start_time, end_time, time_zone, currency, categories,
                   layout, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, coalesce($13, clock_timestamp()))

-- name: insert_inventory
-- Events can tell all of a show only if they do so from its beginning: $8.
INSERT INTO inventory (show_id, total, available, closed, on_sale_at, max_seats, hold_seconds, confirm_by_service,
                       told_version)
VALUES ($1, $2, $2, $3, $4, $5, $6, $7, CASE WHEN $8::boolean THEN 0 ELSE -1 END)

-- name: insert_seats
INSERT INTO seats (show_id, seat_no)
SELECT $1, n FROM generate_series(0, $2::integer - 1) AS n

-- name: show
-- A show with its counts. $1: show id.
SELECT s.id, s.kind, s.name, s.venue, s.start_time, s.end_time, s.time_zone, s.origin, s.destination, s.currency,
       s.categories, s.created_at, i.total, i.available, i.reserved, i.booked, i.blocked, i.version, i.closed,
       i.on_sale_at, i.max_seats, i.hold_seconds, i.confirm_by_service
FROM shows s JOIN inventory i ON i.show_id = s.id
WHERE s.id = $1

-- name: list_shows
-- Shows, soonest first. $1: kind. $2: part of a name, venue, origin or destination, as a LIKE pattern. $3: whether
-- cancelled. $4: those that start after this; null: from now on. $5, $6: the last row's start and id. $7: how many.
-- $8: those that start before this. $9: whose cheapest category costs at most so much; one without categories is free of
-- charge. $10: whether there are seats to be had.
SELECT s.id, s.kind, s.name, s.venue, s.start_time, s.end_time, s.time_zone, s.origin, s.destination, s.currency,
       s.categories, s.created_at, i.total, i.available, i.reserved, i.booked, i.blocked, i.version, i.closed,
       i.on_sale_at, i.max_seats, i.hold_seconds, i.confirm_by_service
FROM shows s JOIN inventory i ON i.show_id = s.id
WHERE s.start_time > coalesce($4::timestamptz, now())
  AND ($8::timestamptz IS NULL OR s.start_time < $8::timestamptz)
  AND ($5::timestamptz IS NULL OR (s.start_time, s.id) > ($5::timestamptz, $6::bigint))
  AND ($1::text IS NULL OR s.kind = $1::text)
  AND ($2::text IS NULL OR s.name ILIKE $2::text OR s.venue ILIKE $2::text OR s.origin ILIKE $2::text
       OR s.destination ILIKE $2::text)
  AND ($3::boolean IS NULL OR i.closed = $3::boolean)
  AND ($9::bigint IS NULL OR json_array_length(s.categories) = 0
       OR EXISTS (SELECT FROM json_array_elements(s.categories) c WHERE (c ->> 'price_cents')::bigint <= $9::bigint))
  AND ($10::boolean IS NULL OR (i.available > 0 AND NOT i.closed) = $10::boolean)
ORDER BY s.start_time, s.id
LIMIT $7::integer

-- name: update_show
-- What may change of a show beside its sale. $1: show id; then the new values.
UPDATE shows
SET name = $2, venue = $3, start_time = $4, end_time = $5, time_zone = $6
WHERE id = $1

-- name: update_terms
-- The terms of a show's sale. $1: show id.
UPDATE inventory
SET on_sale_at = $2, max_seats = $3, hold_seconds = $4, confirm_by_service = $5
WHERE show_id = $1

-- name: lock_terms
-- Hold a show's inventory row, so that two changes don't overwrite each other. $1: show id.
SELECT show_id FROM inventory WHERE show_id = $1 FOR UPDATE

-- name: to_settle
-- Bookings of a cancelled show that still hold or have seats. $1: show id. $2: how many.
SELECT show_id, id, seats FROM bookings
WHERE show_id = $1 AND (status IN ('PENDING', 'CONFIRMED'))
LIMIT $2::integer

-- name: settled
-- A cancelled show whose bookings are all settled. $1: show id.
UPDATE inventory SET settling = false WHERE show_id = $1 AND settling

-- name: settling
-- A cancelled show whose bookings are not all settled; any of them, so that one that can't be settled stops no other.
SELECT show_id FROM inventory WHERE settling ORDER BY random() LIMIT 1

-- name: any_show
SELECT EXISTS (SELECT FROM shows)
