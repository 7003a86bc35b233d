-- name: clock
-- What holds are told from lapsed ones by.
SELECT clock_timestamp()

-- name: imported_before
-- The shows of a source that are here already. $1: source. $2: their ids there.
SELECT id, import_id FROM shows WHERE import_source = $1 AND import_id = ANY ($2::text[]) ORDER BY id
