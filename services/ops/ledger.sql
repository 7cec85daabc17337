-- name: objects: how far each shadowed object is covered
SELECT object, observed_until, proven_until, full_read_until FROM object_freshness ORDER BY object

-- name: ranges: the times of which an object is observed or proven
SELECT object, kind, covered_from, covered_until FROM coverage_range ORDER BY object, kind, covered_until

-- name: spans: by what it is covered, the newest first
SELECT object, basis, covered_from, covered_until, job_id, replay_from, replay_to
FROM coverage_by ORDER BY object, basis, covered_until DESC, covered_from DESC

-- name: holes: of which nothing is known, the oldest first
SELECT object, hole_id, kind, hole_from, hole_to, reason, extract(epoch FROM now() - since)::float8 AS age
FROM open_hole ORDER BY object, since, hole_id
