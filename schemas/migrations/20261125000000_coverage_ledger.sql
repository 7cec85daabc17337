-- migrate:up

-- The ledger: of which times an object is covered, and by what. A row is one delta or full read, or all marks of a
-- stream that are contiguous since the same time. Rows are a join of the watermarks, in any order, any number of times.
-- Times are commit times as the org reports them, at worst in whole seconds: what a read proves ends before its last one.
CREATE TABLE coverage_span (
  object TEXT NOT NULL,
  partition INTEGER NOT NULL,
  basis TEXT NOT NULL CHECK (basis IN ('stream', 'delta', 'full')),
  covered_from TIMESTAMPTZ NOT NULL,     -- -infinity: since ever
  job_id TEXT NOT NULL,                  -- of a delta or full read, '' of a stream
  covered_until TIMESTAMPTZ NOT NULL,
  replay_to TEXT COLLATE "C" NOT NULL DEFAULT '',    -- of a stream: its position at covered_until,
  first_until TIMESTAMPTZ NOT NULL,                  -- and at its first mark
  replay_from TEXT COLLATE "C" NOT NULL DEFAULT '',
  changed_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),  -- later than all that its transaction waited for
  PRIMARY KEY (object, partition, basis, covered_from, job_id),
  CHECK (covered_from <= covered_until)
);

-- What was known before there was a ledger: full reads.
INSERT INTO coverage_span (object, partition, basis, covered_from, job_id, covered_until, first_until)
SELECT object, partition, basis, '-infinity', coalesce(job_id, ''), date_trunc('second', covered_until),
  date_trunc('second', covered_until)
FROM object_coverage WHERE basis = 'full';

ALTER TABLE coverage_hole ADD COLUMN changed_at TIMESTAMPTZ NOT NULL DEFAULT now();

-- All that names a hole as closed; coverage_hole.closed_by is the least of them. One that counts is enough.
CREATE TABLE coverage_closing (
  object TEXT NOT NULL,
  partition INTEGER NOT NULL,
  hole_id TEXT NOT NULL,
  closed_by TEXT COLLATE "C" NOT NULL,   -- a job, or what else a watermark rests on
  covered_until TIMESTAMPTZ,             -- of a read; NULL: no read closed it
  changed_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (object, partition, hole_id, closed_by)
);
INSERT INTO coverage_closing (object, partition, hole_id, closed_by)
SELECT object, partition, hole_id, closed_by FROM coverage_hole WHERE closed_by IS NOT NULL;

-- Records of an object that the projector passed over.
CREATE VIEW record_set_aside AS
SELECT e.object, d.partition, d.seen_at
FROM dead_letter d JOIN topic_epoch e USING (topic) WHERE e.object IS NOT NULL;

-- A hole of a partition stays open if each read that closes it may have had a record set aside, as in coverage_sound.
CREATE VIEW open_hole_part AS
SELECT h.* FROM coverage_hole h
WHERE h.opened AND (h.closed_by IS NULL OR (
  -- Nearly always nothing was set aside, and nothing more is asked.
  (h.object, h.partition) IN (SELECT object, partition FROM record_set_aside)
  AND NOT EXISTS (
    SELECT FROM coverage_closing c
    WHERE c.object = h.object AND c.partition = h.partition AND c.hole_id = h.hole_id
      AND NOT EXISTS (
        SELECT FROM record_set_aside d
        WHERE d.object = c.object AND d.partition = c.partition
          AND d.seen_at >= c.covered_until AND d.seen_at <= c.changed_at))));

-- Open on any partition is open.
CREATE VIEW open_hole AS
SELECT object, hole_id, split_part(hole_id, ':', 1) AS kind,
  CASE WHEN bool_and(hole_from IS NOT NULL) THEN min(hole_from) END AS hole_from,
  CASE WHEN bool_and(hole_to IS NOT NULL) THEN max(hole_to) END AS hole_to,
  min(reason) AS reason, min(coalesce(hole_to, hole_from, changed_at)) AS since
FROM open_hole_part
GROUP BY object, hole_id;

-- A read proves nothing where a record of its partition was set aside after its bound and before its end: that may have
-- been one of its own. Times stand for the order in the partition: transactions on it follow each other, a letter has
-- the start of its own and a span the moment of its writing, so what is not certain counts against the span.
CREATE VIEW coverage_sound AS
SELECT s.* FROM coverage_span s
WHERE s.basis = 'stream' OR NOT EXISTS (
  SELECT FROM record_set_aside d
  WHERE d.object = s.object AND d.partition = s.partition
    AND d.seen_at >= s.covered_until AND d.seen_at <= s.changed_at);

-- One row for each span that has reached every partition; a span counts only as far as the slowest of them.
CREATE VIEW coverage_by AS
SELECT s.object, s.basis, nullif(s.covered_from, '-infinity') AS covered_from, min(s.covered_until) AS covered_until,
  nullif(s.job_id, '') AS job_id, nullif(max(s.replay_from), '') AS replay_from, nullif(min(s.replay_to), '') AS replay_to
FROM coverage_sound s JOIN topic_epoch e ON e.object = s.object AND s.partition < e.partitions
GROUP BY s.object, s.basis, s.covered_from, s.job_id, e.partitions
HAVING count(*) = e.partitions;

-- The times of which an object is observed (by the stream, less open holes) and proven (by reads: full ones, and deltas
-- less the open holes whose changes may have no stamp, as no delta sees those).
-- On every partition, or it does not count; NULL covered_from: since ever.
CREATE VIEW coverage_range AS
WITH parts AS (
  SELECT e.object, p.partition, k.kind
  FROM topic_epoch e CROSS JOIN LATERAL generate_series(0, e.partitions - 1) AS p(partition)
    CROSS JOIN (VALUES ('observed'), ('proven')) AS k(kind)
  WHERE e.object IS NOT NULL
), unstamped AS (
  -- Commit times may lie up to a second early, and have whole seconds: the commit itself is less than two seconds later.
  SELECT object, range_agg(tstzrange(
    date_trunc('second', least(coalesce(hole_from, '-infinity'), hole_to)),
    date_trunc('second', greatest(coalesce(hole_to, 'infinity'), hole_from)) + interval '2 seconds', '[)')) AS ranges
  FROM open_hole
  WHERE kind NOT IN ('replay', 'undecodable', 'letter') OR hole_from IS NULL OR hole_to IS NULL GROUP BY object
), by_basis AS (
  SELECT object, partition, basis,
    range_agg(tstzrange(covered_from, covered_until, CASE basis WHEN 'stream' THEN '[]' ELSE '[)' END)) AS ranges
  FROM coverage_sound GROUP BY 1, 2, 3
), spans AS (
  SELECT by_basis.object, partition, CASE basis WHEN 'stream' THEN 'observed' ELSE 'proven' END AS kind,
    range_agg(span) AS ranges
  FROM by_basis LEFT JOIN unstamped ON unstamped.object = by_basis.object AND basis = 'delta',
    LATERAL unnest(by_basis.ranges - coalesce(unstamped.ranges, '{}')) AS span
  GROUP BY 1, 2, 3
), folded AS (
  SELECT object, kind, range_intersect_agg(coalesce(spans.ranges, '{}')) AS ranges
  FROM parts LEFT JOIN spans USING (object, partition, kind) GROUP BY object, kind
), holes AS (
  SELECT object, 'observed' AS kind, range_agg(tstzrange(
    least(coalesce(hole_from, '-infinity'), hole_to), greatest(coalesce(hole_to, 'infinity'), hole_from), '[]')) AS ranges
  FROM open_hole GROUP BY object
)
SELECT folded.object, folded.kind, nullif(lower(span), '-infinity') AS covered_from, upper(span) AS covered_until
FROM folded LEFT JOIN holes USING (object, kind),
  LATERAL unnest(folded.ranges - coalesce(holes.ranges, '{}')) AS span;

-- As before, but proven is what reads have shown without a gap since ever: a delta alone proves nothing before itself.
CREATE OR REPLACE VIEW object_freshness AS
WITH parts AS (
  SELECT e.object, p.partition
  FROM topic_epoch e CROSS JOIN LATERAL generate_series(0, e.partitions - 1) AS p(partition)
  WHERE e.object IS NOT NULL
), per_part AS (
  SELECT parts.object, parts.partition,
    max(c.covered_until) AS any_until,
    max(c.covered_until) FILTER (WHERE c.basis = 'full') AS full_read
  FROM parts LEFT JOIN object_coverage c USING (object, partition)
  GROUP BY parts.object, parts.partition
), holes AS (
  SELECT object, min(coalesce(hole_from, '-infinity'::timestamptz)) AS oldest, count(*) AS holes
  FROM open_hole GROUP BY object
), folded AS (
  SELECT object,
    CASE WHEN bool_and(full_read IS NOT NULL) THEN min(any_until) END AS observed,
    CASE WHEN bool_and(full_read IS NOT NULL) THEN min(full_read) END AS full_read
  FROM per_part GROUP BY object
)
SELECT folded.object,
  CASE WHEN holes.oldest = '-infinity' THEN NULL
       ELSE least(folded.observed, holes.oldest) END AS observed_until,
  -- A subquery, so that who asks only for the observed time, as every read of the portal does, does not pay for it.
  (SELECT max(r.covered_until) FROM coverage_range r
    WHERE r.object = folded.object AND r.kind = 'proven' AND r.covered_from IS NULL) AS proven_until,
  folded.full_read AS full_read_until,
  coalesce(holes.holes, 0) AS open_holes
FROM folded LEFT JOIN holes USING (object);

-- As before, with the holes that are open by the rule above.
CREATE OR REPLACE VIEW repair_due AS
SELECT object, record_id, 'dirty' AS reason, dirty AS mark, NULL::timestamptz AS hole_from, NULL::timestamptz AS hole_to
FROM sf_record
WHERE dirty IS NOT NULL AND (base IS NULL OR base < dirty)
  AND NOT (payload->'IsDeleted' = 'true' AND coalesce(newer->>'IsDeleted', base, '') COLLATE "C" > dirty)
UNION ALL
SELECT object, record_id, reason, NULL, NULL, NULL FROM sf_hidden
WHERE reason = 'incomplete' AND since < now() - interval '2 minutes'
UNION ALL
SELECT object, hole_id, 'hole', NULL, hole_from, hole_to FROM open_hole;

DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'umbra_reader') THEN
    GRANT SELECT ON coverage_span, coverage_closing, record_set_aside, open_hole_part, coverage_sound, open_hole,
      coverage_by, coverage_range, object_freshness TO umbra_reader;
  END IF;
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'umbra_projector') THEN
    GRANT SELECT, INSERT, UPDATE, DELETE ON coverage_span, coverage_closing TO umbra_projector;
    GRANT SELECT ON record_set_aside, open_hole_part, coverage_sound, open_hole, coverage_by, coverage_range,
      object_freshness TO umbra_projector;
  END IF;
END
$$;

-- migrate:down

CREATE OR REPLACE VIEW object_freshness AS
WITH parts AS (
  SELECT e.object, p.partition
  FROM topic_epoch e CROSS JOIN LATERAL generate_series(0, e.partitions - 1) AS p(partition)
  WHERE e.object IS NOT NULL
), per_part AS (
  SELECT parts.object, parts.partition,
    max(c.covered_until) AS any_until,
    max(c.covered_until) FILTER (WHERE c.basis IN ('delta', 'full')) AS proven,
    max(c.covered_until) FILTER (WHERE c.basis = 'full') AS full_read
  FROM parts LEFT JOIN object_coverage c USING (object, partition)
  GROUP BY parts.object, parts.partition
), holes AS (
  SELECT object, min(coalesce(hole_from, '-infinity'::timestamptz)) AS oldest, count(DISTINCT hole_id) AS holes
  FROM coverage_hole WHERE opened AND closed_by IS NULL GROUP BY object
), folded AS (
  SELECT object,
    CASE WHEN bool_and(full_read IS NOT NULL) THEN min(any_until) END AS observed,
    CASE WHEN bool_and(proven IS NOT NULL) THEN min(proven) END AS proven,
    CASE WHEN bool_and(full_read IS NOT NULL) THEN min(full_read) END AS full_read
  FROM per_part GROUP BY object
)
SELECT folded.object,
  CASE WHEN holes.oldest = '-infinity' THEN NULL
       ELSE least(folded.observed, holes.oldest) END AS observed_until,
  folded.proven AS proven_until,
  folded.full_read AS full_read_until,
  coalesce(holes.holes, 0) AS open_holes
FROM folded LEFT JOIN holes USING (object);

CREATE OR REPLACE VIEW repair_due AS
SELECT object, record_id, 'dirty' AS reason, dirty AS mark, NULL::timestamptz AS hole_from, NULL::timestamptz AS hole_to
FROM sf_record
WHERE dirty IS NOT NULL AND (base IS NULL OR base < dirty)
  AND NOT (payload->'IsDeleted' = 'true' AND coalesce(newer->>'IsDeleted', base, '') COLLATE "C" > dirty)
UNION ALL
SELECT object, record_id, reason, NULL, NULL, NULL FROM sf_hidden
WHERE reason = 'incomplete' AND since < now() - interval '2 minutes'
UNION ALL
SELECT object, hole_id, 'hole', NULL, min(hole_from), max(hole_to) FROM coverage_hole
WHERE opened AND closed_by IS NULL GROUP BY object, hole_id;

DROP VIEW coverage_range, coverage_by, coverage_sound, open_hole, open_hole_part, record_set_aside;
ALTER TABLE coverage_hole DROP COLUMN changed_at;
DROP TABLE coverage_closing, coverage_span;
