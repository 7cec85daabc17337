-- name: coverage_write: the greatest watermark of each object, partition and basis
INSERT INTO object_coverage AS c (object, partition, basis, covered_until, job_id)
SELECT * FROM unnest($1::text[], $2::integer[], $3::text[], $4::timestamptz[], $5::text[])
ON CONFLICT (object, partition, basis) DO UPDATE SET
  covered_until = EXCLUDED.covered_until, job_id = EXCLUDED.job_id, changed_at = now()
WHERE c.covered_until < EXCLUDED.covered_until;

-- name: spans_write: the join of what the ledger has and what some marks say
INSERT INTO coverage_span AS s
  (object, partition, basis, covered_from, job_id, covered_until, replay_to, first_until, replay_from)
SELECT object, partition, basis, coalesce(covered_from, '-infinity'), job_id, until, replay_to, first, replay_from
FROM unnest($1::text[], $2::integer[], $3::text[], $4::timestamptz[], $5::text[],
    $6::timestamptz[], $7::text[], $8::timestamptz[], $9::text[])
  AS new (object, partition, basis, covered_from, job_id, until, replay_to, first, replay_from)
ORDER BY 1, 2, 3, 4, 5
ON CONFLICT (object, partition, basis, covered_from, job_id) DO UPDATE SET
  covered_until = greatest(s.covered_until, EXCLUDED.covered_until),
  replay_to = CASE WHEN (EXCLUDED.covered_until, EXCLUDED.replay_to) > (s.covered_until, s.replay_to)
    THEN EXCLUDED.replay_to ELSE s.replay_to END,
  first_until = least(s.first_until, EXCLUDED.first_until),
  replay_from = CASE WHEN (EXCLUDED.first_until, EXCLUDED.replay_from) < (s.first_until, s.replay_from)
    THEN EXCLUDED.replay_from ELSE s.replay_from END,
  changed_at = clock_timestamp()
WHERE (EXCLUDED.covered_until, EXCLUDED.replay_to) > (s.covered_until, s.replay_to)
   OR (EXCLUDED.first_until, EXCLUDED.replay_from) < (s.first_until, s.replay_from);

-- name: holes_open: ranges of which nothing is known
INSERT INTO coverage_hole AS h (object, partition, hole_id, hole_from, hole_to, reason, opened)
SELECT object, partition, hole_id, hole_from, hole_to, reason, true
FROM unnest($1::text[], $2::integer[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::text[])
  AS new (object, partition, hole_id, hole_from, hole_to, reason)
ORDER BY 1, 2, 3
ON CONFLICT (object, partition, hole_id) DO UPDATE SET
  hole_from = CASE WHEN NOT h.opened THEN EXCLUDED.hole_from
    WHEN h.hole_from IS NOT NULL AND EXCLUDED.hole_from IS NOT NULL THEN least(h.hole_from, EXCLUDED.hole_from) END,
  hole_to = CASE WHEN NOT h.opened THEN EXCLUDED.hole_to
    WHEN h.hole_to IS NOT NULL AND EXCLUDED.hole_to IS NOT NULL THEN greatest(h.hole_to, EXCLUDED.hole_to) END,
  reason = CASE WHEN h.opened THEN least(h.reason COLLATE "C", EXCLUDED.reason COLLATE "C") ELSE EXCLUDED.reason END,
  opened = true, changed_at = now()
WHERE NOT h.opened OR (h.hole_from, h.hole_to, h.reason)
  IS DISTINCT FROM (EXCLUDED.hole_from, EXCLUDED.hole_to, EXCLUDED.reason);

-- name: holes_close: named by a watermark, for good, also before they open
WITH said AS (
  SELECT * FROM unnest($1::text[], $2::integer[], $3::text[], $4::text[], $5::timestamptz[])
    AS said (object, partition, hole_id, closed_by, covered_until)
), closings AS (
  INSERT INTO coverage_closing AS c (object, partition, hole_id, closed_by, covered_until)
  SELECT object, partition, hole_id, closed_by, covered_until FROM said ORDER BY 1, 2, 3, 4
  -- When it was first said stays: a record that was set aside later is not of that read.
  ON CONFLICT (object, partition, hole_id, closed_by) DO UPDATE SET covered_until = EXCLUDED.covered_until
  WHERE c.covered_until IS NULL AND EXCLUDED.covered_until IS NOT NULL OR EXCLUDED.covered_until < c.covered_until
)
INSERT INTO coverage_hole AS h (object, partition, hole_id, closed_by)
SELECT object, partition, hole_id, min(closed_by COLLATE "C") FROM said GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
ON CONFLICT (object, partition, hole_id) DO UPDATE SET closed_by = EXCLUDED.closed_by, changed_at = now()
WHERE h.closed_by IS NULL OR EXCLUDED.closed_by COLLATE "C" < h.closed_by COLLATE "C";

-- name: letters_open: holes that records leave which were set aside: of none of them is it known what it said. What was
-- committed is later than what the stream had covered before it, and earlier than now.
INSERT INTO coverage_hole (object, partition, hole_id, hole_from, hole_to, reason, opened)
SELECT e.object, new.partition, format('letter:%s:%s', new.partition, new."offset"), least(c.covered_until, now()), now(),
  new.reason, true
FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::text[]) AS new (topic, partition, "offset", reason)
JOIN topic_epoch e ON e.topic = new.topic AND e.object IS NOT NULL
LEFT JOIN object_coverage c ON c.object = e.object AND c.partition = new.partition AND c.basis = 'stream'
ORDER BY 1, 2, 3
ON CONFLICT DO NOTHING;
