-- name: due_records: dirty ones, and incomplete ones that no full read has shown to be so in Salesforce itself
SELECT object, record_id, reason, mark FROM repair_due WHERE reason = 'dirty'
UNION ALL
SELECT object, record_id, reason, mark FROM repair_due
WHERE reason = 'incomplete'
  -- A lookup for each, never a join: nearly all records are complete.
  AND (SELECT known.base IS NULL FROM sf_record AS known
       WHERE known.object = repair_due.object AND known.record_id = repair_due.record_id)
ORDER BY object, record_id, reason
LIMIT $1

-- name: due_holes: ranges of which nothing is known, the oldest first
SELECT object, record_id AS hole_id, hole_from, hole_to
FROM repair_due
WHERE reason = 'hole'
ORDER BY hole_to NULLS LAST, record_id
