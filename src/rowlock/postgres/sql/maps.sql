-- name: map
-- A show's version and its seats' statuses, a letter a seat in layout order, in one snapshot; and their lineage, as
-- `standing` has it. $1: show id.
SELECT i.version, i.available,
       (SELECT string_agg(s.status::text, '' ORDER BY s.seat_no)::bytea FROM seats s WHERE s.show_id = i.show_id) AS letters,
       concat_ws('-', extract(epoch FROM pg_postmaster_start_time()),
                 (SELECT oid FROM pg_database WHERE datname = current_database()),
                 pg_relation_filenode('seats'), pg_relation_filenode('inventory')) AS lineage
FROM inventory i
WHERE i.show_id = $1

-- name: standing
-- What a map must agree with: the show's version, and the lineage that versions belong to. A database that was set back
-- goes on with other changes under the same versions; to set it back it is started anew (a standby that takes over was
-- started at another time), made anew, or its tables are filled anew. At least one row, for the lineage; a show that is
-- not there has none. $1: show ids.
SELECT i.show_id, i.version, i.total, h.lineage
FROM (SELECT concat_ws('-', extract(epoch FROM pg_postmaster_start_time()),
                       (SELECT oid FROM pg_database WHERE datname = current_database()),
                       pg_relation_filenode('seats'), pg_relation_filenode('inventory')) AS lineage) h
LEFT JOIN inventory i ON i.show_id = ANY ($1::bigint[])

-- name: notify
-- Tell every process. $1: channel. $2: payloads. It is a transaction that writes nothing, and waits for no flush to disk:
-- what it tells of was committed before.
SELECT pg_notify($1, payload), set_config('synchronous_commit', 'off', true) FROM unnest($2::text[]) AS payload
