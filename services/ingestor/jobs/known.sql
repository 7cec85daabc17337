-- name: known_statuses: the Status of some orders, with the version of that field
SELECT record_id, payload->>'Status' AS status, coalesce(newer->>'Status', base) AS version
FROM sf_record
WHERE object = 'Order' AND record_id = ANY ($1::text[]) AND payload ? 'Status'
