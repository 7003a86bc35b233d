-- name: span
-- When a show's first and last booking were made, null if it has none: the ends of four ranges of an index. $1: show id.
SELECT min(b.first) AS first, max(b.last) AS last, now() AS clock
FROM unnest(ARRAY['PENDING', 'CONFIRMED', 'FAILED', 'CANCELLED']) AS s(status),
     LATERAL (SELECT min(created_at) AS first, max(created_at) AS last
              FROM bookings WHERE show_id = $1 AND status = s.status) AS b

-- name: counts
-- A show's bookings, counted by what became of them and when they were made, in one pass. A hold past its time has
-- failed, whether or not the sweeper has come round. $1: show id. $2: how long an interval is. $3: where one begins.
SELECT CASE WHEN b.expires_at <= now() THEN 'FAILED' ELSE b.status END AS status,
       CASE WHEN b.expires_at <= now() THEN 'hold_expired' ELSE b.reason END AS reason,
       date_bin($2::interval, b.created_at, $3::timestamptz) AS at,
       count(*) AS bookings, sum(b.seat_count) AS seats, sum(b.amount_cents)::bigint AS amount_cents
FROM bookings b
WHERE b.show_id = $1
GROUP BY 1, 2, 3
