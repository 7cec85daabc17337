-- name: due_records: of each object the oldest marks first; incomplete ones only if no full read has shown them to be so
SELECT due.object, due.record_id, due.reason, due.mark
FROM unnest($1::text[]) AS of (object), LATERAL (
  SELECT object, record_id, reason, mark FROM repair_due
  WHERE object = of.object AND (reason = 'dirty' OR (reason = 'incomplete'
    -- A lookup for each, never a join: nearly all records are complete.
    AND (SELECT known.base IS NULL FROM sf_record AS known
         WHERE known.object = repair_due.object AND known.record_id = repair_due.record_id)))
  ORDER BY mark NULLS FIRST, record_id, reason
  LIMIT $2) AS due

-- name: due_holes: ranges of which nothing is known, the oldest first
SELECT object, record_id AS hole_id, hole_from, hole_to
FROM repair_due
WHERE reason = 'hole'
ORDER BY hole_to NULLS LAST, record_id
