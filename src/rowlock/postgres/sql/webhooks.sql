-- Webhooks: who wants to be told, what is to be delivered to them, and what came of it.

-- name: insert
INSERT INTO webhooks (url, types, description, secret) VALUES ($1, $2, $3, $4)
RETURNING id, url, types, description, active, notice, failing_since, created_at

-- name: count
SELECT count(*) FROM webhooks

-- name: get
SELECT id, url, types, description, active, notice, failing_since, created_at FROM webhooks WHERE id = $1

-- name: list
-- Webhooks by id. $1: after this one. $2: how many.
SELECT id, url, types, description, active, notice, failing_since, created_at
FROM webhooks WHERE id > $1 ORDER BY id LIMIT $2::integer

-- name: change
-- $1: id; then the new values. $6: whether it was switched on, which clears what was held against it.
UPDATE webhooks
SET url = $2, types = $3, description = $4, active = $5,
    notice = CASE WHEN $6::boolean THEN NULL ELSE notice END,
    failing_since = CASE WHEN $6::boolean THEN NULL ELSE failing_since END
WHERE id = $1
RETURNING id, url, types, description, active, notice, failing_since, created_at

-- name: change_secret
UPDATE webhooks SET secret = $2 WHERE id = $1

-- name: wake
-- What waits for a webhook that was switched on, or has another address, is due now.
UPDATE webhook_queues SET due_at = now() WHERE webhook_id = $1 AND due_at IS NOT NULL

-- name: delete
-- What was delivered to it is removed by the pruning.
DELETE FROM webhooks WHERE id = $1 RETURNING id

-- name: subscriptions
-- Who is to be told of what happens now.
SELECT id, types FROM webhooks WHERE active ORDER BY id

-- name: queue
-- Queue events of claimed shows. $1–$5: show, webhook, number, type and body of each delivery.
INSERT INTO deliveries (show_id, webhook_id, seq, type, body)
SELECT show_id, webhook_id, seq, type, body
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::bytea[]) AS d (show_id, webhook_id, seq, type, body)
ON CONFLICT DO NOTHING

-- name: queue_up
-- Say so where they wait. $1–$3: show, webhook and number of each delivery. Where somebody is at it, or waits to try again,
-- it is left at that: they look at queued_seq when they are done.
INSERT INTO webhook_queues AS q (show_id, webhook_id, queued_seq, done_seq, due_at)
SELECT show_id, webhook_id, max(seq), min(seq) - 1, now()
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS d (show_id, webhook_id, seq)
GROUP BY show_id, webhook_id
ORDER BY show_id, webhook_id
ON CONFLICT (show_id, webhook_id) DO UPDATE
SET queued_seq = greatest(q.queued_seq, excluded.queued_seq), due_at = coalesce(q.due_at, excluded.due_at)

-- name: claim
-- Take queues that are due, for so many seconds. $1: webhooks, those that come first in front. $2: how many of each.
-- $3: seconds. $4: how many altogether.
WITH due AS MATERIALIZED (
    SELECT d.show_id, d.webhook_id
    FROM unnest($1::bigint[], $2::integer[]) AS wanted (webhook_id, slots)
    CROSS JOIN LATERAL (
        SELECT q.show_id, q.webhook_id FROM webhook_queues q
        WHERE q.webhook_id = wanted.webhook_id AND q.due_at <= now()
        ORDER BY q.due_at
        LIMIT wanted.slots
        FOR UPDATE SKIP LOCKED
    ) AS d
    LIMIT $4::integer
)
UPDATE webhook_queues q SET due_at = now() + make_interval(secs => $3::float8)
FROM due WHERE q.show_id = due.show_id AND q.webhook_id = due.webhook_id
RETURNING q.show_id, q.webhook_id, q.done_seq, q.queued_seq

-- name: extend
-- Keep a queue for longer. $1, $2: show and webhook. $3: seconds.
UPDATE webhook_queues SET due_at = now() + make_interval(secs => $3::float8)
WHERE show_id = $1 AND webhook_id = $2

-- name: targets
-- Webhooks that anything may be delivered to.
SELECT id FROM webhooks WHERE active

-- name: target
-- Where a webhook leads, as it is now.
SELECT id, url, secret, active, failing_since FROM webhooks WHERE id = $1

-- name: pending
-- What comes next of a queue, in order. $1, $2: show and webhook. $3: what is done. $4: how many.
SELECT seq, type, status, attempts, created_at, now() AS clock, body FROM deliveries
WHERE show_id = $1 AND webhook_id = $2 AND seq > $3
ORDER BY seq
LIMIT $4::integer

-- name: record
-- What came of an attempt. $1–$3: show, webhook, number. $4: status. $5: status of the answer. $6: its beginning. $7: error.
-- Two may have been at it, as where a lease ran out, or a redelivery was asked for meanwhile: the slower one makes nothing
-- pending again that is done, and overwrites no success that it knows nothing of.
UPDATE deliveries
SET status = CASE WHEN status = 'delivered' OR $4 = 'pending' THEN status ELSE $4 END,
    attempts = attempts + 1, attempted_at = clock_timestamp(),
    answer_status = CASE WHEN status = 'delivered' AND $4 <> 'delivered' THEN answer_status ELSE $5 END,
    answer = CASE WHEN status = 'delivered' AND $4 <> 'delivered' THEN answer ELSE $6 END,
    error = CASE WHEN status = 'delivered' AND $4 <> 'delivered' THEN error ELSE $7 END,
    delivered_at = CASE WHEN $4 = 'delivered' THEN clock_timestamp() ELSE delivered_at END, requested_at = NULL
WHERE show_id = $1 AND webhook_id = $2 AND seq = $3
RETURNING attempts

-- name: advance
-- A queue was worked on up to $3, and goes on $4 seconds from now, if there is more; at once where there is more behind
-- what is done. $1, $2: show and webhook. Its own columns are read anew under its lock, so nothing queued meanwhile is missed.
UPDATE webhook_queues
SET done_seq = greatest(done_seq, $3::bigint),
    due_at = CASE WHEN queued_seq > greatest(done_seq, $3::bigint) THEN now() + make_interval(secs => $4::float8) END
WHERE show_id = $1 AND webhook_id = $2

-- name: well
UPDATE webhooks SET failing_since = NULL WHERE id = $1 AND failing_since IS NOT NULL

-- name: failing
-- A webhook failed: since when, is noted. Where it has failed for $2 seconds and nothing else, or its answer said never
-- again ($3), it is switched off, with a notice ($4). Returns whether it is still on.
UPDATE webhooks
SET failing_since = coalesce(failing_since, now()),
    active = NOT ($3::boolean OR coalesce(failing_since, now()) < now() - make_interval(secs => $2::float8)),
    notice = CASE WHEN $3::boolean OR coalesce(failing_since, now()) < now() - make_interval(secs => $2::float8)
                  THEN $4 ELSE notice END
WHERE id = $1 AND active
RETURNING active

-- name: requested
-- Deliveries that somebody asked for once more; each is put off, so that nobody else takes it. $1: how many. $2: seconds.
-- $3: how many of a webhook. $4, $5: webhooks of which fewer may be taken, and how many.
WITH busy AS (
    SELECT webhook_id, free FROM unnest($4::bigint[], $5::integer[]) AS b (webhook_id, free)
), asked AS MATERIALIZED (
    SELECT show_id, webhook_id, seq, requested_at FROM deliveries d
    WHERE requested_at <= now() AND NOT EXISTS (SELECT FROM busy b WHERE b.webhook_id = d.webhook_id AND b.free <= 0)
    ORDER BY requested_at
    LIMIT $1::integer
    FOR UPDATE SKIP LOCKED
), ranked AS (
    SELECT a.*, row_number() OVER (PARTITION BY a.webhook_id ORDER BY a.requested_at) AS nth, coalesce(b.free, $3::integer) AS free
    FROM asked a LEFT JOIN busy b USING (webhook_id)
)
UPDATE deliveries d SET requested_at = now() + make_interval(secs => $2::float8)
FROM ranked r WHERE r.nth <= r.free AND d.show_id = r.show_id AND d.webhook_id = r.webhook_id AND d.seq = r.seq
RETURNING d.show_id, d.webhook_id, d.seq, d.type, d.status, d.body

-- name: request
-- Ask for a delivery once more: one that waits is due now, in its turn; another is sent anew. $1–$3: show, webhook, number.
WITH asked AS (
    UPDATE deliveries SET requested_at = CASE WHEN status = 'pending' THEN requested_at ELSE now() END
    WHERE show_id = $1 AND webhook_id = $2 AND seq = $3
    RETURNING show_id, webhook_id, seq, type, status, attempts, created_at, attempted_at, delivered_at, answer_status,
              answer, error
), woken AS (
    UPDATE webhook_queues q SET due_at = now() FROM asked a
    WHERE a.status = 'pending' AND q.show_id = a.show_id AND q.webhook_id = a.webhook_id AND q.due_at IS NOT NULL
)
SELECT * FROM asked

-- name: deliveries
-- A webhook's delivery log, newest first. $1: webhook. $2: status, or null. $3–$5: the last row's time, show and number.
-- $6: how many.
SELECT show_id, webhook_id, seq, type, status, attempts, created_at, attempted_at, delivered_at, answer_status, answer,
       error
FROM deliveries
WHERE webhook_id = $1 AND ($2::text IS NULL OR status = $2::text)
  AND ($3::timestamptz IS NULL OR (created_at, show_id, seq) < ($3::timestamptz, $4::bigint, $5::bigint))
ORDER BY created_at DESC, show_id DESC, seq DESC
LIMIT $6::integer
