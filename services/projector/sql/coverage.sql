-- name: coverage_write: the greatest watermark of each object, partition and basis
INSERT INTO object_coverage AS c (object, partition, basis, covered_until, job_id)
SELECT * FROM unnest($1::text[], $2::integer[], $3::text[], $4::timestamptz[], $5::text[])
ON CONFLICT (object, partition, basis) DO UPDATE SET
  covered_until = EXCLUDED.covered_until, job_id = EXCLUDED.job_id, changed_at = now()
WHERE c.covered_until < EXCLUDED.covered_until;

-- name: holes_open: ranges of which nothing is known
INSERT INTO coverage_hole AS h (object, partition, hole_id, hole_from, hole_to, reason, opened)
SELECT object, partition, hole_id, hole_from, hole_to, reason, true
FROM unnest($1::text[], $2::integer[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::text[])
  AS new (object, partition, hole_id, hole_from, hole_to, reason)
ON CONFLICT (object, partition, hole_id) DO UPDATE SET
  hole_from = EXCLUDED.hole_from, hole_to = EXCLUDED.hole_to, reason = EXCLUDED.reason, opened = true
WHERE NOT h.opened;

-- name: holes_close: named by a watermark, for good, also before they open
INSERT INTO coverage_hole AS h (object, partition, hole_id, closed_by)
SELECT * FROM unnest($1::text[], $2::integer[], $3::text[], $4::text[])
ON CONFLICT (object, partition, hole_id) DO UPDATE SET closed_by = EXCLUDED.closed_by
WHERE h.closed_by IS NULL;
