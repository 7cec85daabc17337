-- name: state_read: what is known of some records
SELECT r.object, r.record_id, r.payload::text, r.base, r.newer::text, r.dirty
FROM unnest($1::text[], $2::text[]) AS wanted (object, record_id)
JOIN sf_record r USING (object, record_id);

-- name: state_write: joined states; nobody else writes these records meanwhile, so they replace
INSERT INTO sf_record AS r (object, record_id, payload, base, newer, dirty, claim)
SELECT object, record_id, payload::jsonb, base, newer::jsonb, dirty, claim
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
  AS new (object, record_id, payload, base, newer, dirty, claim)
ON CONFLICT (object, record_id) DO UPDATE SET
  payload = EXCLUDED.payload, base = EXCLUDED.base, newer = EXCLUDED.newer,
  dirty = EXCLUDED.dirty, claim = EXCLUDED.claim, changed_at = now();

-- name: state_mend_claims: what records want, where it was written wrongly
UPDATE sf_record r SET claim = new.claim
FROM unnest($1::text[], $2::text[], $3::text[]) AS new (object, record_id, claim)
WHERE r.object = new.object AND r.record_id = new.record_id AND r.claim IS DISTINCT FROM new.claim;

-- name: state_claimants: records of one object that want one of these
SELECT record_id, payload::text, base, newer::text, dirty
FROM sf_record
WHERE object = $1 AND claim = ANY ($2::text[]);

-- name: hidden_write: records kept and not shown, with the reason
INSERT INTO sf_hidden AS h (object, record_id, reason, detail)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
ON CONFLICT (object, record_id) DO UPDATE SET
  reason = EXCLUDED.reason, detail = EXCLUDED.detail,
  since = CASE WHEN h.reason = EXCLUDED.reason THEN h.since ELSE now() END
WHERE (h.reason, h.detail) IS DISTINCT FROM (EXCLUDED.reason, EXCLUDED.detail);

-- name: hidden_clear: records of one object that are shown, or dead
DELETE FROM sf_hidden WHERE object = $1 AND record_id = ANY ($2::text[]);
