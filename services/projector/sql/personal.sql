-- name: accounts_delete: accounts no longer shown; those that were
DELETE FROM sf_account_eligibility_shadow WHERE account_id = ANY ($1::text[])
RETURNING account_id;

-- name: accounts_write: shown accounts; those whose row it changed
INSERT INTO sf_account_eligibility_shadow AS a
  (account_id, internet_eligibility, eligibility_source, updated_at, raw_payload)
SELECT account_id, internet_eligibility, eligibility_source, updated_at, raw_payload::jsonb
FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::text[])
  AS new (account_id, internet_eligibility, eligibility_source, updated_at, raw_payload)
ON CONFLICT (account_id) DO UPDATE SET
  internet_eligibility = EXCLUDED.internet_eligibility, eligibility_source = EXCLUDED.eligibility_source,
  updated_at = EXCLUDED.updated_at, raw_payload = EXCLUDED.raw_payload
WHERE (a.internet_eligibility, a.eligibility_source, a.updated_at, a.raw_payload) IS DISTINCT FROM
  (EXCLUDED.internet_eligibility, EXCLUDED.eligibility_source, EXCLUDED.updated_at, EXCLUDED.raw_payload)
RETURNING account_id;

-- name: orders_read: shown orders
SELECT order_id, account_id, order_number, effective_date, total_amount, currency_iso_code, created_date,
  status, status_reason, status_version, updated_at, raw_payload::text
FROM sf_order_shadow
WHERE order_id = ANY ($1::text[]);

-- name: orders_delete: orders no longer shown
DELETE FROM sf_order_shadow WHERE order_id = ANY ($1::text[]);

-- name: orders_write: shown orders
INSERT INTO sf_order_shadow
  (order_id, account_id, order_number, effective_date, total_amount, currency_iso_code, created_date,
   status, status_reason, status_version, updated_at, raw_payload)
SELECT order_id, account_id, order_number, effective_date, total_amount, currency_iso_code, created_date,
  status, status_reason, status_version, updated_at, raw_payload::jsonb
FROM unnest($1::text[], $2::text[], $3::text[], $4::date[], $5::numeric[], $6::text[], $7::timestamptz[],
  $8::text[], $9::text[], $10::text[], $11::timestamptz[], $12::text[])
  AS new (order_id, account_id, order_number, effective_date, total_amount, currency_iso_code, created_date,
    status, status_reason, status_version, updated_at, raw_payload)
ON CONFLICT (order_id) DO UPDATE SET
  account_id = EXCLUDED.account_id, order_number = EXCLUDED.order_number, effective_date = EXCLUDED.effective_date,
  total_amount = EXCLUDED.total_amount, currency_iso_code = EXCLUDED.currency_iso_code,
  created_date = EXCLUDED.created_date, status = EXCLUDED.status, status_reason = EXCLUDED.status_reason,
  status_version = EXCLUDED.status_version, updated_at = EXCLUDED.updated_at, raw_payload = EXCLUDED.raw_payload;

-- name: statuses_read: what is known of the statuses of some orders
SELECT order_id, version, status, reason, terminal, source, event_id, occurred_at, account_id, seen::text
FROM sf_order_status
WHERE order_id = ANY ($1::text[]);

-- name: statuses_write: joined statuses; nobody else writes these orders meanwhile, so they replace; those it changed
INSERT INTO sf_order_status AS s
  (order_id, version, status, reason, message, terminal, source, account_id, event_id, occurred_at, seen)
SELECT order_id, version, status, reason, message, terminal, source, account_id, event_id, occurred_at, seen::jsonb
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::boolean[], $7::text[], $8::text[],
  $9::text[], $10::timestamptz[], $11::text[])
  AS new (order_id, version, status, reason, message, terminal, source, account_id, event_id, occurred_at, seen)
ON CONFLICT (order_id) DO UPDATE SET
  version = EXCLUDED.version, status = EXCLUDED.status, reason = EXCLUDED.reason, message = EXCLUDED.message,
  terminal = EXCLUDED.terminal, source = EXCLUDED.source, account_id = EXCLUDED.account_id,
  event_id = EXCLUDED.event_id, occurred_at = EXCLUDED.occurred_at, seen = EXCLUDED.seen, changed_at = now()
WHERE (s.version, s.status, s.reason, s.message, s.terminal, s.source, s.account_id, s.event_id, s.occurred_at, s.seen)
  IS DISTINCT FROM (EXCLUDED.version, EXCLUDED.status, EXCLUDED.reason, EXCLUDED.message, EXCLUDED.terminal,
    EXCLUDED.source, EXCLUDED.account_id, EXCLUDED.event_id, EXCLUDED.occurred_at, EXCLUDED.seen)
RETURNING order_id;
