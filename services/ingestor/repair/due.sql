-- name: due_records: dirty ones, and incomplete ones that no full read has shown to be so in Salesforce itself
SELECT due.object, due.record_id, due.reason, due.mark
FROM repair_due AS due
JOIN sf_record AS known ON known.object = due.object AND known.record_id = due.record_id
WHERE due.reason = 'dirty' OR (due.reason = 'incomplete' AND known.base IS NULL)
ORDER BY due.object, due.record_id, due.reason
LIMIT $1

-- name: due_holes: ranges of which nothing is known, the oldest first
SELECT object, record_id AS hole_id, hole_from, hole_to
FROM repair_due
WHERE reason = 'hole'
ORDER BY hole_to NULLS LAST, record_id
