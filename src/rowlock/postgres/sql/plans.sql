-- name: plan
-- What never changes of a show. $1: show id.
SELECT layout, categories, currency FROM shows WHERE id = $1
