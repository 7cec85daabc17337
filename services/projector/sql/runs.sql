-- name: run_lock: held by the process that runs it, until its connection ends
SELECT pg_try_advisory_lock($1, $2);

-- name: run_open: the open run of a kind that was asked for in these words
SELECT id, about::text, events, changed, letters, seconds, started_at FROM public.log_run
WHERE kind = $1 AND asked = $2 AND state = 'open';

-- name: run_read: one run
SELECT id, about::text, events, changed, letters, seconds, started_at FROM public.log_run WHERE id = $1;

-- name: run_other: an open run of some kinds that was asked for in other words
SELECT id, kind, asked FROM public.log_run WHERE kind = ANY ($1::text[]) AND (kind, asked) <> ($2, $3) AND state = 'open';

-- name: run_last: the newest finished run of a kind that was asked for in these words
SELECT id, about::text, events, changed, letters, seconds, started_at FROM public.log_run
WHERE kind = ANY ($1::text[]) AND asked = $2 AND state = 'done' ORDER BY id DESC LIMIT 1;

-- name: run_begin: a new run
INSERT INTO public.log_run (kind, asked, about) VALUES ($1, $2, $3::text::jsonb) RETURNING id;

-- name: run_spans: what a run reads, and where it is
INSERT INTO public.log_run_position (run_id, topic, partition, epoch, begin_offset, next_offset, end_offset)
SELECT $1, topic, partition, epoch, begin_offset, begin_offset, end_offset
FROM unnest($2::text[], $3::integer[], $4::text[], $5::bigint[], $6::bigint[])
  AS new (topic, partition, epoch, begin_offset, end_offset)
ON CONFLICT (run_id, topic, partition) DO UPDATE SET end_offset = EXCLUDED.end_offset;

-- name: run_positions: how far a run is
SELECT p.topic, p.partition, p.begin_offset, p.next_offset, p.end_offset, p.epoch IS DISTINCT FROM e.epoch AS anew
FROM public.log_run_position p LEFT JOIN public.topic_epoch e USING (topic)
WHERE p.run_id = $1 ORDER BY p.topic, p.partition;

-- name: run_move: on from one position to the next, each once
UPDATE public.log_run_position p SET
  next_offset = new.after, last_offset = coalesce(new.last_offset, p.last_offset),
  last_timestamp_ms = coalesce(new.last_timestamp_ms, p.last_timestamp_ms),
  last_key_hash = coalesce(new.last_key_hash, p.last_key_hash)
FROM unnest($2::text[], $3::integer[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[])
  AS new (topic, partition, before, after, last_offset, last_timestamp_ms, last_key_hash)
WHERE p.run_id = $1 AND p.topic = new.topic AND p.partition = new.partition AND p.next_offset = new.before
RETURNING p.topic;

-- name: run_count: what a batch came to
UPDATE public.log_run SET events = events + $2, changed = changed + $3, letters = letters + $4, seconds = seconds + $5,
  changed_at = now()
WHERE id = $1 AND state = 'open' RETURNING id;

-- name: run_about: what a run says of itself
UPDATE public.log_run SET about = about || $2::text::jsonb, changed_at = now() WHERE id = $1;

-- name: run_end: done, or dropped
UPDATE public.log_run SET state = $2, changed_at = now() WHERE id = $1;

-- name: run_rate: events a second of work, of the last run that tells
SELECT events / seconds FROM public.log_run WHERE kind = $1 AND seconds > 1 AND events > 1000 ORDER BY id DESC LIMIT 1;

-- name: run_standing: where the projection stands in some topics
SELECT o.topic, o.partition, o.next_offset, o.epoch IS DISTINCT FROM e.epoch AS anew, e.epoch, o.epoch AS projected,
  o.last_offset, o.last_timestamp_ms, o.last_key_hash
FROM public.topic_epoch e LEFT JOIN public.projection_offset o USING (topic)
WHERE e.topic = ANY ($1::text[]) ORDER BY o.topic, o.partition;

-- name: run_records: how many records of some objects are known
SELECT count(*) FROM public.sf_record WHERE object = ANY ($1::text[]);

-- name: run_tags: told after the commit; a run that ends before leaves them to the workers. No worker's position waits.
INSERT INTO public.cache_outbox (topic, partition, next_offset, tags)
SELECT topic, partition, 0, ARRAY(SELECT jsonb_array_elements_text(tags::jsonb))
FROM unnest($1::text[], $2::integer[], $3::text[]) AS new (topic, partition, tags)
RETURNING id;

-- name: run_now: by the clock that stamps rows
SELECT now();

-- name: run_lsn: after a commit
SELECT pg_current_wal_lsn()::text;

-- name: run_told: of this run
DELETE FROM public.cache_outbox WHERE id = ANY ($1::bigint[]);

-- name: run_letters: which of some records were set aside before
SELECT topic, partition, "offset" FROM public.dead_letter
JOIN unnest($1::text[], $2::integer[], $3::bigint[]) AS wanted (topic, partition, "offset")
  USING (topic, partition, "offset");

-- name: run_jobs: the newest complete full read of each object, as far as every partition has it
SELECT DISTINCT ON (object) object, job_id, covered_until FROM public.coverage_by
WHERE basis = 'full' AND object = ANY ($1::text[]) AND job_id IS NOT NULL
ORDER BY object, covered_until DESC, job_id;
