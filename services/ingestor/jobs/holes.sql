-- name: open_holes: ranges of an object of which nothing is known yet, the oldest first
SELECT record_id AS hole_id, hole_from, hole_to
FROM repair_due
WHERE object = $1 AND reason = 'hole'
ORDER BY hole_to NULLS LAST, record_id
