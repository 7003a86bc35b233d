-- name: revoke
-- Call something back. $1: 'token' or 'user'. $2: the token's id, or the user. $3: until when that matters. A user's stands
-- for what was issued until now.
INSERT INTO revocations (kind, value, until) VALUES ($1, $2, $3)
ON CONFLICT (kind, value) DO UPDATE
SET revoked_at = greatest(excluded.revoked_at, revocations.revoked_at), until = greatest(excluded.until, revocations.until)
RETURNING kind, value, revoked_at, until

-- name: revoked_since
-- What was called back since a time, with some seconds before it: rows become visible a little after the time they bear.
-- $1: since when; null: ever.
SELECT kind, value, revoked_at, until FROM revocations
WHERE until > now() AND ($1::timestamptz IS NULL OR revoked_at > $1::timestamptz - interval '60 seconds')

-- name: prune_revocations
-- What would have expired by now.
DELETE FROM revocations WHERE until < now() - interval '1 hour'
