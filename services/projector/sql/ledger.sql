-- name: coverage_lag: seconds since up to when each object is observed and proven; infinite where it never was
SELECT object, coalesce(extract(epoch FROM now() - observed_until)::float8, 'Infinity') AS observed,
  coalesce(extract(epoch FROM now() - proven_until)::float8, 'Infinity') AS proven
FROM object_freshness;

-- name: holes_count: open holes by what made them, and the age of the oldest
SELECT object, kind, count(*) AS holes, extract(epoch FROM now() - min(since))::float8 AS oldest
FROM open_hole GROUP BY object, kind;

-- name: repairs_count: records that have to be read again
SELECT object, reason, count(*) AS records FROM repair_due WHERE reason <> 'hole' GROUP BY object, reason;

-- name: spans_drop: history of the ledger that has grown old, but never the newest of a basis
DELETE FROM coverage_span WHERE (object, partition, basis, covered_from, job_id) IN (
  SELECT object, partition, basis, covered_from, job_id FROM coverage_span s
  WHERE covered_until < now() - $1::interval AND EXISTS (
    SELECT FROM coverage_span n
    WHERE n.object = s.object AND n.partition = s.partition AND n.basis = s.basis
      AND (n.covered_until, n.covered_from, n.job_id) > (s.covered_until, s.covered_from, s.job_id))
  FOR UPDATE SKIP LOCKED);

-- name: holes_drop: holes that were closed long ago: no record of the log speaks of them any more
WITH gone AS (
  DELETE FROM coverage_hole WHERE (object, partition, hole_id) IN (
    SELECT object, partition, hole_id FROM coverage_hole h
    WHERE closed_by IS NOT NULL AND changed_at < now() - $1::interval
      AND NOT EXISTS (
        SELECT FROM open_hole_part o
        WHERE o.object = h.object AND o.partition = h.partition AND o.hole_id = h.hole_id)
    FOR UPDATE SKIP LOCKED)
  RETURNING object, partition, hole_id)
DELETE FROM coverage_closing c USING gone
WHERE c.object = gone.object AND c.partition = gone.partition AND c.hole_id = gone.hole_id;
