-- name: record
-- One thing that was done. $1: show id, 0 for none. $2–$5: user, role, address, request id. $6–$8: action, target, detail.
INSERT INTO audit (show_id, user_id, role, address, request_id, action, target, detail)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)

-- name: list_audit
-- What was done, newest first. {filters} and {limit} are filled in by find_audit.py, from conditions of its own.
SELECT a.show_id, a.id, a.at, a.user_id, a.role, a.address, a.request_id, a.action, a.target, a.outcome, a.detail,
       NULL AS trail
FROM audit a
WHERE {filters}
ORDER BY a.at DESC, a.id DESC
LIMIT {limit}

-- name: list_made
-- Bookings, and attempts, with who asked for them, newest first: those of one status, which is a range of an index.
SELECT b.show_id, b.id, b.created_at AS at, b.user_id, NULL AS role, NULL AS address, NULL AS request_id,
       CASE WHEN b.held THEN 'booking.hold' ELSE 'booking.book' END AS action, b.id::text AS target,
       CASE WHEN b.status = 'FAILED' AND NOT b.held THEN b.reason END AS outcome, NULL AS detail, b.trail
FROM bookings b
WHERE {filters}
ORDER BY b.created_at DESC, b.id DESC
LIMIT {limit}

-- name: prune_audit
-- What is older than the trail is kept for. $1: days.
DELETE FROM audit WHERE at < now() - make_interval(secs => $1::float8 * 86400)
